"""User-defined LaTeX macros: a table of definitions read from left to right, and their expansion in place.

Expansion goes as TeX's does: a definition counts from where it stands, a macro in a body is looked up when it is used,
arguments are taken from the text that follows. Depth, number of expansions and output are limited, so no paper hangs.
"""

import re
from dataclasses import dataclass

MAX_DEPTH = 40  # of macros inside macros
MAX_EXPANSIONS = 200_000
MAX_FAILURES = 100  # calls and definitions whose arguments never close
GROWTH, GROWTH_FLOOR = 8, 1 << 20  # the output is at most 8 times the source, or 1 MiB
MAX_ARGUMENT = 100_000  # characters; a longer argument is an unclosed brace

CONTROL = re.compile(r"\\([A-Za-z@]+|.)", re.S)
BLANK = re.compile(r"[ \t]*\n?[ \t]*")
BRACE = re.compile(r"\\.|[{}]", re.S)
BRACKET = re.compile(r"\\.|[{}\]]", re.S)
COMMAND = re.compile(r"\s*(?:\{\s*\\([A-Za-z@]+|.)\s*\}|\\([A-Za-z@]+|.))", re.S)
PARAMETERS = re.compile(r"\s*((?:#[1-9])*)\s*(?=\{)")
XSPACE = re.compile(r"\\xspace\s*\Z")
ENDS_IN_WORD = re.compile(r"\\[A-Za-z@]+$")
ARGUMENT = re.compile(r"(\\[A-Za-z@]+)?(#+)([1-9])?")
# A body with these is a program, not a text; its calls stay as they are.
PROGRAM = re.compile(
    r"\\(?:if(?!f(?![a-z]))[a-z@]*|else|fi|csname|expandafter|futurelet|catcode|newcommand|renewcommand|[gex]?def|let|loop|"
    r"makeatletter|the|number|advance|setcounter|addtocounter|stepcounter|setlength|global|relax|noexpand|protect)"
    r"(?![A-Za-z])|\\[A-Za-z]*@"
)
DEFINERS = frozenset(
    "newcommand renewcommand providecommand DeclareRobustCommand def gdef edef xdef let DeclareMathOperator "
    "NewDocumentCommand RenewDocumentCommand ProvideDocumentCommand DeclareDocumentCommand".split()
)
# Structure that later steps look for, and LaTeX that must stay LaTeX whatever a paper's preamble does to it.
PROTECTED = frozenset(
    "part chapter section subsection subsubsection paragraph subparagraph appendix begin end documentclass input "
    "include subfile bibliography bibliographystyle printbibliography bibitem cite citep citet ref eqref label "
    "caption footnote item maketitle title author abstract url href par newline the thefootnote thesection "
    "thesubsection theequation thefigure thetable thepage baselinestretch arraystretch refname abstractname "
    "figurename tablename contentsname bibname proofname labelitemi labelenumi qedsymbol today date".split()
)


@dataclass(frozen=True, slots=True)
class Macro:
    """A definition: how many arguments, the default of the first if it is optional, and the body (None: a program)."""

    arguments: int
    default: str | None
    body: str | None
    final: bool = False  # the body is not looked at again


class Expander:
    """One pass over a text. `frames` are the texts still to be read, the innermost last."""

    def __init__(self, text: str) -> None:
        self.table: dict[str, Macro] = {}
        self.out: list[str] = []
        self.size = self.expansions = self.failures = 0
        self.rest_depth = 0  # of the text after the arguments just read
        self.limit = max(GROWTH * len(text), GROWTH_FLOOR)
        self.text, self.at, self.depth = text, 0, 0
        self.frames: list[tuple[str, int, int]] = []

    def run(self) -> str:
        """The text with its macros expanded and their definitions gone."""
        while True:
            match = CONTROL.search(self.text, self.at)
            if match is None:
                self._emit(self.text[self.at :])
                if not self.frames:
                    break
                self.text, self.at, self.depth = self.frames.pop()
                continue
            self._emit(self.text[self.at : match.start()])
            self.at = match.end()
            name = match[1]
            if name in DEFINERS and self.depth < MAX_DEPTH:
                if not self._define(name):
                    self.failures += 1
                    self._emit(match[0])
            elif name in ("global", "long", "outer", "protected") and self.text[self.at : self.at + 5].startswith(
                ("\\def", "\\gdef", "\\edef", "\\xdef", "\\let")
            ):
                continue
            elif name in self.table:
                if not self._expand(name):
                    self._emit(match[0])
            else:
                self._emit(match[0])
            if self.size > self.limit or self.expansions > MAX_EXPANSIONS or self.failures > MAX_FAILURES:
                self._give_up()
                break
        return "".join(self.out)

    def _emit(self, text: str) -> None:
        if text:
            if self.out and text[0].isalpha() and ENDS_IN_WORD.search(self.out[-1]):
                self.out.append(" ")  # `\mathbf` from one macro, a letter from the next
            self.out.append(text)
            self.size += len(text)

    def _give_up(self) -> None:
        """The limits are passed: the rest stays as it is."""
        self.out.append(self.frames[0][0][self.frames[0][1] :] if self.frames else self.text[self.at :])

    def _pull(self) -> bool:
        """Appends what follows the current frame, so that an argument may lie after the end of a macro's body."""
        if not self.frames:
            return False
        text, at, depth = self.frames.pop()
        taken = text[at : at + 4096]
        if at + 4096 < len(text):
            self.frames.append((text, at + 4096, depth))
        self.text, self.at, self.rest_depth = self.text[self.at :] + taken, 0, depth
        return True

    # Definitions.

    def _define(self, definer: str) -> bool:
        """Reads a definition after its command; False if it is not one that is understood (it then stays)."""
        begin, text = self.at, self.text
        at = begin + 1 if text.startswith("*", begin) else begin
        command = COMMAND.match(text, at)
        if command is None:
            return False
        name, at = command[1] or command[2], command.end()
        if definer == "let":
            return self._let(name, at)
        macro: Macro | None = Macro(0, None, None)
        if definer in ("def", "gdef", "edef", "xdef"):
            parameters = PARAMETERS.match(text, at)
            count = len(parameters[1]) // 2 if parameters else -1
            at = parameters.end() if parameters else text.find("{", at, at + 200)
            body, at = _group(text, at)
            macro = Macro(max(count, 0), None, body if count >= 0 else None)
        elif definer.endswith("DocumentCommand"):
            spec, at = _group(text, _skip(text, at))
            body, at = _group(text, _skip(text, at)) if at >= 0 else (None, -1)
            macro = _document_macro(spec, body)
        elif definer == "DeclareMathOperator":
            body, at = _group(text, _skip(text, at))
            star = "*" if text.startswith("*", begin) else ""
            macro = Macro(0, None, None if body is None else f"\\operatorname{star}{{{body}}}")
        else:
            macro, at = _newcommand(text, at)
        if at < 0 or macro is None:
            return False
        self.at = at
        if definer.lower().startswith("provide") and name in self.table:
            return True
        self._set(name, macro)
        return True

    def _let(self, name: str, at: int) -> bool:
        match = re.compile(r"\s*=?\s*(\\([A-Za-z@]+|.)|\S)", re.S).match(self.text, at)
        if match is None:
            return False
        self.at = match.end()
        meaning = self.table.get(match[2] or "")
        self._set(name, meaning or Macro(0, None, match[1], final=True))
        return True

    def _set(self, name: str, macro: Macro) -> None:
        if name in PROTECTED or "@" in name:
            return
        if macro.body is not None and PROGRAM.search(macro.body):
            macro = Macro(macro.arguments, macro.default, None)
        self.table[name] = macro

    # Uses.

    def _expand(self, name: str) -> bool:
        macro = self.table[name]
        if macro.body is None or self.depth >= MAX_DEPTH:
            return False
        self.rest_depth = self.depth
        arguments: list[str] = []
        body = macro.body
        if macro.arguments:
            if not self._arguments(macro, arguments):
                self.failures += 1
                return False
            body = _substitute(body, arguments)
        elif self.text.startswith("{}", self.at):
            self.at += 2  # `\name{}` only ends the name
        body = XSPACE.sub("", body)
        self.expansions += 1
        if macro.final:
            self._emit(body)
            return True
        self.frames.append((self.text, self.at, self.rest_depth))
        self.text, self.at, self.depth = body, 0, self.depth + 1
        return True

    def _arguments(self, macro: Macro, arguments: list[str]) -> bool:
        """Reads the arguments of a call; without them all, nothing is read."""
        while True:
            at = self.at
            arguments.clear()
            if macro.default is not None:
                after = _skip(self.text, at)
                optional, end = _bracket(self.text, after)
                arguments.append(macro.default if optional is None else optional)
                at = at if optional is None else end
            while len(arguments) < macro.arguments and at >= 0:
                argument, at = _argument(self.text, _skip(self.text, at))
                if at >= 0:
                    arguments.append(argument)
            if at >= 0:
                self.at = at
                return True
            if len(self.text) - self.at > MAX_ARGUMENT or not self._pull():
                return False


def expand(text: str) -> str:
    """Expands the macros that a text defines (comments and verbatim text must be out of it) and drops the definitions."""
    return Expander(text).run()


def _newcommand(text: str, at: int) -> tuple[Macro | None, int]:
    """`[count][default]{body}` after the name."""
    count, default = 0, None
    number, end = _bracket(text, _skip(text, at))
    if number is not None:
        count, at = int(number) if re.fullmatch(r"\s*[0-9]\s*", number) else -1, end
        default, end = _bracket(text, _skip(text, at))
        at = end if default is not None else at
    body, at = _argument(text, _skip(text, at))
    return (Macro(count, default, body) if count >= 0 else Macro(0, None, None)), at


def _document_macro(spec: str | None, body: str | None) -> Macro | None:
    match = re.fullmatch(r"\s*(?:(o)|O\s*\{([^{}]*)\})?((?:\s*m)*)\s*", spec or "")
    if body is None:
        return None
    if match is None or match[1]:  # stars, tokens and `o`, which asks whether the argument is there
        return Macro(0, None, None)
    return Macro(match[3].count("m") + (match[2] is not None), match[2], body)


def _skip(text: str, at: int) -> int:
    match = BLANK.match(text, at)
    return match.end() if match else at


def _group(text: str, at: int) -> tuple[str | None, int]:
    """The inside of the `{…}` at `at` and the place after it; (None, -1) without one."""
    if at < 0 or not text.startswith("{", at):
        return None, -1
    depth = 0
    for match in BRACE.finditer(text, at, at + MAX_ARGUMENT):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                return text[at + 1 : match.start()], match.end()
    return None, -1


def _bracket(text: str, at: int) -> tuple[str | None, int]:
    """The inside of the `[…]` at `at` and the place after it; (None, -1) without one."""
    if not text.startswith("[", at):
        return None, -1
    depth = 0
    for match in BRACKET.finditer(text, at + 1, at + MAX_ARGUMENT):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
        elif match[0] == "]" and depth == 0:
            return text[at + 1 : match.start()], match.end()
    return None, -1


def _argument(text: str, at: int) -> tuple[str, int]:
    """A group, a control sequence or one character; the place is -1 if there is none."""
    if text.startswith("{", at):
        group, end = _group(text, at)
        return group or "", end
    if at >= len(text) or text[at] == "}" or text[at] == "\n":
        return "", -1
    control = CONTROL.match(text, at)
    return (control[0], control.end()) if control else (text[at], at + 1)


def _substitute(body: str, arguments: list[str]) -> str:
    def put(match: re.Match[str]) -> str:
        word, marks, digit = match[1] or "", match[2], match[3]
        if len(marks) > 1 or digit is None:
            return f"{word}{marks[: max(1, len(marks) // 2)]}{digit or ''}"
        value = arguments[int(digit) - 1] if int(digit) <= len(arguments) else ""
        return f"{word} {value}" if word and value[:1].isalpha() else word + value

    return ARGUMENT.sub(put, body)
