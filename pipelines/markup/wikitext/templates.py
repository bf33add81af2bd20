"""`{{…}}` of a page, from the inside out: by the dump's own definitions, else by the list of known ones, else removed.

Boxes, notes, citations, navigation, and whatever neither the dump nor the list says, go. Formulas in them stay.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipelines.markup.wikitext.definitions import Definitions, NotPlain, evaluate, template_key
from pipelines.markup.wikitext.functions import is_function
from pipelines.markup.wikitext.known import known
from pipelines.markup.wikitext.marks import REMOVED
from pipelines.markup.wikitext.parts import Call, split_arguments
from pipelines.markup.wikitext.shield import FORMULA, FORMULAS, Shield
from pipelines.markup.wikitext.tags import remove_extensions

MAX_TEXT = 20_000  # characters; a longer one is no phrase
MAX_DEPTH = 20  # what is nested deeper is removed, so that no text is copied more often
BUDGET = 100_000  # characters that a page's definitions may give, besides BUDGET_RATE times its own length
BUDGET_RATE = 20
_BRACES = re.compile(r"([{}])\1+")  # a class and a reference: ten times as fast as two alternatives
_NAME = re.compile(r"[^|{}\[\]<>]*")
_WITHOUT_FORMULAS = re.compile(r"(?:cite|citation|cita|ouvrage|article|literatur|infobox|taxobox|.*\bbox)\b")
_QUOTED = {ord("|"): "\x06", ord("="): "\x07"}  # what a template shows within another one separates no arguments
_BOX_ARGUMENTS = 4  # named ones; a template with more is a box


@dataclass(frozen=True, slots=True)
class _Name:
    """What is known of a template by its name."""

    expanded: bool  # it is a parser function or the dump defines it
    shower: Callable[[Sequence[str]], str] | None


_NOTHING = _Name(False, None)


@dataclass
class Expander:
    """Says what the templates of one page show."""

    title: str = ""
    definitions: Definitions | None = None
    shield: Shield = field(default_factory=Shield)
    budget: int = BUDGET
    names: dict[str, _Name] = field(default_factory=dict)  # as written

    def may_show(self, name: str) -> bool:
        """Whether a template of this name, as written, can show text."""
        return self._name(name) is not _NOTHING

    def _name(self, name: str) -> _Name:
        found = self.names.get(name)
        if found is None:
            key = template_key(name)
            defined = self.definitions is not None and self.definitions.get(key) is not None
            found = _Name(defined or is_function(key), known(key.lower()))
            self.names[name] = found = found if found.expanded or found.shower else _NOTHING
        return found

    def show(self, source: str) -> str:
        """What the template of `name|argument|…` shows; empty if that is nothing or unknown."""
        name, bar, rest = source.partition("|")
        found = self._name(name)
        if len(source) > MAX_TEXT or found is _NOTHING:
            return self._formulas(name, rest)
        arguments = split_arguments(rest) if bar else []
        shown = self._expanded(name, arguments) if found.expanded else None
        if shown is None:
            shown = found.shower(arguments) if found.shower else self._formulas(name, rest)
        return shown.strip("\n").replace(REMOVED, "")

    def _expanded(self, name: str, arguments: list[str]) -> str | None:
        """By a parser function or the dump's definition; None where that is more than plain text around arguments."""
        try:
            shown = evaluate(Call(((name,), *((argument,) for argument in arguments))), self, {}, 0)
        except NotPlain:
            return None
        return remove_extensions(shown, self.shield) if "<" in shown else shown

    def spend(self, amount: int) -> None:
        """Counts what is expanded; NotPlain when it is too much for one page."""
        self.budget -= amount
        if self.budget < 0:
            raise NotPlain

    def _formulas(self, name: str, rest: str) -> str:
        if FORMULA not in rest or _WITHOUT_FORMULAS.match(template_key(name).lower()):
            return ""
        if rest.count("=") > _BOX_ARGUMENTS and len(re.findall(r"(?:\A|\|)\s*[\w ]+=", rest)) > _BOX_ARGUMENTS:
            return ""
        return " ".join(FORMULAS.findall(rest))


def expand_templates(text: str, expander: Expander) -> str:
    """Resolves `{{…}}` and removes `{{{…}}}`; of unclosed braces those that could be markup go.

    REMOVED is left where a template went, for `mend`. A template that can show nothing is gone through without a look at
    what is in it.
    """
    if "{{" not in text and "}}" not in text:
        return text
    runs: list[tuple[int, list[str], bool]] = [(0, [], False)]  # open runs: braces left, pieces after it, shows nothing
    silent = last = 0  # open runs that show nothing
    for match in _BRACES.finditer(text):
        begin, end = match.span()
        runs[-1][1].append(text[last:begin])
        last = end
        if text[begin] == "{":
            name = _NAME.match(text, end)
            mute = silent > 0 or (end - begin == 2 and name is not None and not expander.may_show(name[0]))
            silent += mute
            runs.append((end - begin, [], mute))
            continue
        at = begin
        while len(runs) > 1 and end - at >= 2:
            left, pieces, mute = runs.pop()
            silent -= mute
            used = 3 if left >= 3 and end - at >= 3 else 2
            left, at = left - used, at + used
            inner = "".join(pieces)
            if used == 3 or len(runs) > MAX_DEPTH:
                shown = ""
            elif silent:
                shown = " ".join(FORMULAS.findall(inner)) if FORMULA in inner else ""
            else:
                shown = expander.show(inner)
            if left >= 2:
                silent += mute
                runs.append((left, [shown], mute))
                continue
            around = runs[-1][1]
            around.append("{" * left)
            around.append((shown.translate(_QUOTED) if len(runs) > 1 else shown) or REMOVED)
        if at < end:
            runs[-1][1].append(_closing(text, begin, end - at))
    runs[-1][1].append(text[last:])
    text = "".join(REMOVED * (number > 0) + "".join(pieces) for number, (_, pieces, _) in enumerate(runs))
    return text.replace("\x06", "|").replace("\x07", "=")


def _closing(text: str, begin: int, count: int) -> str:
    """Braces that close nothing: `{1, {2, 3}}` was written by hand, others were markup."""
    low = max(begin - 500, 0)
    line = text[max(low, text.rfind("\n", low, begin) + 1) : begin]
    return "}" * count if line.count("{") - line.count("}") >= count else REMOVED
