"""Numbers as users write them, read exactly: whole numbers with units, decimals, and parts of a whole.

`parse_quantity` reads a whole number of one of two kinds:

- a *count* (tokens, steps, documents, characters, parameters): K, M, B or G, T, P are 10³, 10⁶, 10⁹, 10¹², 10¹⁵, so
  that `10B` is ten thousand million;
- *bytes* (memory, shards, samples): the same letters, but a B is the byte, so that `256MB` and `256M` are 256,000,000 and
  `10B` is ten.

Ki, Mi, Gi, Ti, Pi are powers of 1,024 in both. Nothing is rounded: `1.4T` is 1,400,000,000,000, and `1.5` or `0.3Ki`
are errors, since they are no whole numbers.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Literal

from corpus.errors import UsageError

Kind = Literal["count", "bytes"]
_THOUSANDS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
_BINARY = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40, "pi": 2**50}
_UNITS: dict[Kind, dict[str, int]] = {
    "count": _THOUSANDS | _BINARY | {"b": 10**9},
    "bytes": _THOUSANDS | _BINARY | {f"{unit}b": factor for unit, factor in (_THOUSANDS | _BINARY).items()},
}
_SHOWN: dict[Kind, tuple[str, ...]] = {
    "count": ("P", "T", "B", "M", "K"),
    "bytes": ("PB", "TB", "GB", "MB", "KB", "PiB", "TiB", "GiB", "MiB", "KiB"),
}
_EXAMPLES: dict[Kind, str] = {"count": "300, 2K or 1.4T", "bytes": "300, 256MB or 4GiB"}
_WRITTEN = re.compile(
    r"([-+]?)((?:\d{1,3}(?:,\d{3})+|\d+(?:_\d+)*)(?:\.\d*)?|\.\d+)(?:e([-+]?\d{1,3}))?\s*([a-z]*|%)", re.IGNORECASE
)
_LONGEST = 100
"""Characters of the longest number that is read: none takes long to compute with."""


def parse_quantity(value: object, kind: Kind = "count") -> int:
    """A whole number from a number or from text with a unit of `kind`; a ValueError says what is wrong with it.

    `300`, `2_000`, `1,400,000`, `1e9`, `10B`, `1.4T`; of bytes `256MB`, `4GiB`.
    """
    number, unit = _split(value)
    factor = _UNITS[kind].get(unit.lower())
    if number is None or factor is None:
        if kind == "count" and number is not None and unit.lower() in _UNITS["bytes"]:
            raise ValueError(f"{value!r} has a unit of bytes: give a number such as {_EXAMPLES[kind]}")
        raise ValueError(f"{value!r} is not a whole number: give one such as {_EXAMPLES[kind]}")
    whole = number * factor
    if whole.denominator != 1:
        raise ValueError(f"{value!r} is not a whole number: give one such as {_EXAMPLES[kind]}")
    return int(whole)


def parse_decimal(value: object) -> Fraction:
    """A decimal number as the exact fraction that is written, also with a unit of counts or with %; a ValueError says
    what is wrong. A float stands for its shortest text."""
    number, unit = _split(value)
    if number is None and str(value).strip().lower().lstrip("+-") in ("nan", "inf", "infinity"):
        raise ValueError(f"{value!r} is not finite: give a finite number")
    factor = Fraction(1, 100) if unit == "%" else _UNITS["count"].get(unit.lower())
    if number is None or factor is None:
        raise ValueError(f"{value!r} is not a number: give one such as 0.1, 3e-4 or 5%")
    return number * factor


def parse_float(value: object) -> float:
    """The float nearest to what `parse_decimal` reads; a ValueError, too, where it is too large for one."""
    try:
        return float(parse_decimal(value))
    except OverflowError:
        raise ValueError(f"{value!r} is not finite: give a finite number") from None


def format_quantity(number: int, kind: Kind = "count") -> str:
    """The shortest text that `parse_quantity` reads as `number`: `1.4T`, `256MB`, `4GiB`, `2048`."""
    texts = [str(number)]
    for unit in _SHOWN[kind]:
        scaled = Fraction(number, _UNITS[kind][unit.lower()])
        tenth = scaled * 10
        if abs(scaled) >= 1 and tenth.denominator == 1:
            texts.append(f"{int(scaled) if scaled.denominator == 1 else _tenths(tenth.numerator)}{unit}")
    return min(texts, key=len)


def _tenths(tenths: int) -> str:
    """A number of tenths as a decimal."""
    return f"{'-' if tenths < 0 else ''}{abs(tenths) // 10}.{abs(tenths) % 10}"


def _split(value: object) -> tuple[Fraction | None, str]:
    """The number that is written and what follows it; None where it is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Fraction):
        return None, ""
    if isinstance(value, float) and not math.isfinite(value):
        return None, ""
    if isinstance(value, int | Fraction):
        return Fraction(value), ""
    text = str(value).strip()
    match = _WRITTEN.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None, ""
    sign, digits, exponent, unit = match.groups()
    number = Fraction(re.sub("[_,]", "", digits)) * Fraction(10) ** int(exponent or 0)
    return (-number if sign == "-" else number), unit


def parse_fraction(text: str) -> Fraction:
    """`0.1%` or `0.001` as an exact fraction; a `UsageError` unless it is over 0 and at most a half."""
    value = _part(text)
    if value is None or not 0 < value <= Fraction(1, 2):
        raise UsageError(f"--validation {text} is no part of the documents; give a number over 0 up to 50%, as 0.1%.")
    return value


def parse_share(text: str, name: str) -> Fraction:
    """`50%` or `0.5` as an exact fraction; a `UsageError` with the `name` of the option unless it is from 0 to 1."""
    value = _part(text)
    if value is None or not 0 <= value <= 1:
        raise UsageError(f"{name} {text} is no part of a text; give a number from 0% to 100%, as 50%.")
    return value


def parse_similarity(text: str) -> Fraction:
    """`75%` or `0.75` as an exact fraction; a `UsageError` unless it is over 0 and at most 1."""
    value = _part(text)
    if value is None or not 0 < value <= 1:
        raise UsageError(f"--near-overlap {text} is no similarity of texts; give a number over 0% up to 100%, as 75%.")
    return value


def _part(text: str) -> Fraction | None:
    """A number without a unit, or with %."""
    number, unit = _split(text)
    return None if number is None or unit not in ("", "%") else number / (100 if unit else 1)
