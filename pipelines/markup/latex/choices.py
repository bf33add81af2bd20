"""Commands of LaTeX, etoolbox and xparse that take one of their arguments, or ask what follows."""

from collections.abc import Mapping

from pipelines.markup.latex.conditions import test
from pipelines.markup.latex.definitions import FALSE, NO_VALUE, TRUE, Parameter
from pipelines.markup.latex.frames import Frames
from pipelines.markup.latex.names import CHOICES
from pipelines.markup.latex.output import Output


def choose(name: str, frames: Frames, output: Output, switches: Mapping[str, bool]) -> str | None:
    """What stands in the place of the command and its arguments; None if that is not known, or an argument lacks."""
    texts: list[str] = []
    for _ in range(CHOICES[name]):
        argument = frames.argument()
        if argument is None:
            return None
        texts.append(argument)
    return _chosen(name, texts, frames, output, switches)


def _chosen(name: str, texts: list[str], frames: Frames, output: Output, switches: Mapping[str, bool]) -> str | None:
    if name in ("@ifnextchar", "kernel@ifnextchar"):
        return texts[1] if len(texts[0]) == 1 and frames.peek() == texts[0] else texts[2]
    if name == "@ifstar":
        star = frames.parameter(Parameter("star", "*"))
        return texts[1] if star == FALSE else texts[0]
    if name == "ensuremath":
        return texts[0] if output.mode.ask() else f"${texts[0]}$"
    if name in ("xspace", "@xspace", "@firstofone", "@firstoftwo", "@secondoftwo", "@gobble", "@empty"):
        if name.startswith("@first") or name == "@secondoftwo":
            return texts[name == "@secondoftwo"]
        return "{}" if name.endswith("xspace") and output.ends_in_word() else ""
    holds = _holds(name, texts, switches)
    if holds is None:
        return None
    if name.startswith(("IfValue", "IfNoValue", "IfBoolean")) and not name.endswith("TF"):
        return texts[1] if holds == name.endswith("T") else ""
    return texts[-2] if holds else texts[-1]


def _holds(name: str, texts: list[str], switches: Mapping[str, bool]) -> bool | None:
    if name.startswith("IfValue"):
        return texts[0] != NO_VALUE
    if name.startswith("IfNoValue"):
        return texts[0] == NO_VALUE
    if name.startswith("IfBoolean"):
        return {TRUE: True, FALSE: False}.get(texts[0].strip())
    if name == "ifthenelse":
        return test(texts[0], switches)
    if name in ("ifbool", "iftoggle"):
        return switches.get(texts[0].strip())
    if name in ("ifblank", "ifstrempty"):
        return not texts[0].strip()
    return texts[0] == texts[1] if name == "ifstrequal" else None
