"""The hash kernel against plain Python, on every character and on arbitrary text."""

from __future__ import annotations

import itertools
import re
import sys
import unicodedata
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpus.data.buffers import text_buffers, text_column
from corpus.dedup.lines.normalize import (
    BLANK,
    CCNET_DELETED,
    REPEATED,
    TABLE_SIZE,
    count_lines,
    folding,
    hash_lines,
    repeats_in_document,
    sigma_classes,
)
from tests.corpus.dedup.lines_twin import ccnet_normalized, lower, twin_key

ODD = "aZ Σσς İıK'’.\u00ad\u0345\u0301Aʰ1１²٣٠৬ߑ𝟗𝒳𐐀🙂\u200b\xa0\u3000\x85\x1c\r\x00\x0b\t…—»ÄäßẞǅΆ\U000e0041\U00020000"
LINES = st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.text(ODD, max_size=30), max_size=5).map(
    "\n".join
)


def key_words(texts: list[str], normalize: str = "ccnet", blank_is_key: bool = False, words: int = 1) -> list[Any]:
    """The keys of each line of each text, as lists of words."""
    data, offsets = text_buffers(pa.array(texts, pa.large_string()))
    keys = np.empty((count_lines(data, offsets), words), dtype=np.uint64)
    first = np.empty(len(texts) + 1, dtype=np.int64)
    table, classes = folding(normalize), sigma_classes()
    hash_lines(data, offsets, table, classes, normalize != "exact", blank_is_key, keys, first)
    return [keys[a:b].tolist() for a, b in itertools.pairwise(first)]


def keys_of(texts: list[str], normalize: str = "ccnet", blank_is_key: bool = False) -> list[list[int]]:
    """The 64-bit keys of each line of each text."""
    return [[key for (key,) in keys] for keys in key_words(texts, normalize, blank_is_key)]


def expected(line: str, blank_is_key: bool = False) -> int:
    """The key of the line's normal form, taken byte for byte."""
    if not line.strip() and not blank_is_key:
        return BLANK
    return twin_key(ccnet_normalized(line).encode())


@given(LINES, st.sampled_from(["ccnet", "exact", "lower"]))
@example("ΟΔΥΣΣΕΥΣ ΣΑΣ 12345678 İI\nABC, DEF. ", "lower")
def test_two_words(text: str, normalize: str) -> None:
    function = {"ccnet": ccnet_normalized, "exact": str, "lower": lower}[normalize]
    lines = [function(line).encode() for line in text.split("\n")]
    assert key_words([text], normalize, True, 2) == [[[twin_key(line, 0), twin_key(line, 1)] for line in lines]]


@given(LINES)
@example("ΟΔΥΣΣΕΥΣ ΣΑΣ Σ\nΑΣ.\nΑΣ.Α\nΑΣ'\u0301\u00ad’Α\n.Σ\nAΣ\U000e0041\nAΣ\U000e0041a")
@example("İI\u0307\nSTRASSE ẞ\nǅ\u01c4")
@example("a\rb\r\n\x00 a \x00\n \x1c x\x1cy \x1f\n\x85\n\u2028z\u2029\u200b")
@example("12345678 90\nABCDEFGH I\n[email protected]~\x7f[`{^\n" + "x" * 7 + " " + "\n" + "y" * 8 + "  \t z")
@example("，。、„”“«»１」「《》´∶：？！（）；–—．～’…━〈〉【】％►\nа́ЁБВ٣४")
def test_keys_are_those_of_the_normal_form(text: str) -> None:
    lines = text.split("\n")
    assert keys_of([text]) == [[expected(line) for line in lines]]
    assert keys_of([text], blank_is_key=True) == [[expected(line, True) for line in lines]]


def test_every_character_alone_and_in_company() -> None:
    codes = [*range(0xD800), *range(0xE000, TABLE_SIZE + 99), *range(0xE0000, 0xE0200), *range(0x2A000, 0x110000, 997)]
    characters = [chr(c) for c in codes if c != 10]
    for before, after in (("", ""), ("Ab ", " cD"), ("aΣ", "Σ"), ("xyzxyzx", "xyzxyzxyz")):
        lines = [before + char + after for char in characters]
        wanted = keys_of(["\n".join(map(ccnet_normalized, lines))], "exact", True)[0]
        found = keys_of(["\n".join(lines)])[0]
        assert [
            c for c, f, w, line in zip(characters, found, wanted, lines, strict=True) if line.strip() and f != w
        ] == []


def test_twin_is_python() -> None:
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        assert bool(re.match(r"\d", char)) == char.isdecimal() == (unicodedata.category(char) == "Nd")


def test_nothing_folds_above_the_table() -> None:
    for code in range(TABLE_SIZE, sys.maxunicode + 1):
        char = chr(code)
        assert char.lower() == char and char.strip() and not char.isdecimal() and char not in CCNET_DELETED


@given(LINES)
def test_exact_keys_are_those_of_the_bytes(text: str) -> None:
    lines = text.split("\n")
    whole = [twin_key(line.encode()) for line in lines]
    wanted = [key if line.strip() else BLANK for key, line in zip(whole, lines, strict=True)]
    assert keys_of([text], "exact") == [wanted]
    assert keys_of([text], "exact", True) == [whole]


def test_a_two_megabyte_line() -> None:
    line = "Zażółć GĘŚLĄ jaźń Σ 123 — " * 60_000
    assert len(line.encode()) > 2_000_000
    assert keys_of([line, line.strip().upper()]) == [[expected(line)], [expected(line)]]


@given(st.lists(st.sampled_from([0, 2, 3, 1 << 40, 1 << 63, (1 << 64) - 1]), max_size=30), st.data())
def test_repeats_in_document(values: list[int], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=4)))
    first = np.array([0, *cuts, len(values)], dtype=np.int64)
    keys = np.array(values, dtype=np.uint64).reshape(-1, 1)
    repeats_in_document(keys, first)
    wanted: list[int] = []
    for a, b in itertools.pairwise(first):
        part = values[a:b]
        wanted += [REPEATED if key and key in part[:i] else key for i, key in enumerate(part)]
    assert keys[:, 0].tolist() == wanted


def test_keys_tell_near_lines_apart() -> None:
    rng = np.random.default_rng(5)
    lines = {"", "a", "aa", *(" ".join(map(str, rng.integers(0, 9, 5))) for _ in range(2000))}
    lines |= {chr(0x4E00 + i) for i in range(20_000)} | {"x" * i for i in range(300)} | {"\x00" * i for i in range(40)}
    both = np.array(key_words(["\n".join(sorted(lines))], "exact", True, 2)[0], dtype=np.uint64)
    for keys in both.T:
        assert len(set(keys.tolist())) == len(lines)
        assert keys.min() > REPEATED
        low = np.bincount((keys & np.uint64(255)).astype(np.int64), minlength=256)
        high = np.bincount((keys >> np.uint64(56)).astype(np.int64), minlength=256)
        assert max(low.max(), high.max()) < 2 * len(lines) / 256


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string()])
def test_buffers_of_slices_and_nulls(type_: pa.DataType) -> None:
    values = ["ab", None, "", "ç\n", "xyz"]
    for column in (
        pa.array(values, type_),
        pa.array(values, type_).slice(1, 3),
        pa.array([], type_),
        pa.array([""], type_),
    ):
        data, offsets = text_buffers(column)
        got = [bytes(data[a:b]).decode() for a, b in itertools.pairwise(offsets)]
        assert got == [value or "" for value in column.to_pylist()]
        assert text_column(data.copy(), offsets.copy()).to_pylist() == got
