"""Letters and their case: the kernels and what Python says."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from corpus.quality.letters import CAPITALS, ORDINARY, WITHOUT, cases, count_letters

CHARACTER = st.characters(exclude_categories=["Cs"]) | st.sampled_from("aZéÉжЖ漢𠀀𝐀𐐀𐐨ǅⒶª٣1 \n")


def twin(text: str) -> int:
    letters = [char for char in text if char.isalpha()]
    return CAPITALS if 2 * sum(map(str.isupper, letters)) > len(letters) else ORDINARY if letters else WITHOUT


@given(st.lists(st.text(CHARACTER)))
def test_the_kernels_are_their_twins(texts: list[str]) -> None:
    parts = [text.encode() for text in texts]
    data, bounds = np.frombuffer(b"".join(parts), dtype=np.uint8), np.cumsum([0, *map(len, parts)], dtype=np.int64)
    assert cases(data, bounds).tolist() == list(map(twin, texts))
    wanted = [[sum(map(str.isalpha, text)), sum(c.isalpha() and c.isupper() for c in text)] for text in texts]
    assert count_letters(data, bounds[:-1], bounds[1:]).tolist() == wanted


def test_broken_bytes_are_no_crash() -> None:
    data = np.frombuffer(b"\xff\xfe\xf0\x9f\x80\xc3 ABC\xf8", dtype=np.uint8)
    assert cases(data, np.array([0, len(data)])).tolist() == [CAPITALS]
