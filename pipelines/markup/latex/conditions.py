"""TeX's and LaTeX's conditions, where they can be decided from the source."""

import re
from collections.abc import Mapping

from pipelines.markup.latex.arguments import CONTROL
from pipelines.markup.latex.definitions import Macro

TAKES_ARGUMENTS = frozenset(  # named like conditions, but without `\fi`
    "iff ifthenelse ifdef ifundef ifcsdef ifdefempty ifdefstring ifstrequal ifstrempty ifblank ifnotblank ifbool iftoggle "
    "ifnumequal ifnumcomp ifinlist ifpackageloaded ifinner@".split()
)
BRANCH = re.compile(r"\\(?:(else|or|fi)|(if[A-Za-z@]*))(?![A-Za-z@])")
NUMBERS = re.compile(r"\s*(-?[0-9]+)\s*([<=>])\s*(-?[0-9]+)(?![0-9])[ \t]*\n?")
COMPARED = re.compile(r"\s*\\(?:pdf)?strcmp\s*\{([^{}\\#]*)\}\s*\{([^{}\\#]*)\}\s*=\s*0(?![0-9])[ \t]*\n?")
ODD = re.compile(r"\s*(-?[0-9]+)(?![0-9])[ \t]*\n?")
UNDEFINED = ("undefined", "@undefined", "relax")
EMPTY = ("empty", "@empty")
EQUAL = re.compile(r"\s*\\equal\s*\{([^{}\\#]*)\}\s*\{([^{}\\#]*)\}\s*")
BOOLEAN = re.compile(r"\s*(\\not\s*)?\\boolean\s*\{\s*([A-Za-z@]+)\s*\}\s*")


def decide(
    name: str, text: str, at: int, letter: bool, macros: Mapping[str, Macro], switches: Mapping[str, bool]
) -> tuple[bool | None, int]:
    """Whether the condition `\\name` that is read up to `at` holds, and the place behind it; None if that is not known."""
    if name in ("iftrue", "iffalse"):
        return name == "iftrue", at
    if name[2:] in switches:
        return switches[name[2:]], at
    if name in ("ifx", "if"):
        first, middle = _token(text, at, letter)
        second, end = _token(text, middle, letter)
        return _same(first, second, macros, name == "ifx"), end
    if name == "ifnum" and (match := NUMBERS.match(text, at)):
        left, right = int(match[1][:18]), int(match[3][:18])
        return {"<": left < right, "=": left == right, ">": left > right}[match[2]], match.end()
    if name == "ifnum" and (match := COMPARED.match(text, at)):
        return match[1] == match[2], match.end()
    if name == "ifodd" and (match := ODD.match(text, at)):
        return int(match[1][-1]) % 2 == 1, match.end()
    return None, at


def test(condition: str, switches: Mapping[str, bool]) -> bool | None:
    """Whether the test of an `\\ifthenelse` holds; None if that is not known."""
    if match := EQUAL.fullmatch(condition):
        return match[1].strip() == match[2].strip()
    if (match := BOOLEAN.fullmatch(condition)) and match[2] in switches:
        return switches[match[2]] != (match[1] is not None)
    return None


def branches(text: str, at: int, macros: Mapping[str, Macro]) -> tuple[int, int, int] | None:
    """For a condition whose text begins at `at`: where the first branch ends, where the second begins (-1: there is none),
    and where the `\\fi` begins; None if it does not come."""
    depth, end, start = 0, -1, -1
    for match in BRANCH.finditer(text, at):
        if match[2] is not None:
            depth += match[2] not in TAKES_ARGUMENTS and match[2] not in macros
        elif match[1] == "fi":
            if depth == 0:
                return (end if end >= 0 else match.start()), start, match.start()
            depth -= 1
        elif match[1] == "or" and depth == 0:
            return None
        elif match[1] == "else" and depth == 0 and end < 0:
            end, start = match.start(), match.end()
    return None


def _token(text: str, at: int, letter: bool) -> tuple[str, int]:
    while at < len(text) and text[at] in " \t\n":
        at += 1
    if control := CONTROL[letter].match(text, at):
        return control[0], control.end()
    return text[at : at + 1], at + 1


def _same(first: str, second: str, macros: Mapping[str, Macro], meaning: bool) -> bool | None:
    if not first or not second or {first, second} & set("{}#$"):
        return None
    controls = [token[1:] for token in (first, second) if token[0] == "\\"]
    if not controls:
        return first == second
    if not meaning:
        return None
    if first == second:
        return True
    known = [macros.get(name) for name in controls]
    if len(controls) == 1:  # a character and a command: the same only by `\let`
        return None if known[0] is not None and known[0].final else False
    if known[0] is not None and known[1] is not None:
        return known[0] == known[1]
    for name, other in ((controls[0], known[1]), (controls[1], known[0])):
        if other is None or other.final or other.body is None:
            continue
        if name in UNDEFINED:
            return False
        if name in EMPTY:
            return not other.body and not other.parameters
    return None
