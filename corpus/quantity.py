"""Parts of documents and texts as options give them: exact fractions."""

from __future__ import annotations

import re
from fractions import Fraction

from corpus.errors import UsageError

_FRACTION = re.compile(r"((?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?)\s*(%?)")


def parse_fraction(text: str) -> Fraction:
    """`0.1%` or `0.001` as an exact fraction; a `UsageError` unless it is over 0 and at most a half."""
    value = _fraction(text)
    if value is None or not 0 < value <= Fraction(1, 2):
        raise UsageError(f"--validation {text} is no part of the documents; give a number over 0 up to 50%, as 0.1%.")
    return value


def parse_share(text: str) -> Fraction:
    """`50%` or `0.5` as an exact fraction; a `UsageError` unless it is from 0 to 1."""
    value = _fraction(text)
    if value is None or not 0 <= value <= 1:
        raise UsageError(f"--line-overlap {text} is no part of a text; give a number from 0% to 100%, as 50%.")
    return value


def parse_likeness(text: str) -> Fraction:
    """`75%` or `0.75` as an exact fraction; a `UsageError` unless it is over 0 and at most 1."""
    value = _fraction(text)
    if value is None or not 0 < value <= 1:
        raise UsageError(f"--near-overlap {text} is no likeness of texts; give a number over 0% up to 100%, as 75%.")
    return value


def _fraction(text: str) -> Fraction | None:
    match = _FRACTION.fullmatch(text.strip())
    return Fraction(match[1]) / (100 if match[2] else 1) if match else None
