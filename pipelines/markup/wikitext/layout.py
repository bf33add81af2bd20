"""The lines of a page: lists as `- ` lines, headings as plain lines; empty items, empty sections and blank lines go."""

import re

from pipelines.markup.wikitext.marks import REMOVED, mend

_LIST = re.compile(r"([*#:;]+)[ \t]*(.*)", re.S)
_LABEL = re.compile(r"[^:]{1,40}:[ ,;.]*")  # of a list item whose templates are gone
_BLANKS = re.compile(r"[ \t]{2,}|\t")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_EMPTY = f" \t-,.;:–—•·{REMOVED}"


def heading_level(line: str) -> int:
    """1 to 6 for `= a =` to `====== a ======`, 0 for another line."""
    if not (line.startswith("=") and line.endswith("=") and len(line) > 2):
        return 0
    front, back = len(line) - len(line.lstrip("=")), len(line) - len(line.rstrip("="))
    return min(front, back, 6, (len(line) - 1) // 2)


def lay_out(text: str) -> str:
    """The text of a page whose markup within lines is resolved."""
    layout = _Layout()
    for line in reversed(text.split("\n")):
        layout.take(line)
    return layout.text()


class _Layout:
    """Takes the lines from the last to the first, since what follows a heading decides about it."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.following = 7  # the level of the heading that follows, 0 if text follows, 7 at the end
        self.below = 0  # how deep the list line that follows stands, 0 if another line follows

    def take(self, line: str) -> None:
        """The next line towards the beginning."""
        marked = REMOVED in line
        if marked:
            line = mend(line)
            if line == REMOVED:
                return  # it held nothing else
        if not line:
            self.kept.append("")
            self.below = 0
            return
        if line[0] in _PLAIN:
            self.keep(line)
        elif line[0] == " " and not marked:
            self._indented(line)
        else:
            self._line(line.strip(), marked)

    def keep(self, line: str) -> None:
        """A line of text."""
        self.below = 0
        self._append(_BLANKS.sub(" ", line).rstrip() if "  " in line or "\t" in line else line.rstrip())

    def _append(self, line: str) -> None:
        self.following = 0
        self.kept.append(line)

    def _indented(self, line: str) -> None:
        """A line that a blank leads is shown as it is written."""
        self.below = 0
        shown = line[1:].rstrip()
        if shown.strip(_EMPTY):
            self._append(shown if shown[0] in " \t" or "  " in shown else shown.strip())
        elif not shown:
            self.kept.append("")

    def _line(self, line: str, marked: bool) -> None:
        if marked and not line.strip("= "):
            return  # a heading whose words are gone
        if level := heading_level(line):
            title = line[level:-level].strip()
            if title.strip(_EMPTY) and self.following < 7 and not 0 < self.following <= level:
                self.following = level
                self.kept += ["", _BLANKS.sub(" ", title), ""]
        elif line[:1] and line[0] in "*#:;" and (match := _LIST.fullmatch(line)):
            self._item(match[1], match[2].strip(), marked)
        elif line.strip(_EMPTY):
            self.keep(line)
        elif not line:
            self.kept.append("")

    def _item(self, marks: str, line: str, marked: bool) -> None:
        depth = min(sum(mark in "*#" for mark in marks), 9)
        if not line.strip(_EMPTY) or (marked and depth and _LABEL.fullmatch(line) and self.below <= depth):
            return
        within = depth > 0 and marks[-1] == ":"  # another line of the list's item
        line = _BLANKS.sub(" ", line)
        if depth:
            line = "  " * depth + line if within else "  " * (depth - 1) + "- " + line
        self._append(line)
        self.below = depth + within

    def text(self) -> str:
        """The lines from the first to the last, without repeated blank ones."""
        kept = self.kept[::-1]
        while kept and not kept[-1]:
            kept.pop()
        return "\n".join(line for index, line in enumerate(kept) if line or (index and kept[index - 1]))
