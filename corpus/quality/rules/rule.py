"""What a filter rule is, and the text as the rules see it: split into words and lines once, however many rules look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property


class TextView:
    """A document's text with what rules measure of it. Words are separated by white space, lines by line feeds."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def words(self) -> list[str]:
        """All words in order."""
        return self.text.split()

    @cached_property
    def word_counts(self) -> Counter[str]:
        """How often each word occurs: there are far fewer different words than words."""
        return Counter(self.words)

    @cached_property
    def lines(self) -> list[str]:
        """The lines that are not blank."""
        return [line for line in self.text.split("\n") if line and not line.isspace()]


@dataclass(frozen=True)
class Rule:
    """A named rule: `check` gives the reason to drop a text or None, `clean` a new text and a reason or None.

    A reason is a few fixed words without figures, so that a manifest lists few reasons.
    """

    name: str
    check: Callable[[TextView], str | None] | None = None
    clean: Callable[[str], tuple[str, str | None]] | None = None


def apply_rules(rules: Sequence[Rule], text: str) -> tuple[str, str | None]:
    """The text after all rules in order, and `rule: reason` of the first rule that drops it, or None."""
    view = TextView(text)
    for rule in rules:
        reason = None
        if rule.clean is not None:
            cleaned, reason = rule.clean(view.text)
            view = view if cleaned == view.text else TextView(cleaned)
        if reason is None and rule.check is not None:
            reason = rule.check(view)
        if reason is not None:
            return view.text, f"{rule.name}: {reason}"
    return view.text, None
