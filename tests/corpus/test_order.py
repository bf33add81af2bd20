"""Permutations and interleaving: slow twins, exact bounds, and shuffles that are good."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.mixture.order import cumulate, interleave, order_key, permuted, places

MASK = (1 << 64) - 1


def slow_permuted(index: int, size: int, key: int) -> int:
    """The network in plain integers."""

    def scramble(half: int, step: int) -> int:
        value = (key + 0x9E3779B97F4A7C15 * ((half << 6) + step + 1)) & MASK
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
        return value ^ (value >> 31)

    bits = max(2, (size - 1).bit_length())
    low_bits = bits // 2
    while True:
        low, high = index % (1 << low_bits), index >> low_bits
        for step in range(0, 48 if bits <= 12 else 12, 2):
            low ^= scramble(high, step) % (1 << low_bits)
            high ^= scramble(low, step + 1) % (1 << (bits - low_bits))
        index = high << low_bits | low
        if index < size:
            return index


def slow_interleaving(rows: list[int]) -> list[int]:
    """The domain at each place, by the definition of the windows."""
    total = sum(rows)
    done = [0] * len(rows)
    order = []
    for place in range(1, total + 1):
        open_domains = [
            (math.ceil(Fraction((done[d] + 1) * total, rows[d])), d)
            for d in range(len(rows))
            if done[d] < rows[d] and place > Fraction(done[d] * total, rows[d])
        ]
        chosen = min(open_domains)[1]
        done[chosen] += 1
        order.append(chosen)
    return order


def interleaved(rows: list[int]) -> np.ndarray:
    out = np.empty(sum(rows), np.int64)
    interleave(np.array(rows, np.int64), out)
    return out


@given(st.integers(1, 3000), st.integers(0, MASK))
def test_permutations_are_permutations(size: int, key: int) -> None:
    indices = np.arange(size)
    order = permuted(indices, size, np.uint64(key))
    assert np.array_equal(np.sort(order), indices)
    assert np.array_equal(places(order, size, np.uint64(key)), indices)


@given(st.integers(1, 1 << 40), st.integers(0, MASK), st.data())
@settings(max_examples=50)
def test_permutation_equals_its_twin(size: int, key: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    (got,) = permuted(np.array([index]), size, np.uint64(key))
    assert got == slow_permuted(index, size, key)
    assert places(np.array([got]), size, np.uint64(key))[0] == index


def test_known_orders_stay() -> None:
    """The bytes of packed sets hang on these."""
    key = order_key(0, "documents", "wikipedia", 0)
    assert int(key) == 3124344669554981659
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


def test_all_orders_of_few_things_are_equally_likely() -> None:
    for size, times in ((3, 500), (4, 300), (5, 100)):
        orders = Counter(
            tuple(permuted(np.arange(size), size, order_key(seed, "documents", "x", 0)).tolist())
            for seed in range(times * math.factorial(size))
        )
        assert len(orders) == math.factorial(size)
        assert abs(chi_square(np.array(list(orders.values())))) < 4


def test_things_are_equally_likely_at_all_places() -> None:
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


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=300), st.integers(0, MASK))
def test_running_sums(lengths: list[int], key: int) -> None:
    out = np.empty(len(lengths) + 1, np.int64)
    cumulate(np.array(lengths, np.uint32), np.uint64(key), out)
    order = permuted(np.arange(len(lengths)), len(lengths), np.uint64(key))
    assert out.tolist() == [0, *itertools.accumulate(lengths[at] for at in order)]


ROWS = st.lists(st.integers(0, 60), min_size=1, max_size=7).filter(lambda rows: sum(rows) > 0)


@given(ROWS)
def test_interleaving_equals_its_twin(rows: list[int]) -> None:
    out = interleaved(rows)
    slow = slow_interleaving(rows)
    starts = [0, *itertools.accumulate(rows)]
    for domain in range(len(rows)):
        at = [place for place, chosen in enumerate(slow) if chosen == domain]
        assert out[starts[domain] : starts[domain + 1]].tolist() == at


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=9).filter(lambda rows: sum(rows) > 0))
def test_every_prefix_is_within_one_row_of_the_shares(rows: list[int]) -> None:
    out = interleaved(rows)
    total = len(out)
    starts = [0, *itertools.accumulate(rows)]
    assert np.array_equal(np.sort(out), np.arange(total))
    prefix = np.arange(total + 1)
    for domain, count in enumerate(rows):
        had = np.zeros(total + 1, np.int64)
        had[out[starts[domain] : starts[domain + 1]] + 1] = 1
        had = np.cumsum(had)
        assert (np.abs(had * total - prefix * count) < total).all()
        window = min(64, total)
        got = had[window:] - had[:-window]
        assert (np.abs(got * total - window * count) < 2 * total).all()


def test_interleaving_of_the_llama_mixture() -> None:
    rows = [67_000, 15_000, 4_500, 4_500, 4_500, 2_500, 2_000]
    out = interleaved(rows)
    first = out[67_000 : 67_000 + 15_000]
    assert abs(int((first < 1000).sum()) - 150) < 1
