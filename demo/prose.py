"""English (and a little German, French, Spanish, Russian) prose from hand-written template grammars.

A grammar file holds rules. `key: a | b | c` gives short alternatives on one line; `key:` alone is followed by one longer
alternative per indented line. `<key>` inside an alternative is replaced by an expansion of that rule, `<key.past>` by its
inflected form (`MODIFIERS`). A key that the document's cast defines (a town, a person) takes the cast's word instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random

GRAMMARS = Path(__file__).parent / "grammar"
TOPICS = tuple(sorted(path.stem for path in (GRAMMARS / "topics").glob("*.txt")))

MANNER_SHARE = 0.7  # of the alternatives of a rule

_REFERENCE = re.compile(r"<([a-z][a-z_0-9]*)((?:\.[a-z]+)*)>")
_IRREGULAR = {
    "begin": "began", "cut": "cut", "dig": "dug", "draw": "drew", "feed": "fed", "find": "found", "grind": "ground",
    "heave": "heaved", "keep": "kept", "leave": "left", "let": "let", "plot": "plotted", "put": "put", "read": "read",
    "ride": "rode", "ring": "ringed", "send": "sent", "set": "set", "sing": "sang", "sit": "sat", "sow": "sowed",
    "strip": "stripped", "take": "took", "teach": "taught", "wind": "wound", "write": "wrote", "fit": "fitted",
    "skim": "skimmed", "stir": "stirred", "map": "mapped", "drag": "dragged",
}  # fmt: skip
_SMALL = frozenset(("a", "an", "and", "at", "by", "for", "from", "in", "its", "of", "on", "or", "the", "to", "with"))

Part = str | tuple[str, tuple[str, ...]]  # literal text, or a rule with its modifiers
Template = tuple[Part, ...]
Rules = dict[str, tuple[Template, ...]]


def _past(phrase: str) -> str:
    verb, space, rest = phrase.partition(" ")
    if verb in _IRREGULAR:
        verb = _IRREGULAR[verb]
    elif verb.endswith("e"):
        verb += "d"
    elif verb.endswith("y") and verb[-2] not in "aeou":
        verb = verb[:-1] + "ied"
    else:
        verb += "ed"
    return verb + space + rest


def _third(phrase: str) -> str:
    verb, space, rest = phrase.partition(" ")
    if verb.endswith(("s", "sh", "ch", "x", "o")):
        verb += "es"
    elif verb.endswith("y") and verb[-2] not in "aeou":
        verb = verb[:-1] + "ies"
    else:
        verb += "s"
    return verb + space + rest


def _article(phrase: str) -> str:
    vowel = phrase[0].lower() in "aeio" or phrase.startswith(("up", "un", "ug", "hour"))
    return ("an " if vowel and not phrase.startswith(("one", "eu")) else "a ") + phrase


def _title(phrase: str) -> str:
    words = phrase.split(" ")
    return " ".join(w if i and w in _SMALL else w[:1].upper() + w[1:] for i, w in enumerate(words))


MODIFIERS: Mapping[str, Callable[[str], str]] = {
    "a": _article,
    "bare": lambda phrase: phrase.removeprefix("the "),
    "cap": lambda phrase: phrase[:1].upper() + phrase[1:],
    "past": _past,
    "s": _third,
    "the": lambda phrase: "the " + phrase,
    "title": _title,
}


def compile_template(text: str) -> Template:
    """The literal and referring parts of one alternative, in order."""
    parts: list[Part] = []
    end = 0
    for match in _REFERENCE.finditer(text):
        if match.start() > end:
            parts.append(text[end : match.start()])
        parts.append((match[1], tuple(match[2].split(".")[1:])))
        end = match.end()
    if end < len(text):
        parts.append(text[end:])
    return tuple(parts)


@cache
def load_rules(name: str) -> Rules:
    """The rules of `demo/grammar/<name>.txt`; a rule may be defined once."""
    rules: dict[str, list[str]] = {}
    current: list[str] = []
    for line in (GRAMMARS / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith(" "):
            current.append(line.strip())
            continue
        key, _, short = line.partition(":")
        assert key not in rules, f"{name}: rule {key} is defined twice"
        current = rules[key] = [part.strip() for part in short.split(" | ") if part.strip()]
    return {key: tuple(compile_template(text) for text in texts) for key, texts in rules.items()}


@cache
def plain_words(name: str, rule: str) -> tuple[str, ...]:
    """The alternatives of a rule that refers to no other rule."""
    templates = load_rules(name)[rule]
    assert all(len(template) == 1 for template in templates), f"{name}: rule {rule} refers to other rules"
    return tuple(str(template[0]) for template in templates)


@cache
def load_grammar(*names: str) -> Rules:
    """Several grammar files as one; a later file's rule of the same name wins."""
    merged: Rules = {}
    for name in names:
        merged.update(load_rules(name))
    return merged


class Prose:
    """Writes one document: draws each rule's alternatives without repeating one before all have been used.

    `cast` gives the words that stay the same through the document. A `manner` keeps only a part of every larger rule's
    alternatives, always the same for that manner: an author's own vocabulary, so that two books differ in more than
    the order of their sentences.
    """

    def __init__(self, rules: Rules, rng: Random, cast: Mapping[str, Callable[[], str]], manner: str = "") -> None:
        self.rng = rng
        self._rules = rules
        self._cast = cast
        self._manner = manner
        self._known: dict[str, Sequence[Template]] = {}
        self._bags: dict[str, list[Template]] = {}

    def say(self, rule: str) -> str:
        """One expansion of `rule`."""
        if rule in self._cast:
            return self._cast[rule]()
        return self.fill(self._draw(rule))

    def fill(self, template: Template) -> str:
        """The template with every reference replaced by a fresh expansion."""
        out: list[str] = []
        for part in template:
            if isinstance(part, str):
                out.append(part)
                continue
            text = self.say(part[0])
            for modifier in part[1]:
                text = MODIFIERS[modifier](text)
            out.append(text)
        return "".join(out)

    def sentence(self, rule: str = "sentence") -> str:
        """One expansion of `rule` that begins with a capital letter."""
        text = self.say(rule)
        head = len(text) - len(text.lstrip('"'))
        return text[:head] + text[head : head + 1].upper() + text[head + 1 :]

    def paragraph(self, rule: str, least: int, most: int) -> str:
        """Between `least` and `most` sentences, joined by spaces."""
        return " ".join(self.sentence(rule) for _ in range(self.rng.randint(least, most)))

    def _draw(self, rule: str) -> Template:
        bag = self._bags.get(rule)
        if not bag:
            if rule not in self._known:
                self._known[rule] = self._choose(rule)
            bag = self._bags[rule] = list(self._known[rule])
            self.rng.shuffle(bag)
        return bag.pop()

    def _choose(self, rule: str) -> Sequence[Template]:
        templates = self._rules[rule]
        if not self._manner or len(templates) < 4:
            return templates
        return Random(f"{self._manner}/{rule}").sample(templates, max(3, round(len(templates) * MANNER_SHARE)))
