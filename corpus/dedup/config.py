"""What `corpus dedup` compares, where, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal

from corpus.config import check_options
from corpus.dedup.scope import check_scope
from corpus.errors import UsageError
from corpus.option import SHARDS_ARE_INHERITED, option

LEAST_MEMORY = 96_000_000
"""Bytes that a process needs besides its interpreter and its kernels however little memory it is given: a row group (8 MB
of data) being read, one being made and one being written, at its largest with lines of few characters."""
MAX_DROP = 0.9
"""The share of the text's bytes that dedup may remove where the user gives no `--max-drop`."""
KEY_BITS = (64, 128)
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "ccnet": {"normalize": "ccnet", "keep": "none", "scope": "3%", "blank_lines": "key"},
    "c4": {"normalize": "lower", "keep": "url"},
    "fineweb": {},
}
"""`ccnet`: the rules of CCNet (arXiv 1911.00359, section 3.1), its 50 of 1600 shards at a time being 3 % of a dump.
`c4`: those of C4's released code (TensorFlow Datasets, `c4_utils.py`, `remove_duplicate_text`).
`fineweb`: the MinHash of FineWeb (arXiv 2406.17557): 14 bands of 8 rows over word 5-grams."""
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "line": {"normalize": "ccnet", "keep": "none", "blank_lines": "collapse"},
    "document": {"normalize": "exact", "keep": "first", "key": "text"},
    "book": {"normalize": "folded", "keep": "longest", "threshold": 0.9},
    "near": {"normalize": "folded", "keep": "first", "threshold": 0.75, "preset": "fineweb"},
}
"""What each level does where it is not told otherwise."""
_ALLOWED: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "line": {
        "preset": (None, "ccnet", "c4"),
        "normalize": ("ccnet", "exact", "folded", "lower"),
        "keep": ("none", "first", "url"),
        "key": (None,),
        "blank_lines": ("collapse", "key"),
        "threshold": (None,),
    },
    "document": {
        "preset": (None,),
        "normalize": ("exact",),
        "keep": ("first", "longest"),
        "key": ("text", "url"),
        "blank_lines": (None,),
        "threshold": (None,),
    },
    "book": {
        "preset": (None,),
        "normalize": ("folded",),
        "keep": ("longest",),
        "key": (None,),
        "blank_lines": (None,),
        "key_bits": (64,),
        "scope": ("all",),
    },
    "near": {
        "preset": ("fineweb",),
        "normalize": ("folded",),
        "keep": ("first", "longest"),
        "key": (None,),
        "blank_lines": (None,),
        "key_bits": (64,),
        "scope": ("all",),
    },
}
"""The values that mean something at each level; a field that is not named may have any."""


@dataclass(frozen=True)
class DedupConfig:
    """What counts as equal, where, and what becomes of it. A value that is None follows from the preset, else from the
    level (`resolved`); one that is given goes before the preset's."""

    removed: ClassVar[Mapping[str, str]] = SHARDS_ARE_INHERITED

    level: Literal["line", "document", "book", "near"] = option(
        "line", "What is compared: each line, a document's whole text, or how far books or documents overlap."
    )
    preset: Literal["ccnet", "c4", "fineweb"] | None = option(
        None,
        "Settings by name; others given besides go first. ccnet, for lines: keep none, scope 3%, blank lines compared too; c4,"
        " for lines: lower, keep url; fineweb, for near: its MinHash (default).",
    )
    normalize: Literal["ccnet", "exact", "folded", "lower"] | None = option(
        None,
        "What lines are compared by: ccnet (default: case, digits, some punctuation ignored), exact, folded, or lower (case"
        " alone).",
    )
    keep: Literal["none", "first", "url", "longest"] | None = option(
        None,
        "Which of equal units stays. Lines: none (default), first, or url: that of the document whose URL, by C4's rules, has"
        " the least MD5. Documents, near: first (default) or longest. Books: longest.",
    )
    key: Literal["text", "url"] | None = option(None, "What documents are compared by: text (default) or url.")
    scope: str | None = option(
        None, "Where repeats are looked for: all (default), document, shards:N or P% of the input.", metavar="SCOPE"
    )
    blank_lines: Literal["collapse", "key"] | None = option(
        None, "Blank lines: runs collapse to one (default), or key: compared as any line, so that they vanish."
    )
    key_bits: int = option(64, "Bits of the keys that lines or documents are compared by: 64 or 128.")
    against: tuple[str, ...] = option(
        (),
        "Documents that stay as they are, or their kept keys (corpus dedup-keys): what they have goes from DOCS, which alone is"
        " written.",
        metavar="DOCS|KEYS",
    )
    threshold: float | None = option(
        None,
        "How similar duplicates are: books overlap by more than this (default 0.9), near documents by this or more (default"
        " 0.75).",
        metavar="SHARE",
        above=0,
        most=1,
    )

    def __post_init__(self) -> None:
        if self.scope is not None:
            check_scope(self.scope)
        check_options(self)
        if self.key_bits not in KEY_BITS:
            raise UsageError(f"--key-bits is {self.key_bits}: give {' or '.join(map(str, KEY_BITS))}.")
        values = self._filled()
        for name, allowed in _ALLOWED[self.level].items():
            if values[name] not in allowed:
                raise UsageError(
                    f"--level {self.level} has no {_flag(name)} {values[name]}: {_remedy(allowed, name, values[name])}."
                )
        if self.against and values["scope"] != "all":
            raise UsageError(f"--against compares with all of its documents: give --scope all, not {values['scope']}.")
        if self.level == "document" and self.scope == "document":
            raise UsageError("--level document with --scope document compares nothing: give --scope all.")

    def _filled(self) -> dict[str, Any]:
        given = {name: value for name, value in asdict(self).items() if value is not None}
        preset = PRESETS.get(self.preset or "", {})
        empty = dict.fromkeys(asdict(self))
        return empty | {"scope": "all"} | dict(DEFAULTS[self.level]) | dict(preset) | given

    @property
    def resolved(self) -> DedupConfig:
        """With the values that follow from preset and level filled in; equal for equal outputs."""
        return replace(self, **self._filled())

    def as_json(self) -> dict[str, Any]:
        """All that decides the output, but for what is read: `documents` and `against`."""
        return {name: value for name, value in asdict(self.resolved).items() if name not in ("preset", "against")}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _remedy(allowed: tuple[Any, ...], name: str, value: Any) -> str:
    known = [str(value) for value in allowed if value is not None]
    levels = [level for level, rules in _ALLOWED.items() if name not in rules or value in rules[name]]
    others = f" ({' or '.join(f'--level {level}' for level in levels)} has it)" if levels else ""
    return (f"give {' or '.join(known)}" if known else "leave it out") + others


@dataclass(frozen=True)
class KeysConfig:
    """What keys are kept of, with the meaning that it has for `dedup`."""

    level: Literal["line", "document"] = option("line", "Of what: each line, or each document as a whole.")
    normalize: Literal["ccnet", "exact", "folded", "lower"] | None = option(
        None,
        "What lines are compared by: ccnet (default: case, digits, some punctuation ignored), exact, folded, or lower (case"
        " alone).",
    )
    key: Literal["text", "url"] | None = option(None, "What documents are compared by: text (default) or url.")
    blank_lines: Literal["collapse", "key"] | None = option(
        None, "Blank lines: no lines (collapse, the default), or compared as any line (key)."
    )
    key_bits: int = option(64, "Bits of a key: 64 or 128.")

    @property
    def settings(self) -> DedupConfig:
        """Those of a `dedup` that compares these keys."""
        return DedupConfig(**asdict(self))
