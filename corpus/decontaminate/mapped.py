"""Arrays that one task saves and that all processes map into memory, and hashes that are found by their first bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt

_MOST_BITS = 28


class MappedArrays:
    """A dataclass of arrays, saved as a file each. An index that memory does not hold whole is several `part`s."""

    def save(self, directory: Path, part: int = 0) -> None:
        """Write the arrays."""
        for field in fields(cast(Any, self)):  # every subclass is a dataclass
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                np.save(_file(directory, part, field.name), value)

    @classmethod
    def load(cls, directory: Path, part: int = 0, **others: Any) -> Self:
        """Map the arrays into memory, which all processes then share; `others` are the fields that are no arrays."""
        names = [field.name for field in fields(cast(Any, cls)) if field.name not in others]
        arrays = {name: np.asarray(np.load(_file(directory, part, name), mmap_mode="r")) for name in names}
        return cls(**arrays, **others)


def _file(directory: Path, part: int, name: str) -> Path:
    return directory / f"{part:05d}-{name}.npy"


def bucket_starts(hashes: npt.NDArray[np.uint64], each: int) -> npt.NDArray[np.int64]:
    """Where the buckets of `hashes` (ascending) begin, and the end of the last: int64[2^b + 1].

    A bucket is all hashes with the same first b bits; b is such that it has about `each` (a power of two) of them.
    """
    bits = min(_MOST_BITS, max(1, len(hashes).bit_length() - (each.bit_length() - 1)))
    firsts = np.arange(1 << bits, dtype=np.uint64) << np.uint64(64 - bits)
    return np.append(np.searchsorted(hashes, firsts), len(hashes)).astype(np.int64)


def bucket_shift(starts: npt.NDArray[np.int64]) -> np.uint64:
    """By how many bits a hash is shifted to give its bucket of `starts`."""
    return np.uint64(65 - len(starts).bit_length())


def parts_within(sizes: Sequence[int] | npt.NDArray[np.int64], limit: int) -> list[int]:
    """Cut texts whose indexes need `sizes` bytes into parts of at most `limit`, but at least a text each: their bounds.

    Where nothing needs memory there is no part: [0].
    """
    ends = np.cumsum(np.asarray(sizes, np.int64))
    bounds = [0]
    while len(ends) and ends[-1] and bounds[-1] < len(ends):
        before = int(ends[bounds[-1] - 1]) if bounds[-1] else 0
        bounds.append(max(bounds[-1] + 1, int(np.searchsorted(ends, before + limit, side="right"))))
    return bounds
