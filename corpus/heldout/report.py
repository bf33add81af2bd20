"""What a choice of validation says of itself: per domain what is left of it and why not more, and between which domains."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from corpus.data.manifest import Manifest
from corpus.heldout.choice import OTHER_SIDE
from corpus.heldout.overlap import PAIRS

_MUCH = Fraction(1, 10)
"""Above this share of a domain's documents it is said why so many are held out."""


def report_lines(choice: Manifest, setting: str = "--min-bytes") -> Iterator[str]:
    """A line for each domain, one for each pair of domains that have something in common, and what is not as wanted.

    `setting`: what its caller calls the text that validation should have at least."""
    rows = choice.extra["validation"]
    width = max(len(row["domain"]) for row in rows)
    for row in rows:
        gone = [f"{n:,} {reason}" for reason, n in row["dropped"].items() if reason != OTHER_SIDE]
        yield f"{row['domain']:{width}}  {row['kept']:,} validation documents; dropped: {', '.join(gone) or 'none'}"
        notes = [*_excess(row, choice, setting), *_shortfalls(row, choice.config)]
        yield from (f"{'':{width}}  {line}" for line in notes)
    for pair in choice.extra[PAIRS]:
        names = {key: n for key, n in pair.items() if key not in ("validation", "other")}
        if texts := names.pop("texts", 0):
            yield f"{texts:,} documents of {pair['other']} are held out for texts chosen in {pair['validation']}"
        for reason, number in names.items():
            yield f"{number:,} validation documents of {pair['validation']} dropped: {reason} of {pair['other']}"


def _excess(row: dict[str, Any], choice: Manifest, setting: str) -> Iterator[str]:
    """That more than a tenth of a domain is held out, where that is for the text that validation should have at least."""
    joined = sum(pair.get("texts", 0) for pair in choice.extra[PAIRS] if pair["other"] == row["domain"])
    share = Fraction(row["held_out"] - joined, row["documents"])
    least = choice.config["min_bytes"]
    if share > max(_MUCH, Fraction(choice.config["validation"])) and row["bytes"] - row["largest"] < least:
        part = row["held_out"] / row["documents"]
        yield f"{row['held_out']:,} of {row['documents']:,} ({part:.0%}) held out: {setting}; lower it"


def _shortfalls(row: dict[str, Any], config: Any) -> Iterator[str]:
    """What validation should have and has not, since it is taken from half of a domain at most or training has it too."""
    if row["kept"] < config["min_documents"]:
        yield f"fewer than the {config['min_documents']} documents asked for: its figures rest on few"
    share = Fraction(config["max_share_of_one_document"])
    if row["largest"] > share * row["bytes"]:
        yield f"one document is {row['largest'] / row['bytes']:.0%} of its text"
