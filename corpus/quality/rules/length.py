"""Rules on the length of a text in characters."""

from __future__ import annotations

from corpus.quality.rules.rule import Rule, TextView


def min_chars(limit: int) -> Rule:
    """Drops texts of fewer characters; CCNet drops pages under 300."""

    def check(view: TextView) -> str | None:
        return "too short" if len(view.text) < limit else None

    return Rule("min_chars", check)


def max_chars(limit: int) -> Rule:
    """Drops texts of more characters; C4 drops pages over 190,000."""

    def check(view: TextView) -> str | None:
        return "too long" if len(view.text) > limit else None

    return Rule("max_chars", check)
