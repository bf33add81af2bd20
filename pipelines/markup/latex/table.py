"""The macros, environments and switches of a paper, and the reading of their definitions."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from pipelines.markup.latex import definitions
from pipelines.markup.latex.arguments import CONTROL
from pipelines.markup.latex.definitions import Macro
from pipelines.markup.latex.frames import Frame, Frames
from pipelines.markup.latex.kept import Definitions
from pipelines.markup.latex.names import CHOICES, ENVIRONMENTS, INTERNAL, PROGRAM, PROTECTED
from pipelines.markup.latex.output import Output

LET = re.compile(r"\s*=?[ \t]?(\\([A-Za-z@]+|.)|\S)", re.S)
LINE_END = re.compile(r"[ \t]*\n")
DEFINED = re.compile(r"\\(?:[gex]?def|let|(?:re)?newcommand\*?)\s*\{?\s*\\([A-Za-z@]+)")
NAMES = {False: re.compile(r"\\([A-Za-z]+)"), True: re.compile(r"\\([A-Za-z@]+)")}


@dataclass(slots=True)
class Environment:
    """What an environment begins with and ends with."""

    begin: Macro
    end: Macro


class Table:
    """What is defined at the present place. Definitions are local to their groups and leave a mark in the output; `now`
    expands a body at once (`\\edef`)."""

    def __init__(self, frames: Frames, output: Output, now: Callable[[str], str | None]) -> None:
        self.frames, self.output, self._now = frames, output, now
        self.macros: dict[str, Macro] = {}
        self.environments: dict[str, Environment] = {}
        self.switches: dict[str, bool] = {}
        self.excluded: set[str] = set()
        self.definitions = Definitions()
        self.style = False  # definitions are those of a style: plain ones alone count, and only where there is none yet
        self._programs: dict[Macro, bool] = {}

    def define(self, definer: str, frame: Frame, begin: int, name: str = "") -> bool:
        """Reads a definition after its command, or after the name if that was read; False if it is not one that is understood
        (it then stays)."""
        text, at = frame.text, frame.at
        star = text.startswith("*", at)
        at += star
        environment = "nvironment" in definer
        if not name:
            braced = environment or definer == "@namedef"
            command = (definitions.NAME if braced else definitions.COMMAND[frame.letter]).match(text, at)
            if command is None:
                return False
            name, at = (command[1] if braced else command[1] or command[2]), command.end()
        end = definitions.UNKNOWN
        if definer == "let":
            return self._let(name, frame, at, begin)
        if environment:
            if "Document" in definer:
                macro, end, at = definitions.document_environment(text, at)
            else:
                macro, end, at = definitions.newenvironment(text, at, definer[-1] == "x")
        elif definer in ("def", "gdef", "edef", "xdef", "@namedef"):
            macro, at = definitions.tex_def(text, at)
        elif definer.endswith("DocumentCommand"):
            macro, at = definitions.document_command(text, at)
        elif definer == "DeclareMathOperator":
            macro, at = definitions.operator(text, at, "*" if star else "")
        elif definer.startswith("DeclarePairedDelimiter"):
            macro, at = definitions.paired_delimiter(text, at, definer.endswith("X"))
        else:
            macro, at = definitions.newcommand(text, at, definer[-1] == "x")
        if at < 0:
            return False
        frame.at = at
        if definer in ("edef", "xdef") and macro.body is not None:
            macro = replace(macro, body=self._now(macro.body))
        source = text[begin:at]
        if environment:
            self._set_environment(name, definitions.with_letter(macro, frame.letter), end, source)
        elif not (definer in ("providecommand", "providecommandx", "ProvideDocumentCommand") and name in self.macros):
            everywhere = definer in ("gdef", "xdef") or text.endswith("\\global", max(0, begin - 7), begin)
            self._set(name, definitions.with_letter(macro, frame.letter), source, everywhere)
        self._skip_line_end(frame)
        return True

    def _let(self, name: str, frame: Frame, at: int, begin: int) -> bool:
        match = LET.match(frame.text, at)
        if match is None:
            return False
        if not frame.letter and (control := CONTROL[False].match(frame.text, match.start(1))):
            target, frame.at = control[1], control.end()
        else:
            target, frame.at = match[2] or "", match.end()
        if target == "comment" and target not in self.macros:
            self.excluded.add(name)
            return True
        if not match[2]:
            target = ""
        meaning = self.macros.get(target)
        written = f"\\{target}" if target else match[1]
        self._set(name, meaning or Macro((), written, final=True), frame.text[begin : frame.at], False)
        self._skip_line_end(frame)
        return True

    def _set(self, name: str, macro: Macro, source: str, everywhere: bool) -> None:
        if name in PROTECTED:
            return
        if self.style:
            if macro.body is not None and "@" not in macro.body and not self.program(macro):
                self.macros.setdefault(name, macro)
            return
        old = self.macros.get(name)
        if not everywhere:
            self.frames.at_group_end(lambda: self._restore(name, old))
        self.macros[name] = macro
        self.output.mark(self.definitions.add(name, source))

    def _restore(self, name: str, old: Macro | None) -> None:
        if old is None:
            self.macros.pop(name, None)
        else:
            self.macros[name] = old

    def _set_environment(self, name: str, begin: Macro, end: Macro, source: str) -> None:
        if name.rstrip("*") in ENVIRONMENTS or (self.style and "@" in f"{begin.body}{end.body}"):
            return
        if begin.body is not None and re.search(r"\\(?:comment(?![A-Za-z@])|begin\s*\{comment\})", begin.body):
            self.excluded.add(name)
            return
        self.environments[name] = Environment(begin, definitions.with_letter(end, begin.letter))
        if self.style:
            return
        self.output.mark(self.definitions.add(f"begin {name}", source))

    def _skip_line_end(self, frame: Frame) -> None:
        """A definition that has its line for itself leaves none."""
        if self.output.ends_line() and (rest := LINE_END.match(frame.text, frame.at)):
            frame.at = rest.end()

    def switch(self, name: str, frame: Frame) -> bool:
        """`\\newif`, `\\newboolean`, `\\setboolean` and their like."""
        if name == "newif":
            match = definitions.COMMAND[frame.letter].match(frame.text, frame.at)
            if match is None or not (match[1] or match[2]).startswith("if"):
                return False
            frame.at = match.end()
            self.switches[(match[1] or match[2])[2:]] = False
        elif name in ("excludecomment", "includecomment"):
            named = self.frames.argument() or ""
            (self.excluded.add if name[0] == "e" else self.excluded.discard)(named)
            if name[0] == "i":
                self.environments[named] = Environment(Macro((), ""), Macro((), ""))
        else:
            mark = self.frames.mark()
            named = self.frames.argument() or ""
            value = self.frames.argument() if name.startswith("set") else "false"
            if name.startswith("toggle"):
                value = name.removeprefix("toggle")
            if not named or value not in ("true", "false"):
                self.frames.back(mark)
                return False
            self.switches[named] = value == "true"
        self._skip_line_end(self.frames.top)
        return True

    def program(self, macro: Macro) -> bool:
        """Whether a body is a program, not a text: it asks what this pass does not know."""
        known = self._programs.get(macro)
        if known is None:
            known = macro.body is None
            if macro.body is not None and not macro.final:
                inner = set(DEFINED.findall(macro.body))
                known = any(
                    name not in inner and self._opaque(name) for name in NAMES[macro.letter].findall(macro.body)
                )
            self._programs[macro] = known
        return known

    def _opaque(self, name: str) -> bool:
        if name in self.macros or name in CHOICES:
            return False
        if name.startswith("if"):
            return name[2:] not in self.switches and name not in ("ifmmode", "iftrue", "iffalse", "ifx", "ifnum", "iff")
        return name in PROGRAM or ("@" in name and name not in INTERNAL)
