"""Permutations and interleaving: slow twins, exact bounds, and shuffles that are good."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.mixture.pack.order import interleave, order_key, permuted, positions
from tests.corpus.mixture.mixing import MASK, slow_interleaving, slow_key, slow_permuted


def interleaved(rows: list[int], step: int = 1 << 20) -> np.ndarray:
    """The domain at each position."""
    return np.concatenate(list(interleave(np.array(rows, np.int64), step)))


@given(st.integers(1, 3000), st.integers(0, MASK))
def test_permutations_are_permutations(size: int, key: int) -> None:
    indices = np.arange(size)
    order = permuted(indices, size, np.uint64(key))
    assert np.array_equal(np.sort(order), indices)
    assert np.array_equal(positions(order, size, np.uint64(key)), indices)


@given(st.integers(1, 1 << 40), st.integers(0, MASK), st.data())
@settings(max_examples=50)
def test_permutation_equals_its_twin(size: int, key: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    (got,) = permuted(np.array([index]), size, np.uint64(key))
    assert got == slow_permuted(index, size, key)
    assert positions(np.array([got]), size, np.uint64(key))[0] == index


def test_known_orders_stay() -> None:
    """The bytes of packed sets hang on these."""
    key = order_key(0, "documents", "wikipedia", 0)
    assert int(key) == slow_key(0, "documents", "wikipedia", 0) == 3124344669554981659
    assert permuted(np.arange(10), 10, key).tolist() == [9, 8, 1, 0, 2, 6, 7, 3, 4, 5]
    assert permuted(np.arange(5), 10**9, key).tolist() == [833673188, 969858151, 195317539, 682589000, 964967522]


def test_keys_differ() -> None:
    keys = {
        int(order_key(seed, use, domain, number))
        for seed, use, domain, number in itertools.product(
            (0, 1, 10), ("documents", "rows"), ("a", "a0", "0"), (0, 1, 10)
        )
    }
    assert len(keys) == 3 * 2 * 3 * 3


def chi_square(counts: np.ndarray) -> float:
    """How many standard deviations the statistic of `counts` is from that of equally likely outcomes."""
    expected = counts.mean()
    freedom = counts.size - 1
    return float((((counts - expected) ** 2 / expected).sum() - freedom) / math.sqrt(2 * freedom))


def test_all_orders_of_few_items_are_equally_likely() -> None:
    for size, times in ((3, 500), (4, 300), (5, 100)):
        orders = Counter(
            tuple(permuted(np.arange(size), size, order_key(seed, "documents", "x", 0)).tolist())
            for seed in range(times * math.factorial(size))
        )
        assert len(orders) == math.factorial(size)
        assert abs(chi_square(np.array(list(orders.values())))) < 4


def test_items_are_equally_likely_in_all_positions() -> None:
    for size in (16, 50, 5000):
        cells = np.zeros((16, 16))
        for seed in range(16_000 // size * 16 + 16):
            order = permuted(np.arange(size), size, order_key(seed, "rows", "x", 0))
            np.add.at(cells, (np.arange(size) * 16 // size, order * 16 // size), 1)
        expected = np.outer(cells.sum(1), cells.sum(0)) / cells.sum()
        statistic = ((cells - expected) ** 2 / expected).sum()
        assert abs(statistic - 225) / math.sqrt(450) < 4


def test_epochs_are_uncorrelated() -> None:
    size = 100_000
    first, second, other = (
        permuted(np.arange(size), size, order_key(0, "documents", domain, number)).astype(float)
        for domain, number in (("wiki", 0), ("wiki", 1), ("books", 0))
    )
    indices = np.arange(size, dtype=float)
    for one, two in ((first, second), (first, other), (first, indices), (first[1:], first[:-1])):
        assert abs(np.corrcoef(one, two)[0, 1]) * math.sqrt(size) < 4


def test_neighbours_rarely_stay_neighbours() -> None:
    size = 1 << 16
    order = permuted(np.arange(size), size, order_key(3, "rows", "books", 0))
    near = int((np.abs(np.diff(order)) == 1).sum())
    assert near <= 2 + 4 * math.sqrt(2)  # a random order has two such pairs on average


ROWS = st.lists(st.integers(0, 60), min_size=1, max_size=7).filter(lambda rows: sum(rows) > 0)


@given(ROWS, st.integers(1, 100))
def test_interleaving_equals_its_twin(rows: list[int], step: int) -> None:
    assert interleaved(rows, step).tolist() == slow_interleaving(rows)


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=9).filter(lambda rows: sum(rows) > 0))
def test_every_prefix_is_within_one_row_of_the_shares(rows: list[int]) -> None:
    out = interleaved(rows)
    total = len(out)
    assert np.bincount(out, minlength=len(rows)).tolist() == rows
    prefix = np.arange(total + 1)
    for domain, count in enumerate(rows):
        had = np.concatenate([[0], np.cumsum(out == domain)])
        assert (np.abs(had * total - prefix * count) < total).all()
        window = min(64, total)
        got = had[window:] - had[:-window]
        assert (np.abs(got * total - window * count) < 2 * total).all()


def test_interleaving_of_the_llama_mixture() -> None:
    rows = [67_000, 15_000, 4_500, 4_500, 4_500, 2_500, 2_000]
    out = interleaved(rows)
    assert abs(int((out[:1000] == 1).sum()) - 150) < 1
