"""What LaTeX's and TeX's definitions say: parameters and bodies of macros and environments."""

import re
from dataclasses import dataclass, replace

from pipelines.markup.latex.arguments import bracket, group, skip_blank, token, until

NO_VALUE, TRUE, FALSE = "-NoValue-", "\\BooleanTrue", "\\BooleanFalse"  # as xparse writes them
MAX_PARAMETERS = 9
COMMAND = {
    False: re.compile(r"\s*(?:\{\s*\\([A-Za-z]+|.)\s*\}|\\([A-Za-z]+|.))", re.S),
    True: re.compile(r"\s*(?:\{\s*\\([A-Za-z@]+|.)\s*\}|\\([A-Za-z@]+|.))", re.S),
}
COUNT = re.compile(r"\s*[0-9]{1,3}\s*")
KEYED = re.compile(r"\s*([1-9])\s*=\s*")
NAME = re.compile(r"\s*\{\s*([A-Za-z@]+\*?)\s*\}")
CALLED = r"\\csname\s*([A-Za-z@]+)\s*\\endcsname(?![A-Za-z@])"
LITERAL = re.compile(rf"\s*\\([A-Za-z@]+)\*?\s*(?:(?:\\expandafter\s*)?\{{\s*{CALLED}\s*\}}|{CALLED})")
TARGET = r"\s*(?:\\expandafter\s*)*(?:\\csname(?:(?!\\endcsname)[^{}]){0,200}\\endcsname|\{[^{}]{0,200}\}|\\(?:[A-Za-z@]+|.))"
COMPUTED = re.compile(rf"\s*\\(?:(let){TARGET}\s*=?{TARGET}|([A-Za-z@]+)\*?{TARGET}[^{{}}]{{0,200}}(?=\{{))", re.S)
PARAMETER_TEXT = re.compile(r"[^{}]{0,200}(?=\{)")
PARAMETER = re.compile(r"#([1-9])([^#]*)")
SPECIFIER = re.compile(
    r"\s*(?:[+!>]\s*)*(?:([ms])|(o)|O\s*\{([^{}]*)\}|t\s*(\S)|([dr])\s*(\S)\s*(\S)|([DR])\s*(\S)\s*(\S)\s*\{([^{}]*)\})\s*"
)
DELIMITER = re.compile(r"\\(?:[A-Za-z@]+|.)|\S", re.S)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: `mandatory`, `optional` or `required` (between `opening` and `closing`), `star` (the character
    `opening`, there or not), `delimited` (up to the text `closing`)."""

    kind: str
    opening: str = ""
    closing: str = ""
    default: str = NO_VALUE


@dataclass(frozen=True, slots=True)
class Macro:
    """A definition; a body of None is one that is not understood. `letter`: @ is a letter in it; `final`: it is not looked
    at again; `prefix`: what stands before the first argument; `pair`: delimiters that grow by a star or a size."""

    parameters: tuple[Parameter, ...]
    body: str | None
    letter: bool = False
    final: bool = False
    prefix: str = ""
    pair: tuple[str, str] | None = None


UNKNOWN = Macro((), None)
MANDATORY = Parameter("mandatory")


def literal(text: str, at: int) -> tuple[str, str, int] | None:
    """`\\def\\csname name\\endcsname` behind an `\\expandafter`: the definer, the name, and the place after it."""
    match = LITERAL.match(text, at)
    return (match[1], match[2] or match[3], match.end()) if match else None


def computed(text: str, at: int) -> tuple[str, int] | None:
    """The definer behind an `\\expandafter`, and where its whole statement ends, if its name has to be computed."""
    match = COMPUTED.match(text, at)
    if match is None or match[1]:
        return ("let", match.end()) if match else None
    end = group(text, match.end())[1]
    return (match[2], end) if end >= 0 else None


def newcommand(text: str, at: int, keyed: bool = False) -> tuple[Macro, int]:
    """`[count][default]{body}` after the name, `[count][1=default,…]` if `keyed` (xargs); the place is -1 if that is not
    there."""
    parameters, at = _counted(text, at, keyed)
    body, at = token(text, at, True) if at >= 0 else (None, -1)
    return (UNKNOWN if parameters is None else Macro(parameters, body)), at


def newenvironment(text: str, at: int, keyed: bool = False) -> tuple[Macro, Macro, int]:
    """`[count][default]{begin}{end}` after the name."""
    parameters, at = _counted(text, at, keyed)
    first, at = group(text, skip_blank(text, at))
    last, at = group(text, skip_blank(text, at)) if at >= 0 else (None, -1)
    return (UNKNOWN if parameters is None else Macro(parameters, first)), Macro((), last), at


def document_command(text: str, at: int) -> tuple[Macro, int]:
    """`{specification}{body}` of xparse after the name."""
    specification, at = group(text, skip_blank(text, at))
    body, at = token(text, at, True) if at >= 0 else (None, -1)
    parameters = specified(specification or "")
    return (UNKNOWN if parameters is None else Macro(parameters, body)), at


def document_environment(text: str, at: int) -> tuple[Macro, Macro, int]:
    """`{specification}{begin}{end}` of xparse after the name; the end may use the arguments, too."""
    specification, at = group(text, skip_blank(text, at))
    first, at = group(text, skip_blank(text, at)) if at >= 0 else (None, -1)
    last, at = group(text, skip_blank(text, at)) if at >= 0 else (None, -1)
    parameters = specified(specification or "")
    if parameters is None:
        return UNKNOWN, UNKNOWN, at
    return Macro(parameters, first), Macro((), None if "#" in (last or "#") else last), at


def tex_def(text: str, at: int) -> tuple[Macro, int]:
    """`parameters{body}` of `\\def` after the name."""
    match = PARAMETER_TEXT.match(text, at)
    if match is None:
        return UNKNOWN, -1
    body, at = group(text, match.end())
    written = match[0]
    first = written.find("#")
    prefix = written.strip() if first < 0 else written[:first].strip()
    parameters = [
        Parameter("delimited", closing=after.strip() or " ") if after else MANDATORY
        for _, after in PARAMETER.findall(written)
    ]
    numbers = [number for number, _ in PARAMETER.findall(written)]
    if written.count("#") != len(numbers) or numbers != [str(number + 1) for number in range(len(numbers))]:
        return UNKNOWN, at
    return Macro(tuple(parameters), body, prefix=prefix), at


def paired_delimiter(text: str, at: int, extended: bool) -> tuple[Macro, int]:
    """`{left}{right}` of mathtools after the name, or `[count]{left}{right}{body}`."""
    count = 1
    if extended:
        number, end = bracket(text, skip_blank(text, at))
        if number is None or not COUNT.fullmatch(number):
            return UNKNOWN, -1
        count, at = int(number), end
    pieces: list[str] = []
    for _ in range(3 if extended else 2):
        piece, at = token(text, at, True)
        if piece is None:
            return UNKNOWN, -1
        pieces.append(piece)
    parameters = (Parameter("star", "*"), Parameter("optional", "[", "]"), *(MANDATORY,) * min(count, MAX_PARAMETERS))
    return Macro(parameters, pieces[2] if extended else "#1", pair=(pieces[0], pieces[1])), at


def paired(macro: Macro, arguments: list[str]) -> tuple[str, list[str]]:
    """The body of a paired delimiter for its star or size, and the arguments that it then has."""
    left, right = macro.pair or ("", "")
    star, size, body = arguments[0], arguments[1], macro.body or ""
    if star == TRUE:
        sizes = ("\\left", "\\middle", "\\right")
    elif size != NO_VALUE:
        sizes = (f"{size}l", size, f"{size}r")
    else:
        sizes = ("", "", "")
    body = re.sub(r"\\delimsize(?![A-Za-z@])\s*", lambda match: sizes[1], body)
    gap = " " if re.search(r"\\[A-Za-z]+$", left) else ""
    return f"{sizes[0]}{left}{gap}{body}{sizes[2]}{right}", arguments[2:]


def operator(text: str, at: int, star: str) -> tuple[Macro, int]:
    """`{name}` of `\\DeclareMathOperator` after the command."""
    body, at = group(text, skip_blank(text, at))
    return Macro((), None if body is None else f"\\operatorname{star}{{{body}}}"), at


def specified(specification: str) -> tuple[Parameter, ...] | None:
    """The parameters of an xparse specification; None if it has a letter that is not understood (`e`, `v`, `b`, …)."""
    parameters: list[Parameter] = []
    at, specification = 0, specification.strip()
    while at < len(specification):
        match = SPECIFIER.match(specification, at)
        if match is None or len(parameters) == MAX_PARAMETERS:
            return None
        at = match.end()
        plain, optional, default, test, between, opening, closing, with_default, first, last, value = match.groups()
        if plain == "m":
            parameters.append(MANDATORY)
        elif plain or test:
            parameters.append(Parameter("star", test or "*"))
        elif optional or default is not None:
            parameters.append(Parameter("optional", "[", "]", NO_VALUE if default is None else default))
        elif between:
            kind = "optional" if between == "d" else "required"
            parameters.append(Parameter(kind, opening, closing))
        else:
            parameters.append(Parameter("optional" if with_default == "D" else "required", first, last, value))
    return tuple(parameters)


def with_letter(macro: Macro, letter: bool) -> Macro:
    """The macro as one defined where @ is a letter, or is not."""
    return replace(macro, letter=letter) if letter != macro.letter else macro


def _counted(text: str, at: int, keyed: bool = False) -> tuple[tuple[Parameter, ...] | None, int]:
    """`[count][default]`; None where the count is none."""
    number, end = bracket(text, skip_blank(text, at))
    if number is None:
        return (), at
    if not COUNT.fullmatch(number) or int(number) > MAX_PARAMETERS:
        return None, end
    default, after = bracket(text, skip_blank(text, end))
    if default is None:
        return (MANDATORY,) * int(number), end
    if keyed:
        return _keyed(int(number), default), after
    return (Parameter("optional", "[", "]", default), *(MANDATORY,) * (int(number) - 1)), after


def _keyed(count: int, defaults: str) -> tuple[Parameter, ...] | None:
    """The parameters of xargs: those with a default are optional, at any place; None for its other keys."""
    parameters = [MANDATORY] * count
    at = 0
    while at < len(defaults):
        match = KEYED.match(defaults, at)
        if match is None or not 1 <= int(match[1]) <= count:
            return None
        value, end = group(defaults, match.end())
        if value is None:
            value, end = until(defaults, match.end(), ",")
            end = len(defaults) if value is None else end - 1
            value = defaults[match.end() : end].strip()
        if defaults[end : end + 1] not in ("", ","):
            return None
        parameters[int(match[1]) - 1] = Parameter("optional", "[", "]", value)
        at = end + 1
    return tuple(parameters)
