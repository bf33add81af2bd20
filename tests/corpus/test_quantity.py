"""Numbers with units: exact, of two kinds, and the same back and forth."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.quantity import Kind, format_quantity, parse_decimal, parse_float, parse_quantity

KINDS: tuple[Kind, ...] = ("count", "bytes")


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("300", "count", 300),
        ("2_000", "count", 2000),
        ("1,400,000", "count", 1_400_000),
        ("1e9", "count", 10**9),
        ("1.5e3", "count", 1500),
        ("10B", "count", 10**10),
        ("1.4T", "count", 1_400_000_000_000),
        ("0.02 g", "count", 20_000_000),
        ("4Ki", "count", 4096),
        ("-3", "count", -3),
        (".5K", "count", 500),
        ("10B", "bytes", 10),
        ("256MB", "bytes", 256_000_000),
        ("256m", "bytes", 256_000_000),
        ("4GiB", "bytes", 4 << 30),
        ("0.5KiB", "bytes", 512),
        (300, "count", 300),
        (1.4e12, "count", 1_400_000_000_000),
        # as a float this is 9007199254740992
        ("9.007199254740993P", "count", 9_007_199_254_740_993),
        ("0.000000001B", "count", 1),
    ],
)
def test_what_is_read(text: object, kind: Kind, value: int) -> None:
    assert parse_quantity(text, kind) == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "count"),
        ("1.5", "count"),
        ("0.3Ki", "bytes"),
        ("0.5B", "bytes"),
        ("1e-1", "count"),
        ("1,4T", "count"),
        ("1__0", "count"),
        ("10MB", "count"),
        ("4GiB", "count"),
        ("1X", "count"),
        ("5%", "count"),
        ("nan", "count"),
        (float("inf"), "count"),
        (True, "count"),
        (None, "count"),
        ([1], "count"),
        ("1" * 200, "count"),
        ("1e99999", "count"),
    ],
)
def test_what_is_refused(text: object, kind: Kind) -> None:
    with pytest.raises(ValueError, match="give"):
        parse_quantity(text, kind)


@given(st.integers(-(10**20), 10**20), st.sampled_from(KINDS))
def test_shown_and_read_again(number: int, kind: Kind) -> None:
    assert parse_quantity(format_quantity(number, kind), kind) == number
    assert parse_quantity(f"{number:_}", kind) == parse_quantity(str(number), kind) == number
    assert parse_quantity(f"{number:,}", kind) == number


@given(st.integers(0, 10**9), st.integers(0, 12), st.sampled_from("KMBT"))
def test_decimals_with_units_are_exact_or_refused(digits: int, places: int, unit: str) -> None:
    text = str(digits).zfill(places + 1)
    text = f"{text[:-places]}.{text[-places:]}" if places else text
    exact = Fraction(digits, 10**places) * 10 ** {"K": 3, "M": 6, "B": 9, "T": 12}[unit]
    if exact.denominator == 1:
        assert parse_quantity(text + unit) == exact
    else:
        with pytest.raises(ValueError, match="not a whole number"):
            parse_quantity(text + unit)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_decimals_are_those_of_python(number: float) -> None:
    assert float(parse_decimal(repr(number))) == float(parse_decimal(number)) == number


def test_decimals() -> None:
    assert parse_decimal("5%") == Fraction(1, 20)
    assert parse_decimal("2K") == 2000
    for text in ("nan", "-inf", float("nan")):
        with pytest.raises(ValueError, match="not finite"):
            parse_decimal(text)
    with pytest.raises(ValueError, match="not finite"):
        parse_float("1e999")
    for text in ("x", "", "1MB"):
        with pytest.raises(ValueError, match="not a number"):
            parse_decimal(text)
