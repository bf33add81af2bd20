"""User-defined LaTeX macros expanded in place, as TeX expands them.

A definition counts from where it stands to the end of its group, a macro in a body is looked up when it is used, arguments
are taken from the text that follows. A definition leaves a mark: at the end those of commands that could not be expanded
come back, so that no call is left without its meaning. Depth, number of expansions and output are limited, so no paper hangs.
"""

import functools
import re
from collections.abc import Callable

from pipelines.markup.latex import definitions
from pipelines.markup.latex.arguments import CONTROL, skip_blank, substitute
from pipelines.markup.latex.choices import choose
from pipelines.markup.latex.conditions import branches, decide
from pipelines.markup.latex.definitions import Macro
from pipelines.markup.latex.frames import Frame, Frames
from pipelines.markup.latex.names import ACTIVE, CHOICES, DEFINERS, PREFIXES, SWITCH_DEFINERS
from pipelines.markup.latex.output import Output
from pipelines.markup.latex.table import Environment, Table

MAX_DEPTH = 40  # of macros inside macros
MAX_EXPANSIONS = 200_000
MAX_FAILURES = 100  # calls, definitions and conditions that never close
GROWTH, GROWTH_FLOOR = 8, 1 << 20  # the output is at most 8 times the source, or 1 MiB
ENVIRONMENT = re.compile(r"\s*\{\s*([^{}\\\n]{1,60}?)\s*\}")
CSNAME = re.compile(r"\s*([A-Za-z@]+)\s*\\endcsname(?![A-Za-z@])")
Loader = Callable[["Expander", str], bool]


class Expander:
    """One pass over a text. `loader` takes commands that read files; it says whether it did."""

    def __init__(self, loader: Loader | None = None) -> None:
        self.frames = Frames()
        self.output = Output()
        self.table = Table(self.frames, self.output, self.now)
        self.expansions = self.failures = 0
        self.limit = GROWTH_FLOOR
        self.loader = loader
        self._open: list[str] = []  # environments that were expanded and are not closed

    def run(self, text: str, file: str = "main.tex") -> str:
        """The text with its macros expanded, and a mark in the place of each definition (`definitions.settle`)."""
        self.limit = max(GROWTH * len(text), GROWTH_FLOOR)
        self.frames.push(Frame(text, file=file))
        while self.frames.stack:
            frame = self.frames.top
            match = self._next(frame)
            if match is None:
                self.output.write(frame.text[frame.at :])
                self.frames.pop()
                continue
            self.output.write(frame.text[frame.at : match.start()])
            frame.at = match.end()
            if not self._take(match[1], frame):
                self.output.write(match[0])
            if self.output.size > self.limit or self.expansions > MAX_EXPANSIONS or self.failures > MAX_FAILURES:
                self._give_up()
        return "".join(self.output.pieces)

    def _next(self, frame: Frame) -> re.Match[str] | None:
        """The next command of a text that may mean something here; all others are text."""
        macros, undo = self.table.macros, frame.undo
        for match in CONTROL[frame.letter].finditer(frame.text, frame.at):
            if undo:
                self.frames.leave_groups(match.start())
            name = match[1]
            if name in macros or _has_meaning(name):
                return match
        return None

    def now(self, body: str) -> str | None:
        """A body expanded where it stands (`\\edef`); None if it does not expand to the end."""
        inner = Expander()
        inner.table.macros, inner.table.switches = dict(self.table.macros), dict(self.table.switches)
        text = inner.run(body)
        self.expansions += inner.expansions + 1
        return None if inner.table.definitions.unexpanded or "\x01" in text or len(text) > GROWTH_FLOOR else text

    def _give_up(self) -> None:
        """The limits are passed: the rest stays as it is, with all definitions."""
        for frame in reversed(self.frames.stack):
            self.output.pieces.append(frame.text[frame.at :])
        self.frames.stack.clear()
        self.table.definitions.unexpanded.update(self.table.macros)

    def _take(self, name: str, frame: Frame) -> bool:
        """Does what a command says; False if it stays as it is."""
        if name in self.table.macros:
            return self._expand(name, self.table.macros[name])
        if name in DEFINERS:
            begin = frame.at - len(name) - 1
            done = frame.depth < MAX_DEPTH and self.table.define(name, frame, begin)
            self.failures += not done
            return done
        if name in PREFIXES:
            at = skip_blank(frame.text, frame.at)
            following = CONTROL[frame.letter].match(frame.text, at)
            if following is not None and following[1] == "expandafter":
                named = definitions.literal(frame.text, following.end())
                return named is not None and named[0] in DEFINERS
            return following is not None and (following[1] in DEFINERS or following[1] in PREFIXES)
        if name == "expandafter":
            return self._define_after(frame)
        if name in SWITCH_DEFINERS:
            return self.table.switch(name, frame)
        if name[:2] == "if" and frame.depth < MAX_DEPTH and self._condition(name, frame):
            return True
        if name in ("begin", "end"):
            return self._environment(name, frame)
        if name in CHOICES and frame.depth < MAX_DEPTH:
            return self._choose(name, frame)
        if name.endswith(("true", "false")) and name.removesuffix("true").removesuffix("false") in self.table.switches:
            self.table.switches[name.removesuffix("true").removesuffix("false")] = name.endswith("true")
            return True
        if name in ("makeatletter", "makeatother"):
            frame.letter = name == "makeatletter"
            return True
        if name == "csname" and (called := CSNAME.match(frame.text, frame.at)) and called[1] in self.table.macros:
            frame.at = called.end()
            if self._expand(called[1], self.table.macros[called[1]]):
                return True
            frame.at = called.start()
            return False
        return self.loader is not None and self.loader(self, name)

    def _define_after(self, frame: Frame) -> bool:
        """`\\expandafter` before a definition: of a name between `\\csname` and `\\endcsname` it is read as any; one of a name
        that has to be computed is a program and stays whole."""
        begin = frame.at - len("\\expandafter")
        named = definitions.literal(frame.text, frame.at)
        if named is not None and named[0] in DEFINERS and frame.depth < MAX_DEPTH:
            at, frame.at = frame.at, named[2]
            if self.table.define(named[0], frame, begin, named[1]):
                return True
            frame.at = at
        whole = definitions.computed(frame.text, frame.at)
        if whole is None or whole[0] not in DEFINERS:
            return False
        self.output.write(frame.text[begin : whole[1]])
        frame.at = whole[1]
        return True

    def _expand(self, name: str, macro: Macro) -> bool:
        """Puts the body of a macro in the place of a call."""
        frame = self.frames.top
        depth = frame.depth
        arguments = None
        if depth < MAX_DEPTH and not self.table.program(macro):
            arguments = self.frames.arguments(macro)
            self.failures += arguments is None
        if arguments is None:
            self.table.definitions.unexpanded.add(name)
            return False
        body = macro.body or ""
        if macro.pair is not None:
            body, arguments = definitions.paired(macro, arguments)
        if macro.parameters:
            body = substitute(body, arguments)
        elif frame.text.startswith("{}", frame.at):
            frame.at += 2  # `\name{}` only ends the name
        self.expansions += 1
        if macro.final:
            self.output.write(body)
        else:
            self.frames.push(Frame(body, depth + 1, macro.letter))
        return True

    def _environment(self, name: str, frame: Frame) -> bool:
        match = ENVIRONMENT.match(frame.text, frame.at)
        if match is None:
            return False
        named = match[1]
        if name == "begin" and named in self.table.excluded:
            end = re.compile(rf"\\end\s*\{{\s*{re.escape(named)}\s*\}}").search(frame.text, match.end())
            self.failures += end is None
            frame.at = end.end() if end else frame.at
            return end is not None
        if name == "end" and named == "document" and frame.file and len(self.frames.stack) == 1:
            frame.cut(match.end())
        environment = self.table.environments.get(named)
        if environment is None and named in self.table.macros and f"end{named}" in self.table.macros:
            environment = Environment(self.table.macros[named], self.table.macros[f"end{named}"])
        if environment is None:
            return False
        if name == "end":
            if not self._open or self._open[-1] != named:
                return False
            self._open.pop()
            frame.at = match.end()
            self.frames.push(Frame(environment.end.body or "", frame.depth + 1, environment.end.letter))
            return True
        mark = self.frames.mark()
        frame.at = match.end()
        arguments = None
        if (
            frame.depth < MAX_DEPTH
            and not self.table.program(environment.begin)
            and not self.table.program(environment.end)
        ):
            arguments = self.frames.arguments(environment.begin)
        if arguments is None:
            self.table.definitions.unexpanded.update((f"begin {named}", named, f"end{named}"))
            self.frames.back(mark)
            return False
        self.expansions += 1
        self._open.append(named)
        body = substitute(environment.begin.body or "", arguments)
        self.frames.push(Frame(body, frame.depth + 1, environment.begin.letter))
        return True

    def _condition(self, name: str, frame: Frame) -> bool:
        if name == "ifmmode":
            holds, at = self.output.mode.ask(), frame.at
        else:
            decided, at = decide(name, frame.text, frame.at, frame.letter, self.table.macros, self.table.switches)
            if decided is None:
                return False
            holds = decided
        found = branches(frame.text, at, self.table.macros)
        if found is None:
            self.failures += 1
            return False
        end, start, last = found
        at, start = skip_blank(frame.text, at), skip_blank(frame.text, start) if start >= 0 else last
        chosen = frame.text[at:end] if holds else frame.text[start:last]
        frame.at = last + len("\\fi")
        self._drop_blank(frame)
        self.expansions += 1
        inner = Frame(chosen, frame.depth + 1, frame.letter)
        self.frames.push(inner)
        return True

    def _drop_blank(self, frame: Frame) -> None:
        """A line that only ended a condition goes with it."""
        if self.output.ends_line() and frame.text.startswith("\n", frame.at):
            frame.at += 1

    def _choose(self, name: str, frame: Frame) -> bool:
        """Commands of LaTeX and xparse that take one of their arguments, or ask what follows."""
        mark = self.frames.mark()
        chosen = choose(name, self.frames, self.output, self.table.switches)
        if chosen is None:
            self.frames.back(mark)
            return False
        self.expansions += 1
        self.frames.push(Frame(chosen, frame.depth + 1, frame.letter))
        return True


def expand(text: str) -> str:
    """Expands the macros that a text defines (comments and verbatim text must be out of it) and drops their definitions, but
    those of commands that could not be expanded."""
    expander = Expander()
    return expander.table.definitions.settle(expander.run(text), 0)


@functools.lru_cache(maxsize=1 << 14)
def _has_meaning(name: str) -> bool:
    """Whether a command may mean something that no definition has told."""
    return name in ACTIVE or name[:2] == "if" or name[-4:] in ("true", "alse")
