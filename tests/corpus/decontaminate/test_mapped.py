"""Parts that memory holds, and buckets of hashes: nothing is left out, and every part is as large as it can be."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.decontaminate.mapped import MappedArrays, bucket_shift, bucket_starts, parts_within


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 20))
def test_parts_are_as_large_as_they_can_be(sizes: list[int], limit: int) -> None:
    bounds = parts_within(sizes, limit)
    if not any(sizes):
        assert bounds == [0]
        return
    assert bounds[0] == 0 and bounds[-1] == len(sizes)
    for begin, end in itertools.pairwise(bounds):
        assert begin < end
        assert end == begin + 1 or sum(sizes[begin:end]) <= limit
        assert end == len(sizes) or sum(sizes[begin : end + 1]) > limit


@given(st.lists(st.integers(0, 2**64 - 1), max_size=60), st.sampled_from([1, 4]))
def test_buckets_hold_all_hashes(values: list[int], each: int) -> None:
    hashes = np.array(sorted(values), np.uint64)
    starts = bucket_starts(hashes, each)
    assert starts[0] == 0 and starts[-1] == len(hashes)
    for position, value in enumerate(hashes):
        bucket = int(value >> bucket_shift(starts))
        assert starts[bucket] <= position < starts[bucket + 1]


@dataclass(frozen=True)
class Pair(MappedArrays):
    size: int
    one: np.ndarray[Any, Any]
    other: np.ndarray[Any, Any]


@pytest.mark.parametrize("part", [0, 3])
def test_arrays_come_back(tmp_path: Path, part: int) -> None:
    Pair(7, np.arange(5), np.empty(0, np.uint64)).save(tmp_path, part)
    found = Pair.load(tmp_path, part, size=8)
    assert (found.size, found.one.tolist(), found.other.tolist()) == (8, [0, 1, 2, 3, 4], [])
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"0000{part}-one.npy", f"0000{part}-other.npy"]
