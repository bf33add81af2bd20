"""A page as MediaWiki's Parsoid renders it (Enterprise HTML dumps) -> plain text, laid out as that of wikitext.

Notes, boxes, navigation, pictures and what is not displayed go by element, type or class; tables too, unless they are kept.
"""

import re

from lxml import etree

from pipelines.markup.wikitext.elements import script_text
from pipelines.markup.wikitext.layout import lay_out
from pipelines.markup.wikitext.marks import REMOVED
from pipelines.markup.wikitext.shield import CONTROLS, Shield

_TAGS = frozenset(
    "style script link meta noscript template figure audio video map nav object iframe title head img input button "
    "figure-inline svg".split()
)
_CLASSES = frozenset(
    "reference references reflist mw-references-wrap navbox infobox hatnote metadata noprint toc mw-editsection ambox "
    "thumb sidebar vertical-navbox catlinks mw-empty-elt sistersitebox shortdescription portal portalbox mbox-small "
    "dablink rellink mw-kartographer-container gallery error navbar coordinates geo ext-phonos mw-tmh-player "
    "authority-control stub tmbox ombox fmbox imbox cmbox infobox_v2 infobox_v3 bandeau-container navbox-styles "
    "mw-cite-backlink mw-jump-link thumbinner tright tleft".split()
)
_TYPES = (
    "mw:File",
    "mw:Image",
    "mw:Video",
    "mw:Audio",
    "mw:Extension/ref",
    "mw:Extension/gallery",
    "mw:Extension/graph",
)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_HEADINGS = {f"h{level}": "=" * level for level in range(1, 7)}
_PARAGRAPHS = frozenset((*_HEADINGS, "p", "blockquote", "pre", "table", "hr", "section", "center"))
_BLOCKS = frozenset("body div ul ol dl li dd dt tr caption tbody thead tfoot article address details summary".split())
_LISTS = {"ul": "*", "ol": "#", "dl": ":"}
_SPACE = re.compile(r"[ \t\r\n\f\v\u00a0]+")
_STYLE = re.compile(r"\{\\(?:displaystyle|textstyle)\s*(.*)\}", re.S)
_MARKUP = frozenset("*#:;= ")


def rendered_to_text(source: str, tables: bool) -> str:
    """Plain text of a page; any input gives some text."""
    source = CONTROLS.sub("", source)
    if not source.strip():
        return ""
    parser = etree.HTMLParser(huge_tree=True, recover=True, remove_comments=True, remove_pis=True, encoding="utf-8")
    root = etree.fromstring(source.encode("utf-8", "replace"), parser)
    if root is None:
        return ""
    builder = _Builder(tables)
    todo: list[tuple[etree._Element, bool]] = [(root, False)]
    while todo:
        element, ended = todo.pop()
        if ended:
            builder.end(element.tag)
        elif (shown := builder.instead(element)) is not None:
            builder.current.append(shown)
        else:
            builder.start(element.tag)
            builder.text(element.text)
            todo.append((element, True))
            todo.extend((child, False) for child in reversed(element))
            continue
        builder.text(element.tail)
    return builder.close()


class _Builder:
    """Takes elements and texts in their order; its lines are as wikitext has them, for `lay_out`."""

    def __init__(self, tables: bool) -> None:
        self.tables = tables
        self.shield = Shield()
        self.lines: list[str] = []
        self.current: list[str] = []
        self.lists: list[str] = []  # marks of the lists that are open
        self.used = False  # the open item has a line
        self.pre = self.cells = self.rows = 0
        self.scripts: list[tuple[str, int]] = []  # open sup and sub: where their text begins in `current`

    def instead(self, element: etree._Element) -> str | None:
        """What an element shows instead of its content: a formula, nothing; None for the content itself."""
        tag = element.tag
        if not isinstance(tag, str) or tag in _TAGS or (tag == "table" and not self.tables):
            return REMOVED
        classes = element.get("class")
        if classes:
            names = classes.split()
            if "mwe-math-element" in names:
                return self._formula(element)
            if not _CLASSES.isdisjoint(names):
                return REMOVED
        kinds = element.get("typeof")
        if kinds and kinds.startswith(_TYPES):
            return REMOVED
        style = element.get("style")
        return REMOVED if style and _HIDDEN.search(style) else None

    def _formula(self, element: etree._Element) -> str:
        formula = element.findtext(".//annotation") or ""
        if not formula:
            image = element.find(".//img")
            formula = "" if image is None else image.get("alt") or ""
        match = _STYLE.fullmatch(formula.strip())
        shown = " ".join((match[1] if match else formula).split())
        return self.shield.put(f"${shown}$", formula=True) if shown else REMOVED

    def start(self, tag: str) -> None:
        """Opens an element."""
        if tag in _PARAGRAPHS or tag in _BLOCKS:
            self.flush()
            if tag in _PARAGRAPHS and not self.lists and not self.rows:
                self.lines.append("")
            if tag in _LISTS:
                self.lists.append(_LISTS[tag])
            elif tag in ("li", "dd", "dt"):
                self.used = False
            self.pre += tag == "pre"
            self.rows += tag == "table"
            if tag == "tr":
                self.cells = 0
        elif tag == "br":
            self.current.append("\n" if self.pre or not self.rows else " ")
        elif tag in ("td", "th"):
            self.current.append(" | " if self.cells else "")
            self.cells += 1
        elif tag in ("sup", "sub"):
            self.scripts.append((tag, len(self.current)))

    def end(self, tag: str) -> None:
        """Closes an element."""
        if tag in _HEADINGS:
            title = " ".join("".join(self.current).split())
            self.current.clear()
            self.lines += ["", f"{_HEADINGS[tag]}{title}{_HEADINGS[tag]}" if title else "", ""]
        elif tag == "pre":
            self.pre -= 1
            code = "".join(self.current).strip("\n")
            self.current.clear()
            self.lines += [self.shield.put(code) if code.strip() else "", ""]
        elif tag in _PARAGRAPHS or tag in _BLOCKS:
            self.rows -= tag == "table"
            self.flush(row=tag in ("tr", "caption"))
            if tag in _LISTS:
                self.lists.pop()
                self.used = True
            elif tag in _PARAGRAPHS and not self.lists and not self.rows:
                self.lines.append("")
        elif tag in ("sup", "sub") and self.scripts:
            name, begin = self.scripts.pop()
            shown = "".join(self.current[begin:])
            before = "".join(self.current[max(0, begin - 3) : begin])[-2:]
            self.current[begin:] = [script_text(name, shown, before)]

    def text(self, text: str | None) -> None:
        """Takes the text between elements."""
        if text:
            self.current.append(text if self.pre else _SPACE.sub(" ", text))

    def flush(self, row: bool = False) -> None:
        """Ends a line of text; within a table only the end of a row does."""
        if self.rows and not row:
            self.current.append(" ")
            return
        text = "".join(self.current)
        self.current.clear()
        self.scripts.clear()
        marks = "".join(self.lists)
        for line in text.split("\n"):
            line = line.strip()
            if not line:
                continue
            if line[0] in _MARKUP:
                line = self.shield.put(line[0]) + line[1:]
            self.lines.append(f"{marks}{':' if marks and self.used else ''}{line}")
            self.used = True

    def close(self) -> str:
        """The text."""
        self.rows = 0
        self.flush()
        return self.shield.restore(lay_out("\n".join(self.lines)))
