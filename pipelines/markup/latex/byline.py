"""Title and authors of a paper, as the many classes of journals have them written."""

import re
from collections.abc import Iterator

from pipelines.markup.latex.arguments import bracket, group, skip_blank
from pipelines.markup.latex.kept import MARK
from pipelines.markup.latex.plain import plain_text

TITLE = re.compile(r"\\(?:title|papertitle|Title|icmltitle|mlsystitle|aistatstitle)(?![A-Za-z@])\*?")
AUTHOR = re.compile(r"\\(?:author|authors|Author|icmlauthor|aistatsauthor|coauthor|fullauthor)(?![A-Za-z@])\*?")
NAME_BLOCK = re.compile(r"\\(?:IEEEauthorblockN|name|fnm|sur|Name)(?![A-Za-z@])\s*")
BETWEEN = re.compile(r"\\(?:and|And|AND|qquad|quad|linebreakand|newauthor|authorcr)(?![A-Za-z@])|&")
LINE = re.compile(r"\\\\|\\(?:newline|par|affil|address|email|institute|affiliation)(?![A-Za-z@])|\n[ \t]*\n")
COMMAS = re.compile(r",\s*(?:and\s+)?|;\s*|(?:^|\s+)(?:and|&)\s+")
SUFFIX = re.compile(r"(?:jr|sr|ph\.?\s?d|m\.?d|ii|iii|iv)\.?", re.I)
PLACE = re.compile(
    r"@|https?:|www\.|\d|\b(?:universit|institut|department|dept|school|college|laborator|centre\b|center\b|faculty|research\b|inc\b"
    r"|email|e-mail|street|fakult|lab\b|engineering\b|group\b|sciences?\b|systems?\b|collaboration paper|corresponding|authors? are|google|microsoft|academy|division)",
    re.I,
)
NAME_CHARS = 60
MAX_AUTHORS = 5000
MAX_UNCLOSED = 20  # arguments; each is looked for to its limit
FULL_STOP = re.compile(r"(?<=[a-z]{3})\.$")
NUMBERS = re.compile(r"\[[^\]]*\]|(?<=[^\W\d_])\d+(?:\s*,\s*\d+)*|\*+$|[∗†‡§¶]")


def title_of(text: str) -> str:
    """The title in plain text, empty without one; `text` is the paper with its macros expanded."""
    return next((title for inside in _arguments(TITLE, text) if (title := plain_text(inside))), "")


def title_source(text: str) -> str:
    """The title with its markup, as `\\title{…}`; empty without one."""
    return next((f"\\title{{{inside.strip()}}}" for inside in _arguments(TITLE, text) if plain_text(inside)), "")


def authors_of(text: str) -> tuple[str, ...]:
    """The names of the authors in plain text, in their order; lines with places, addresses and digits are none."""
    found: dict[str, None] = {}
    for inside in _arguments(AUTHOR, text):
        found.update(dict.fromkeys(_names(inside)))
        if len(found) > MAX_AUTHORS:
            break
    return tuple(found)


def _arguments(command: re.Pattern[str], text: str) -> Iterator[str]:
    """The braced arguments of a command, each behind optional ones, without the marks of definitions."""
    unclosed = 0
    for match in command.finditer(text):
        at = skip_blank(text, match.end())
        while (after := bracket(text, at)[1]) >= 0:
            at = skip_blank(text, after)
        inside = group(text, at)[0]
        if inside is not None:
            yield MARK.sub("", inside)
        elif (unclosed := unclosed + 1) > MAX_UNCLOSED:
            return


def _names(inside: str) -> list[str]:
    blocks = [group(inside, match.end())[0] for match in NAME_BLOCK.finditer(inside)]
    if any(blocks):
        joined = " ".join if "\\fnm" in inside else ", ".join
        inside = joined(block for block in blocks if block)
    names: list[str] = []
    for part in BETWEEN.split(inside):
        for line in LINE.split(part):
            here = _of_line(line)
            if not here and names:
                break  # from here on there are places
            names += here
    return names


def _of_line(line: str) -> list[str]:
    text = plain_text(line)
    names: list[str] = []
    for piece in COMMAS.split(text):
        name = NUMBERS.sub("", piece).strip(" ,;*{}()\\") if not SUFFIX.fullmatch(piece.strip()) else ""
        name = FULL_STOP.sub("", name)
        if SUFFIX.fullmatch(piece.strip()) and names:
            names[-1] += f" {piece.strip()}"
        elif PLACE.search(name) and not names:
            return []
        elif PLACE.search(name):
            break
        elif 1 < len(name) <= NAME_CHARS and any(char.isalpha() for char in name) and "$" not in name:
            names.append(name)
    alone = len(names) == 1 and names[0] == text.strip(" ,.;*")
    return names if alone else [name for name in names if " " in name or not name.isascii()]
