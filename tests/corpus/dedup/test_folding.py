"""The folding kernel against its definition, on every character and on arbitrary text."""

from __future__ import annotations

import itertools
import sys
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpus.data.buffers import text_buffers
from corpus.dedup.lines.folding import PLANES, RANGES, fold_character, fold_texts, folded

ANY = st.text(st.characters(exclude_categories=["Cs"])) | st.text(
    "aZ éÉ\u0301\u0338Σς１²½٣ﬁ㎏ﷺ𝟗𝒳𐐀🙂\u200b\xa0\u3000\x85\x1c\r\n\x00\u0345\u3099かが한ᄒ\U0002f800\U000e0041\U000e0100.,-",
    max_size=30,
)


def fold(texts: list[str], lines: bool = False) -> list[str]:
    data, bounds = fold_texts(*text_buffers(pa.array(texts, pa.large_string())), lines)
    return [bytes(data[a:b]).decode() for a, b in itertools.pairwise(bounds.tolist())]


@given(st.lists(ANY, max_size=4))
@example(["\n", "", " ", "a\n\nb", "\u0301"])
def test_kernel_is_the_definition(texts: list[str]) -> None:
    assert fold(texts) == [folded(text) for text in texts]
    assert fold(texts, lines=True) == ["\n".join(map(folded, text.split("\n"))) for text in texts]


def test_every_character() -> None:
    codes = [*range(0xD800), *range(0xE000, PLANES + 99), *(c for r in RANGES for c in range(r[0] - 9, r[1] + 9))]
    texts = [before + chr(code) + after for code in codes for before, after in (("", ""), ("Ab ", " cD"))]
    for text, found in zip(texts, fold(texts), strict=True):
        assert found == folded(text), ascii(text)


def test_nothing_else_folds() -> None:
    for code in range(PLANES, sys.maxunicode + 1):
        if not any(low <= code < high for low, high in RANGES):
            assert fold_character(chr(code)) == chr(code) and not chr(code).isspace()


@given(ANY)
def test_folded_twice_is_folded(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("  Ça va?\tTRÈS bien!\r", "ca va tres bien"),
        ("don’t — don't", "dont dont"),
        ("Page 12 of 34", "page 00 of 00"),
        ("ﬁne Ｗｉｄｅ STRASSE straße ὈΔΥΣΣΕΎΣ", "fine wide strasse strasse οδυσσευσ"),
        ("a\u200bb\xadc\xa0d\u3000e", "abc d e"),
        ("* * * — …", ""),
        ("कि का", "कि का"),
        ("がか", unicodedata.normalize("NFKD", "がか")),
        ("C++ ½ ①", "c 00 0"),
        ("שָׁלוֹם", "שלום"),
    ],
)
def test_examples(text: str, wanted: str) -> None:
    """Pitfalls: NFC and NFD, no-break and zero-width spaces, curly quotes are no differences here."""
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert fold([unicodedata.normalize(form, text)]) == [wanted]


def test_a_two_megabyte_line() -> None:
    line = "Zażółć GĘŚLĄ jaźń Σ 123 — ﷺ " * 60_000
    assert fold([line]) == [folded(line)]
