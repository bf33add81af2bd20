"""Rules on the length of a text in characters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from corpus.option import option
from corpus.quality.rules.rule import Rule, TextView

CCNET_CHARACTERS = 300
"""CCNet drops pages of fewer characters (arXiv 1911.00359, section 3.1)."""


@dataclass(frozen=True)
class MinChars(Rule):
    """Drops short texts; CCNet drops pages of fewer than 300 characters (arXiv 1911.00359, section 3.1)."""

    name: ClassVar[str] = "min_chars"

    limit: int = option(CCNET_CHARACTERS, "Characters that a text needs at least (CCNet: 300).", least=0)

    def check(self, view: TextView) -> str | None:
        return "too short" if len(view.text) < self.limit else None


@dataclass(frozen=True)
class MaxChars(Rule):
    """Drops long texts; C4 drops pages of more than 190,000 characters (its published code)."""

    name: ClassVar[str] = "max_chars"

    limit: int = option(190_000, "Characters that a text has at most (C4: 190,000).", least=0)

    def check(self, view: TextView) -> str | None:
        return "too long" if len(view.text) > self.limit else None
