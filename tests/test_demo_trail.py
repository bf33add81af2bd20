"""The trail of a generated text: the longest part of it that stands in the rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from demo.trail import longest_stretch

IDS = st.lists(st.integers(0, 3), min_size=1, max_size=12)


@given(IDS, st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), min_size=1, max_size=6))
def test_longest_stretch_is_that_of_a_slow_search(tokens: list[int], rows: list[list[int]]) -> None:
    first, length, places = longest_stretch(tokens, np.array(rows, np.int64))

    def where(start: int, size: int) -> list[tuple[int, int]]:
        part = tokens[start : start + size]
        return [(row, at) for row, ids in enumerate(rows) for at in range(6 - size) if ids[at : at + size] == part]

    sizes = range(1, min(len(tokens), 5) + 1)
    known = [(size, start) for size in sizes for start in range(len(tokens) - size + 1) if where(start, size)]
    assert length == max((size for size, _ in known), default=0)
    if length:
        assert where(first, length) == [tuple(place) for place in places.tolist()]
