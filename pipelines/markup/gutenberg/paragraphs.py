"""Joins the hard-wrapped lines of paragraphs; verse, tables, lists and speeches keep their lines.

A line was wrapped where the next word had no room in the width of the book; a line of verse ends although it had.
"""

import itertools
import re

_PARAGRAPH = re.compile(r"(?:[^\n]*\S[^\n]*(?:\n|\Z))+")
_COLUMNS = re.compile(r"\S {3,}\S|\||\t|\.{4,}|(?:\. ){4,}")
_SPEAKER = re.compile(r"^[ \t]*(?:[A-Z][A-Z .'’-]{2,30}[.:](?: |$)|_[^_\n]{2,30}\._)", re.M)
_ITEM = re.compile(r"^[ \t]*(?:[*•·-]|\d{1,3}[.)]|[ivxlc]{1,6}\.)[ \t]", re.M)
LEAST_WIDTH = 50  # characters; a book of shorter lines is verse, or wrapped by nobody
SLACK = 4  # characters that a wrapped line may fall short, since books are not wrapped to the character
FULL = 0.9  # of the lines of a wrapped paragraph, but the last one, are full


def join_paragraphs(text: str) -> str:
    """The text with each wrapped paragraph in one line."""
    width = _width(text)
    if width < LEAST_WIDTH:
        return text
    return _PARAGRAPH.sub(lambda match: _joined(match[0], width), text)


def _width(text: str) -> int:
    """The width of the book: 95 of 100 lines that another one follows in their paragraph are not longer."""
    lines = text.split("\n")
    lengths = sorted(len(line.rstrip()) for line, after in itertools.pairwise(lines) if line.strip() and after.strip())
    return lengths[int(0.95 * (len(lengths) - 1))] if lengths else 0


def _joined(paragraph: str, width: int) -> str:
    end = "\n" if paragraph.endswith("\n") else ""
    lines = [line.rstrip() for line in paragraph.removesuffix("\n").split("\n")]
    if len(lines) < 2 or not _is_wrapped(lines, width) or _keeps_lines(paragraph):
        return paragraph
    joined = lines[0]
    for line in lines[1:]:
        line = line.lstrip()
        hyphen = joined.endswith(("-", "—")) and joined[-2:-1] != " "
        joined += line if hyphen else f" {line}"
    return joined + end


def _is_wrapped(lines: list[str], width: int) -> bool:
    """Whether the lines are full and set at the same place."""
    indents = {len(line) - len(line.lstrip()) for line in lines[1:]}
    if len(indents) > 1:
        return False
    full = sum(
        len(line) + 1 + len(after.split(None, 1)[0]) > width - SLACK for line, after in itertools.pairwise(lines)
    )
    return full >= FULL * (len(lines) - 1)


def _keeps_lines(paragraph: str) -> bool:
    """Whether it is a table, a list, or speeches."""
    if _COLUMNS.search(paragraph):
        return True
    return len(_SPEAKER.findall(paragraph)) > 1 or len(_ITEM.findall(paragraph)) > 1
