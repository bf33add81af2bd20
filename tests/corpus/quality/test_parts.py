"""Lines and paragraphs, and shares of labels: the kernels and their twins."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from corpus.quality.parts import cut, shares


@given(st.lists(st.text("ab \n", max_size=12)))
def test_parts_are_lines_or_what_blank_lines_separate(texts: list[str]) -> None:
    data, bounds = (
        np.frombuffer("".join(texts).encode(), dtype=np.uint8),
        np.cumsum([0, *map(len, texts)], dtype=np.int64),
    )
    for paragraphs, mark in ((False, "\n"), (True, "\n\n")):
        parts = cut(data, bounds, paragraphs)
        found: list[list[str]] = [[] for _ in texts]
        for part, text in enumerate(parts.texts.tolist()):
            found[text].append(data[parts.bounds[part] : parts.bounds[part + 1]].tobytes().decode())
        assert list(map("".join, found)) == texts
        wanted = [[part for part in text.split(mark) if part.strip("\n")] for text in texts]
        assert [[part.strip("\n") for part in some if part.strip("\n")] for some in found] == [
            [part.strip("\n") for part in some] for some in wanted
        ]


@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=6), max_size=5))
def test_shares(texts: list[list[tuple[int, int]]]) -> None:
    names = ("a", "b", "c", "d")
    flat = [(label, weight, number) for number, text in enumerate(texts) for label, weight in text]
    columns = np.array(flat, dtype=np.int64).reshape(-1, 3).T
    labels, part = shares(names, columns[0], columns[1], columns[2], len(texts))
    for number, text in enumerate(texts):
        sums = {name: sum(weight for label, weight in text if names[label] == name) for name in names}
        wanted = sorted((-weight, name) for name, weight in sums.items() if weight)
        assert labels[number].as_py() == [name for _, name in wanted]
        total = sum(sums.values())
        assert np.allclose(part[number].as_py(), [-weight / total for weight, _ in wanted])
