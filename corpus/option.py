"""Documented fields of frozen configuration dataclasses. The line of doc of a field is also its `--help` text, and the
range and choices of a field are those of its option, its key in files and its argument in Python."""

from __future__ import annotations

import dataclasses
import difflib
import operator
from collections.abc import Iterable
from typing import Any, Literal

from corpus.synonyms import SYNONYMS

_CLOSE, _CLOSE_SYNONYM = 0.5, 0.85


def option(
    default: Any,
    doc: str,
    *,
    choices: tuple[str, ...] = (),
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    unit: Literal["count", "bytes", ""] = "",
    metavar: str = "",
    flag: str = "",
) -> Any:
    """A field with a default and its one line of documentation.

    `choices` limits the values of a string; a number is from `least` to `most`, or `above` and `below` without these
    bounds themselves. `unit` says what a whole number counts: without it a name that ends in `bytes` is of bytes, and any
    other a count. `flag` is the option's name where it is not the field's.
    """
    metadata = _metadata(doc, choices, least, most, above, below, unit, metavar, flag)
    return dataclasses.field(default=default, metadata=metadata)


def option_required(
    doc: str,
    *,
    choices: tuple[str, ...] = (),
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    unit: Literal["count", "bytes", ""] = "",
    metavar: str = "",
    flag: str = "",
) -> Any:
    """A field that must be given; the arguments are those of `option`."""
    return dataclasses.field(metadata=_metadata(doc, choices, least, most, above, below, unit, metavar, flag))


def _metadata(
    doc: str,
    choices: tuple[str, ...],
    least: float | None,
    most: float | None,
    above: float | None,
    below: float | None,
    unit: str,
    metavar: str,
    flag: str,
) -> dict[str, Any]:
    bounds = Bounds(least, most, above, below)
    return {"doc": doc, "choices": choices, "bounds": bounds, "unit": unit, "metavar": metavar, "flag": flag}


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The range of a number; None is no bound."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def problem(self, value: float) -> str:
        """What to give instead of a number that is out of the range, such as `give at least 1`; empty if it is not."""
        checks = (
            ("at least", self.least, operator.ge),
            ("above", self.above, operator.gt),
            ("at most", self.most, operator.le),
            ("below", self.below, operator.lt),
        )
        missed = [
            f"{word} {_shown(bound)}" for word, bound, holds in checks if bound is not None and not holds(value, bound)
        ]
        if missed and self.least is not None and self.most is not None:
            return f"give a number from {_shown(self.least)} to {_shown(self.most)}"
        return f"give {' and '.join(missed)}" if missed else ""


def _shown(bound: float | None) -> str:
    return f"{bound:,}" if isinstance(bound, int) else str(bound)


SHARDS_ARE_INHERITED = {
    "shard_bytes": "shards are cut once, by ingest (--shard-bytes of corpus ingest, shard_bytes of a recipe)"
}
"""What configurations of stages that pass shards on say in `removed`: settings that are gone, and what came instead."""


def nearest(key: str, known: Iterable[str]) -> str:
    """What to add to an error about an unknown `key`: the nearest of `known` by meaning or spelling, else all of them."""
    names = sorted(known)
    found = nearest_name(key, names)
    return f"did you mean '{found}'?" if found else f"known are {', '.join(names)}"


def nearest_name(key: str, known: Iterable[str]) -> str | None:
    """The nearest of the `known` names: the same but for case and dashes, then one that means the same in the field
    (`learning_rate` is `lr`), then one of similar spelling. Of `section.name` the section that is given goes first."""
    names = sorted(known)
    section, dot, leaf = key.rpartition(".")
    parts = {name: name.rpartition(".") for name in names}
    leaves = {name: part[2] for name, part in parts.items()}
    own = {}
    if dot:
        sections = {part[0] for part in parts.values() if part[1]}
        meant = section if section in sections or not sections else nearest_name(section, sections)
        own = {name: leaf for name, leaf in leaves.items() if parts[name][1] and parts[name][0] == meant}
    return (
        _by_meaning(leaf, own)
        or _by_meaning(leaf, leaves)
        or _by_spelling(leaf, own)
        or _first(difflib.get_close_matches(key, names, n=1, cutoff=_CLOSE))
    )


def meant_name(key: str, known: Iterable[str]) -> str | None:
    """The one of the `known` names, of which the last part counts, that means the same as `key`."""
    return _by_meaning(key, {name: name.rpartition(".")[2] for name in known})


def _by_meaning(leaf: str, names: dict[str, str]) -> str | None:
    """The name whose last part is `leaf` written otherwise, or a synonym of it; a slip in a long synonym is allowed."""
    wanted = _plain(leaf)
    plain = {name: _plain(part) for name, part in names.items()}
    exact = [name for name in names if plain[name] == wanted]
    if exact:
        return _shortest(exact)
    slips = [] if wanted in SYNONYMS else difflib.get_close_matches(wanted, SYNONYMS, n=3, cutoff=_CLOSE_SYNONYM)
    for word in (wanted, *slips):
        for meaning in (*([word] if word != wanted else []), *SYNONYMS.get(word, ())):
            found = [name for name in names if plain[name] == meaning]
            if found:
                return _shortest(found)
    return None


def _by_spelling(leaf: str, names: dict[str, str]) -> str | None:
    close = _first(difflib.get_close_matches(leaf, sorted(names.values()), n=1, cutoff=_CLOSE + 0.05))
    return next((name for name, part in names.items() if part == close), None)


def _shortest(names: list[str]) -> str:
    """The first name, one that stands alone before those of sections."""
    return min(names, key=lambda name: ("." in name, name))


def _plain(name: str) -> str:
    return name.strip().lower().lstrip("-").replace("-", "_")


def _first(names: list[str]) -> str | None:
    return names[0] if names else None
