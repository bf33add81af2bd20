"""CCNet's normalisation: golden cases, and that words may be normalised one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.quality.lm.normalize import normalize, normalize_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello world\nSecond line", "hello worldsecond line"),  # pitfalls 0.6: line ends are deleted
        ("  Ärger, Übermut  ", "arger, ubermut"),
        ("In 2024: 3.14 and ٣", "in 0000: 0.00 and 0"),
        ("“Quoted” — it’s…", '"quoted"  -  it\'s...'),
        ("a\tb\x00c\x85d\x7fe", "abcde"),
        ("\u00a0 x \u3000", "x"),
        ("１２", "00"),
        ("ΟΔΟΣ ΣΑΣ", "οδος σας"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_golden_cases(text: str, expected: str) -> None:
    assert normalize(text) == expected


hard = st.text(
    st.one_of(st.sampled_from("aΣσ.İ\u0301\u0345\u302e\u1d165가ｶﾞ —\n\u00ad’"), st.characters(exclude_categories=["Cs"]))
)


@given(st.lists(hard))
def test_words_between_spaces_are_normalised_alone(words: list[str]) -> None:
    words = [part for word in words for part in word.split(" ")]
    assert normalize_words(" ".join(words)) == " ".join(map(normalize_words, words))
