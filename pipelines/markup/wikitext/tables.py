"""Tables, `{| … |}` and `<table>`, with what is nested in them: removed, or their rows as lines of text."""

import re

from pipelines.markup.wikitext.marks import REMOVED

_EDGE = re.compile(rf"\n[ \t:*#;{REMOVED}]*+(\{{\||\|\}}(?!\}}))")  # begins with one character, which is found fast
_TAG = re.compile(r"<(/?)table\b[^<>]*>", re.I)
_TAG_BEGIN = re.compile(r"<[tT][aA][bB][lL][eE]\b")
_ROW_LINE = re.compile(rf"^[ \t:*#;{REMOVED}]*(?:\{{\||[|!]).*\n?", re.M)
_HEADING = re.compile(r"^=", re.M)
_ROWS = re.compile(r"^[ \t]*\|-.*$|</?tr\b[^<>]*>", re.M | re.I)
_HEAD_CELLS = re.compile(r"!!|\|\|")
_HTML_CELL = re.compile(r"<(?:td|th|caption)\b[^<>]*>", re.I)
_HTML_END = re.compile(r"</?(?:table|td|th|caption|tbody|thead|tfoot)\b[^<>]*>", re.I)
_EDGES = re.compile(rf"^[ \t:*#;{REMOVED}]*\{{\|.*$|^[ \t]*\|\}}", re.M)
_CAPTION = re.compile(r"^[ \t]*(\|\+.*)$", re.M)
_START = re.compile(rf"^[ \t:*#;{REMOVED}]*\{{\|", re.M)


def resolve_tables(text: str, keep: bool) -> str:
    """Removes tables, or with `keep` gives each row as a line `cell | cell`.

    Of a table that is not closed the rows go (lines that begin with | or !) up to the next heading; of one that a
    template opened, the rows before its `|}`.
    """
    if "{|" not in text and "|}" not in text and not _TAG_BEGIN.search(text):
        return text
    spans, unclosed = _spans(text)
    pieces: list[str] = []
    last = 0
    for start, end in spans:
        if start < last:
            continue
        if start > last:
            pieces.append(text[last:start])
        pieces.append(_rows(text[start:end]) if keep else REMOVED if text[start] == "<" else "")
        last = end
    pieces.append(text[last:])
    if not unclosed:
        return "".join(pieces)
    return _without_rows("".join(pieces), keep)


def _spans(text: str) -> tuple[list[tuple[int, int]], bool]:
    """The outermost tables, in their order, and whether one stays open. Linear."""
    opened: list[tuple[int, str]] = []
    spans: list[tuple[int, int]] = []
    for begin, end, mark in _edges(text):
        if mark in ("{|", "<"):
            opened.append((begin, mark))
            continue
        while opened and mark == "</" and opened[-1][1] == "{|":
            opened.pop()  # not closed within an HTML table
        if opened and (opened[-1][1] == "<") == (mark == "</"):
            start = opened.pop()[0]
        elif mark == "|}":
            start = _begin(text, begin, spans[-1][1] if spans else 0)
        else:
            continue
        while spans and spans[-1][0] >= start:
            spans.pop()
        spans.append((start, end))
    return spans, any(mark == "{|" for _, mark in opened)


def _edges(text: str) -> list[tuple[int, int, str]]:
    """Beginnings and ends of tables in their order: from where, up to where, and `{|`, `|}`, `<` or `</`."""
    edges = [(match.start(), match.end() - 1, match[1]) for match in _EDGE.finditer("\n" + text)]
    if _TAG_BEGIN.search(text):
        edges += [(match.start(), match.end(), "<" + match[1]) for match in _TAG.finditer(text)]
        edges.sort()
    return edges


def _begin(text: str, end: int, floor: int) -> int:
    """Where the rows begin that stand right before a `|}` whose opening is missing."""
    while end > floor:
        start = text.rfind("\n", floor, end - 1) + 1
        if start <= floor or text[start] not in "|!":
            break
        end = start
    return end


def _without_rows(text: str, keep: bool) -> str:
    """Takes the rows of unclosed tables out, each up to the next heading."""
    pieces: list[str] = []
    last = 0
    while (match := _START.search(text, last)) is not None:
        heading = _HEADING.search(text, match.end())
        end = heading.start() if heading else len(text)
        pieces.append(text[last : match.start()])
        part = text[match.start() : end]
        pieces.append(_rows(part) + "\n" if keep else _ROW_LINE.sub("", part))
        last = end
    return "".join([*pieces, text[last:]])


def _rows(table: str) -> str:
    """Each row as a line of its cells, without their attributes; a caption is a line of its own."""
    lines: list[str] = []
    for row in _ROWS.split(_CAPTION.sub(r"\n\1\n|-\n", _EDGES.sub("\n|-\n", table))):
        cells: list[str] = []
        for line in _HTML_CELL.sub("\n|", row).split("\n"):
            line = line.strip()
            if line[:1] == "|":
                cells += line.removeprefix("|+").removeprefix("|").split("||")
            elif line[:1] == "!":
                cells += _HEAD_CELLS.split(line[1:])
            elif cells:
                cells[-1] += " " + line
        shown = [" ".join(_HTML_END.sub(" ", _plain(cell)).split()) for cell in cells]
        if line := " | ".join(cell for cell in shown if cell):
            lines.append(line)
    return "\n" + "\n".join(lines) + "\n" if lines else ""


def _plain(cell: str) -> str:
    """A cell without the attributes that may stand before it."""
    attributes, bar, rest = cell.partition("|")
    return rest if bar and "=" in attributes and not any(mark in attributes for mark in "[]{}<>") else cell
