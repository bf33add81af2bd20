"""The texts that are being read, the innermost last, and the groups in them."""

import bisect
import heapq
import re
from collections.abc import Callable

from pipelines.markup.latex.arguments import PARAGRAPH, skip_blank, token, until
from pipelines.markup.latex.definitions import FALSE, TRUE, Macro, Parameter

GROUP = re.compile(
    r"(?P<left>\{)|(?P<right>\})|\\(?:(?P<open>begingroup|bgroup|begin)|(?P<close>endgroup|egroup|end))(?![A-Za-z@])|\\[\\{}]",
)
OPENING = (("{", 1), ("\\{", -1), ("\\begin{", 1), ("\\begingroup", 1), ("\\bgroup", 1))
CLOSING = (("}", 1), ("\\}", -1), ("\\end{", 1), ("\\endgroup", 1), ("\\egroup", 1))
Undo = tuple[int, int, Callable[[], None]]


class Frame:
    """A text and the place in it. `file` names the file it is, empty for what a macro left; `letter`: @ is a letter."""

    def __init__(self, text: str, depth: int = 0, letter: bool = False, file: str = "") -> None:
        self.text, self.at, self.depth, self.letter, self.file = text, 0, depth, letter, file
        self.undo: list[Undo] = []
        self._counted = self._open = 0
        self._countable: bool | None = None
        self._places: list[int] | None = None
        self._ends: list[int] = []

    def group_end(self, at: int) -> int:
        """Where the innermost group that holds the place `at` ends; -1 if it is in none that ends in this text."""
        if self._outside(at):
            return -1
        if self._places is None:
            self._places, self._ends = _groups(self.text)
        index = bisect.bisect_right(self._places, at) - 1
        return self._ends[index] if index >= 0 else -1

    def _outside(self, at: int) -> bool:
        """Whether a place is in no group as the numbers of opening and closing marks say; each is counted once."""
        if self._countable is None:  # a brace behind a line break looks like an escaped one
            self._countable = "\\\\{" not in self.text and "\\\\}" not in self.text
        if at < self._counted or not self._countable:
            return False
        for sign, marks in ((1, OPENING), (-1, CLOSING)):
            for mark, count in marks:
                self._open += sign * count * self.text.count(mark, self._counted, at)
        self._counted = at
        return self._open == 0

    def cut(self, end: int) -> None:
        """Ends the text at a place."""
        self.text = self.text[:end]


def _groups(text: str) -> tuple[list[int], list[int]]:
    """The places where another group becomes the innermost, and where that one ends (-1: nowhere)."""
    places: list[int] = []
    holders: list[int] = []
    ends: list[int] = [-1]  # of the groups by their number; 0 is none
    stack: list[tuple[int, bool]] = []
    for match in GROUP.finditer(text):
        kind = match.lastgroup
        if kind == "left" or kind == "open":
            stack.append((len(ends), kind == "left"))
            ends.append(-1)
        elif kind is not None and stack and stack[-1][1] == (kind == "right"):
            ends[stack.pop()[0]] = match.start()
        else:
            continue
        places.append(match.end())
        holders.append(stack[-1][0] if stack else 0)
    return places, [ends[holder] for holder in holders]


class Frames:
    """The stack of texts. Arguments may lie behind the end of a macro's body, in the text that called it."""

    def __init__(self) -> None:
        self.stack: list[Frame] = []
        self._serial = 0

    @property
    def top(self) -> Frame:
        """The innermost text."""
        return self.stack[-1]

    def push(self, frame: Frame) -> None:
        """Reads a text next; one that is read to its end goes, so that calls at the end of bodies do not pile up."""
        while self.stack and not self.top.file and self.top.at >= len(self.top.text) and len(self.stack) > 1:
            self.pop()
        self.stack.append(frame)

    def pop(self) -> None:
        """Leaves the innermost text, and the groups in it."""
        frame = self.stack.pop()
        while frame.undo:
            heapq.heappop(frame.undo)[2]()

    def at_group_end(self, undo: Callable[[], None]) -> None:
        """Calls `undo` when the group of the present place has ended, if that has an end."""
        for frame in reversed(self.stack):
            end = frame.group_end(frame.at)
            if end >= 0:
                self._serial += 1
                heapq.heappush(frame.undo, (end, -self._serial, undo))
                return

    def leave_groups(self, at: int) -> None:
        """Undoes what was local to groups of the innermost text that have ended at a place."""
        undo = self.top.undo
        while undo and undo[0][0] <= at:
            heapq.heappop(undo)[2]()

    def mark(self) -> list[tuple[Frame, int]]:
        """The present place, to go back to."""
        return [(frame, frame.at) for frame in self.stack]

    def back(self, mark: list[tuple[Frame, int]]) -> None:
        """Goes back to a place."""
        self.stack = [frame for frame, _ in mark]
        for frame, at in mark:
            frame.at = at

    def _down(self) -> bool:
        """Leaves bodies that have nothing more but blanks, for what follows them."""
        while not self.top.file and len(self.stack) > 1 and not self.top.text[self.top.at :].strip(" \t"):
            if self.top.undo:
                return False
            self.stack.pop()
        return True

    def peek(self) -> str:
        """The next character that is no blank; a line end if a paragraph ends before it, nothing at the end."""
        self._down()
        frame = self.top
        if PARAGRAPH.match(frame.text, frame.at):
            return "\n"
        at = skip_blank(frame.text, frame.at)
        return frame.text[at : at + 1]

    def argument(self) -> str | None:
        """The next argument without braces; None if there is none."""
        self._down()
        frame = self.top
        value, at = token(frame.text, frame.at, frame.letter)
        if at >= 0:
            frame.at = at
        return value if at >= 0 else None

    def parameter(self, parameter: Parameter) -> str | None:
        """The argument for a parameter; None if a call lacks it."""
        kind = parameter.kind
        if kind == "mandatory":
            return self.argument()
        if kind == "delimited":
            value, at = until(self.top.text, self.top.at, parameter.closing)
            self.top.at = at if at >= 0 else self.top.at
            return value
        mark = self.mark()
        if self.peek() != parameter.opening:
            self.back(mark)
            return None if kind == "required" else FALSE if kind == "star" else parameter.default
        frame = self.top
        frame.at = skip_blank(frame.text, frame.at) + 1
        if kind == "star":
            return TRUE
        value, at = until(frame.text, frame.at, parameter.closing)
        frame.at = at if at >= 0 else frame.at
        return value

    def arguments(self, macro: Macro) -> list[str] | None:
        """The arguments of a call, behind its name; None, and nothing is read, if it lacks one."""
        mark = self.mark()
        if macro.prefix:
            self._down()
            at = skip_blank(self.top.text, self.top.at)
            if not self.top.text.startswith(macro.prefix, at):
                self.back(mark)
                return None
            self.top.at = at + len(macro.prefix)
        elif macro.parameters and macro.parameters[0].kind == "delimited":
            self.top.at = skip_blank(self.top.text, self.top.at)
        found: list[str] = []
        for parameter in macro.parameters:
            value = self.parameter(parameter)
            if value is None:
                self.back(mark)
                return None
            found.append(value)
        return found
