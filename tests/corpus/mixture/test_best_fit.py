"""Best-fit packing: a slow twin, the bound on rows, whole documents, and little waste."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.mixture.pack import best_fit as module
from corpus.mixture.pack.best_fit import fit
from corpus.mixture.pack.best_fit_limits import most_rows
from corpus.mixture.pack.stream import cut_documents


def slow_fit(lengths: list[int], width: int) -> tuple[list[list[int]], int]:
    """One window, by the definition."""
    out = [[-1, -1] for _ in lengths]
    rows: list[int] = []
    """The room of each row, rows changed last at the end of `changed`."""
    changed: list[int] = []
    for document, length in enumerate(lengths):
        if length >= width:
            out[document][0] = len(rows)
            rows += [0] * (length // width)
    rests = sorted((-(length % width), document) for document, length in enumerate(lengths) if length % width)
    for negative, document in rests:
        size = -negative
        enough = [row for row in changed if rows[row] >= size]
        if enough:
            least = min(rows[row] for row in enough)
            row = [row for row in enough if rows[row] == least][-1]
            changed.remove(row)
        else:
            row = len(rows)
            rows.append(width)
        out[document][1] = row * width + width - rows[row]
        rows[row] -= size
        changed.append(row)
    return out, len(rows)


LENGTHS = st.lists(st.integers(1, 70), min_size=1, max_size=80)


@given(LENGTHS, st.integers(2, 40))
def test_one_window_equals_its_twin(lengths: list[int], width: int) -> None:
    out, rows = fit(np.array(lengths, np.uint32), width)
    slow, slow_rows = slow_fit(lengths, width)
    assert out.tolist() == slow
    assert rows == slow_rows


@given(LENGTHS, st.integers(2, 40), st.integers(1, 30))
def test_windows_follow_each_other(lengths: list[int], width: int, window: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WINDOW_DOCUMENTS", window)
        patch.setattr("corpus.mixture.pack.best_fit_limits.WINDOW_DOCUMENTS", window)
        out, rows = fit(np.array(lengths, np.uint32), width)
        assert rows <= most_rows(sum(lengths), 1, len(lengths), width)
    before = 0
    for begin in range(0, len(lengths), window):
        slow, count = slow_fit(lengths[begin : begin + window], width)
        shifted = [[a + before if a >= 0 else a, b + before * width if b >= 0 else b] for a, b in slow]
        assert out[begin : begin + window].tolist() == shifted
        before += count
    assert rows == before


@given(LENGTHS, st.integers(2, 40))
def test_segments_fill_rows_without_overlap(lengths: list[int], width: int) -> None:
    out, rows = fit(np.array(lengths, np.uint32), width)
    segments = cut_documents(out[None], np.array(lengths), width)
    slots = np.zeros((rows, width), np.int64)
    have = [0] * len(lengths)
    for document, row, start, size, target in zip(
        segments.document.tolist(),
        segments.row.tolist(),
        segments.start.tolist(),
        segments.length.tolist(),
        segments.target.tolist(),
        strict=True,
    ):
        assert start == have[document]
        have[document] += size
        assert size == width or have[document] == lengths[document]
        slots[row, target : target + size] += 1
    assert have == lengths
    assert slots.max() == 1
    filled = slots.sum(1)
    assert (filled > 0).all()
    # padding is after the documents, and no two rows fit into one
    assert all(slots[row, : filled[row]].all() for row in range(rows))
    smallest = np.sort(filled)
    assert rows < 2 or smallest[0] + smallest[1] > width


def test_little_is_wasted() -> None:
    """Documents of web-like lengths (log-normal, median 400 tokens) leave under one thousandth of rows of 2,049."""
    lengths = np.random.default_rng(0).lognormal(6, 1.2, 200_000).astype(np.uint32) + 1
    _, rows = fit(lengths, 2049)
    assert rows * 2049 / lengths.sum(dtype=np.int64) < 1.001
