"""Keys on disk: sorted runs per task, the keys that repeat found per hash partition, and what each task removes.

A run file is int64[partitions + 1] bounds followed by its sorted uint64 keys; partitions are ranges of keys. A section
file is int64[2 · tasks + 1] bounds followed by uint64 keys: for each task the sorted keys of which all lines go, then
for each task those of which its first line stays. How many runs and section files there are depends on memory; their
contents one after the other do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numba import types

from corpus.dedup.normalize import Array
from corpus.kernel import kernel

KEYS_PER_PARTITION = 1 << 23
"""Lines per hash partition; it decides how many tasks may work at once, not what comes out."""
MOST_PARTITIONS = 1024
_BYTES_PER_KEY = 48
"""What finding repeats holds per key: keys, owners, the sorted order and copies of them."""
_LEAST_KEYS = 1 << 16


def partitions_for(keys: int) -> int:
    """How many hash partitions so many keys get: a power of two."""
    wanted = max(1, -(-keys // KEYS_PER_PARTITION))
    return int(min(MOST_PARTITIONS, 1 << (wanted - 1).bit_length()))


@kernel(types.int64(types.uint64[::1]))
def _two_of_each(keys: Any) -> Any:
    """Keep at most two of equal neighbours, in place; the number left."""
    left = np.int64(0)
    for i in range(keys.size):
        if left < 2 or keys[left - 1] != keys[i] or keys[left - 2] != keys[i]:
            keys[left] = keys[i]
            left += 1
    return left


class KeyRuns:
    """Collects the keys of a task's documents, one of each per document, and spills them as sorted runs.

    A key that two documents have is in a run twice: that is all the search for repeats wants to know. `most` is how
    many keys there may be at all; half of `memory` holds those not yet written.
    """

    def __init__(self, directory: Path, partitions: int, memory: int, most: int) -> None:
        self.directory = directory
        self.partitions = partitions
        self.runs = 0
        self._buffer = np.empty(max(_LEAST_KEYS, min(most, memory // 2 // 8)), dtype=np.uint64)
        self._used = 0

    def add(self, keys: Array[np.uint64]) -> None:
        """Add the keys of whole documents, each key at most once per document."""
        if self._used + keys.size > self._buffer.size:
            self._spill(self._buffer[: self._used])
            self._used = 0
        if keys.size > self._buffer.size:
            self._spill(keys.copy())
            return
        self._buffer[self._used : self._used + keys.size] = keys
        self._used += keys.size

    def close(self) -> int:
        """Write the last run; the number of runs."""
        self._spill(self._buffer[: self._used])
        self._used = 0
        return self.runs

    def _spill(self, keys: Array[np.uint64]) -> None:
        if not keys.size:
            return
        keys.sort()
        keys = keys[: _two_of_each(keys)]
        bounds = np.searchsorted(
            keys, np.array([_floor(p, self.partitions) for p in range(1, self.partitions)], np.uint64)
        )
        with run_path(self.directory, self.runs).open("wb") as file:
            file.write(np.concatenate(([0], bounds, [keys.size])).astype(np.int64).data)
            file.write(keys.data)
        self.runs += 1


def run_path(directory: Path, number: int) -> Path:
    """Where run `number` of a task lies."""
    return directory / f"run-{number:05d}"


def section_path(directory: Path, number: int) -> Path:
    """Where section file `number` of a partition lies."""
    return directory / f"sections-{number:05d}"


def _floor(part: int, parts: int, low: int = 0, high: int = 1 << 64) -> int:
    """The least key of one of equal parts of a range of keys."""
    return low + (high - low) * part // parts


class _Slice:
    """The keys of one partition in a run."""

    def __init__(self, path: Path, partition: int, partitions: int) -> None:
        self.path = path
        self.base = 8 * (partitions + 1)
        begin, end = np.fromfile(path, dtype=np.int64, count=2, offset=8 * partition).tolist()
        self.begin: int = begin
        self.end: int = end

    def below(self, bound: int) -> int:
        """The position of the first key not below `bound`."""
        if self.begin == self.end or bound >= 1 << 64:
            return self.end
        keys = np.memmap(self.path, dtype=np.uint64, mode="r", offset=self.base, shape=(self.end,))
        return self.begin + int(np.searchsorted(keys[self.begin : self.end], np.uint64(bound)))

    def read(self, begin: int, end: int) -> Array[np.uint64]:
        """The keys at positions begin to end."""
        return np.fromfile(self.path, dtype=np.uint64, count=end - begin, offset=self.base + 8 * begin)


def find_repeats(
    directory: Path, tasks: Sequence[Sequence[Path]], partition: int, partitions: int, keep_first: bool, memory: int
) -> int:
    """Find the keys of one partition that two or more documents have, and write section files into `directory`.

    tasks: for each task of the scope, in order, its run files. With `keep_first` the first task that has a key keeps
    the key's first line. Returns the number of section files; each takes at most `memory` bytes to make.
    """
    slices = [[_Slice(path, partition, partitions) for path in runs] for runs in tasks]
    total = sum(s.end - s.begin for runs in slices for s in runs)
    pieces = max(1, -(-total * _BYTES_PER_KEY // max(memory, _BYTES_PER_KEY * _LEAST_KEYS)))
    low, high = _floor(partition, partitions), _floor(partition + 1, partitions)
    starts = [[s.begin for s in runs] for runs in slices]
    for piece in range(pieces):
        bound = _floor(piece + 1, pieces, low, high)
        ends = [[s.below(bound) for s in runs] for runs in slices]
        parts = [
            np.concatenate([s.read(a, b) for s, a, b in zip(*of_task, strict=True)] or [np.zeros(0, np.uint64)])
            for of_task in zip(slices, starts, ends, strict=True)
        ]
        gone, first = _sections(parts, keep_first)
        sizes = [section.size for section in (*gone, *first)]
        with section_path(directory, piece).open("wb") as file:
            file.write(np.cumsum([0, *sizes], dtype=np.int64).data)
            for section in (*gone, *first):
                file.write(np.ascontiguousarray(section).data)
        starts = ends
    return pieces


def _sections(
    parts: Sequence[Array[np.uint64]], keep_first: bool
) -> tuple[list[Array[np.uint64]], list[Array[np.uint64]]]:
    """Per task the keys whose lines all go, and those whose first line stays, from the keys of each task."""
    keys = np.concatenate(parts)
    tasks = np.repeat(np.arange(len(parts), dtype=np.int32), [part.size for part in parts])
    order = np.argsort(keys, kind="stable")
    keys, tasks = keys[order], tasks[order]
    del order
    new_key = np.ones(keys.size, dtype=bool)
    new_key[1:] = keys[1:] != keys[:-1]
    new_pair = new_key.copy()
    new_pair[1:] |= tasks[1:] != tasks[:-1]
    last_key = np.append(new_key[1:], True)[: keys.size]
    last_pair = np.append(new_pair[1:], True)[: keys.size]
    gone = new_pair & ~(new_key & last_key)
    first = np.zeros_like(gone)
    if keep_first:
        owned = new_pair & new_key
        first = owned & ~last_pair
        gone &= ~owned
    return _per_task(keys[gone], tasks[gone], len(parts)), _per_task(keys[first], tasks[first], len(parts))


def _per_task(keys: Array[np.uint64], tasks: Array[np.int32], count: int) -> list[Array[np.uint64]]:
    order = np.argsort(tasks, kind="stable")
    bounds = np.searchsorted(tasks[order], np.arange(count + 1, dtype=np.int32))
    keys = keys[order]
    return [keys[a:b] for a, b in pairwise(bounds.tolist())]


def removals(
    sections: Sequence[Path], task: int, tasks: int, memory: int
) -> Iterator[tuple[Array[np.uint64], Array[np.uint64]]]:
    """What a task removes: (keys whose lines all go, keys whose first line stays), in pieces of at most about `memory`
    bytes; at least one piece, each sorted.

    sections: the section files of the task's scope by ascending keys; task: its number among the scope's `tasks`.
    """
    gone: list[Array[np.uint64]] = []
    first: list[Array[np.uint64]] = []
    held = 0
    for path in sections:
        pair = []
        for number in (task, tasks + task):
            begin, end = np.fromfile(path, dtype=np.int64, count=2, offset=8 * number).tolist()
            pair.append(np.fromfile(path, dtype=np.uint64, count=end - begin, offset=8 * (2 * tasks + 1 + begin)))
        size = 8 * (pair[0].size + pair[1].size)
        if held and held + size > memory:
            yield np.concatenate(gone), np.concatenate(first)
            gone, first, held = [], [], 0
        gone.append(pair[0])
        first.append(pair[1])
        held += size
    yield np.concatenate(gone), np.concatenate(first)
