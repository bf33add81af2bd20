"""N-grams on disk: sorted runs of rows, read back in order by ranges of their first word.

A row is uint32[width]: its first `keys` values are what it is sorted by, the others what it says of them. A run file
holds rows in ascending order, no two of one key; its bounds are the places where partitions begin. Partitions are ranges
of the first value. How many runs there are, and into how many blocks they are cut when they are read, depends on memory;
the rows of a partition, one after the other, do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import types

from corpus.data.buffers import Array
from corpus.kernel import kernel

Rows = Array[np.uint32]
LEAST_ROWS = 1 << 12
"""Rows of a run that are read at once, at least."""
_LEAST_BYTES = 1 << 20
_SORTING = 3
"""What sorting needs: rows as collected, all of them in one array and a second one of that size."""
_RADIX = 11
_ROWS = types.uint32[:, ::1]
_READ = types.Array(types.uint32, 2, "C", readonly=True)
_KEY = types.Array(types.uint32, 1, "C", readonly=True)


@kernel(types.boolean(_ROWS, _ROWS, types.int64, types.int64))
def _sort_rows(rows: Any, spare: Any, keys: Any, bits: Any) -> Any:
    """Sort rows by their first `keys` values of at most `bits` bits, equal ones in their order; whether the sorted ones
    are in `spare`. By digits of `_RADIX` bits from the last, so without comparing."""
    count, width = rows.shape
    here, there = rows, spare
    swapped = False
    mask = np.int64((1 << _RADIX) - 1)
    starts = np.zeros((1 << _RADIX) + 1, np.int64)
    for column in range(keys - 1, -1, -1):
        for shift in range(0, bits, _RADIX):
            starts[:] = 0
            for i in range(count):
                starts[((np.int64(here[i, column]) >> shift) & mask) + 1] += 1
            if starts.max() == count:
                continue
            for digit in range(1 << _RADIX):
                starts[digit + 1] += starts[digit]
            for i in range(count):
                place = (np.int64(here[i, column]) >> shift) & mask
                at = starts[place]
                starts[place] += 1
                for j in range(width):
                    there[at, j] = here[i, j]
            here, there = there, here
            swapped = not swapped
    return swapped


@kernel(types.int64(_ROWS, types.int64))
def _add_equal(rows: Any, keys: Any) -> Any:
    """Make one row of sorted rows of one key, in place, their last values added up; how many rows are left."""
    last = rows.shape[1] - 1
    left = np.int64(0)
    for i in range(rows.shape[0]):
        same = left > 0
        for j in range(keys):
            same = same and rows[i, j] == rows[left - 1, j]
            if not same:
                break
        if same:
            rows[left - 1, last] += rows[i, last]
        else:
            for j in range(last + 1):
                rows[left, j] = rows[i, j]
            left += 1
    return left


@kernel(types.int64(_READ, _KEY))
def rows_up_to(rows: Any, key: Any) -> Any:
    """How many of some sorted rows are not after `key`, of whose length their keys are taken to be."""
    low, high = np.int64(0), np.int64(rows.shape[0])
    while low < high:
        middle = (low + high) // 2
        order = 0
        for j in range(key.size):
            if rows[middle, j] != key[j]:
                order = 1 if rows[middle, j] > key[j] else -1
                break
        if order <= 0:
            low = middle + 1
        else:
            high = middle
    return low


def sorted_rows(parts: Sequence[Rows], width: int, keys: int, bits: int, add: bool) -> Rows:
    """All rows in order; where `add`, those of one key as one."""
    rows = np.concatenate([np.zeros((0, width), np.uint32), *parts])
    spare = np.empty_like(rows)
    rows = spare if _sort_rows(rows, spare, keys, bits) else rows
    return rows[: _add_equal(rows, keys)] if add else rows


@dataclass(frozen=True)
class RowKind:
    """What rows are: their width, the number of values they are sorted by, and the bits that a key takes at most."""

    width: int
    keys: int
    bits: int


class RowWriter:
    """Collects rows and writes sorted runs of them once they fill their part of `memory`. Counts (the last value) of rows
    of one key are added up where `add`."""

    def __init__(self, directory: Path, kind: RowKind, starts: Array[np.int64], memory: int, add: bool = False) -> None:
        self.runs = 0
        self._directory = directory
        self._kind = kind
        self._starts = starts
        self._limit = max(_LEAST_BYTES, memory // _SORTING)
        self._add = add
        self._held: list[Rows] = []
        self._bytes = 0
        directory.mkdir(parents=True, exist_ok=True)

    def add(self, rows: Rows) -> None:
        """Add rows; the array is kept."""
        if len(rows):
            self._held.append(rows)
            self._bytes += rows.nbytes
        if self._bytes >= self._limit:
            if self._add:
                self._held = [self._sorted()]
                self._bytes = self._held[0].nbytes
            if self._bytes >= self._limit // 2:
                self._write()

    def close(self) -> int:
        """Write the last run; how many there are."""
        if self._bytes:
            self._write()
        return self.runs

    def _sorted(self) -> Rows:
        return sorted_rows(self._held, self._kind.width, self._kind.keys, self._kind.bits, self._add)

    def _write(self) -> None:
        rows = self._sorted()
        bounds = np.searchsorted(rows[:, 0], self._starts).astype(np.int64)
        with _run_path(self._directory, self.runs).open("wb") as file:
            file.write(np.append(bounds, len(rows)).astype(np.int64).data)
            file.write(np.ascontiguousarray(rows).data)
        self.runs += 1
        self._held, self._bytes = [], 0


def _run_path(directory: Path, number: int) -> Path:
    return directory / f"run-{number:05d}"


@dataclass(frozen=True)
class Run:
    """The rows of one partition in a run file: from place `begin` to `end`, which begin at byte `base`."""

    path: Path
    base: int
    begin: int
    end: int


def runs_of(directory: Path, number: int, partition: int, partitions: int) -> list[Run]:
    """The parts of a partition in all `number` run files of a folder."""
    found = []
    for run in range(number):
        path = _run_path(directory, run)
        begin, end = np.fromfile(path, np.int64, 2, offset=8 * partition).tolist()
        if begin < end:
            found.append(Run(path, 8 * (partitions + 1), begin, end))
    return found


class _Block:
    """The next rows of a run."""

    def __init__(self, run: Run, kind: RowKind, size: int) -> None:
        self._run = run
        self._kind = kind
        self._size = size
        self._at = run.begin
        self.rows: Rows = np.zeros((0, kind.width), np.uint32)

    @property
    def ended(self) -> bool:
        """Whether all rows of the run have been read."""
        return self._at == self._run.end

    def fill(self) -> None:
        """Read on where nothing is left."""
        if len(self.rows) or self.ended:
            return
        number = min(self._size, self._run.end - self._at)
        width = self._kind.width
        offset = self._run.base + 4 * width * self._at
        self.rows = np.fromfile(self._run.path, np.uint32, number * width, offset=offset).reshape(-1, width)
        self._at += number

    def take(self, key: Array[np.uint32] | None) -> Rows:
        """The rows up to a key, or all, which are then gone."""
        number = len(self.rows) if key is None else int(rows_up_to(self.rows, key))
        taken, self.rows = self.rows[:number], self.rows[number:]
        return taken


def merged(runs: Sequence[Run], kind: RowKind, memory: int, add: bool = False) -> Iterator[Rows]:
    """All rows of some runs in order, a block at a time; rows of one key are in one block, as one row where `add`."""
    size = max(LEAST_ROWS, memory // (_SORTING * 4 * kind.width * max(1, len(runs))))
    blocks = [_Block(run, kind, size) for run in runs]
    while blocks:
        for block in blocks:
            block.fill()
        blocks = [block for block in blocks if len(block.rows)]
        lasts = [tuple(block.rows[-1, : kind.keys].tolist()) for block in blocks if not block.ended]
        key = np.array(min(lasts), np.uint32) if lasts else None
        parts = [block.take(key) for block in blocks]
        if len(parts) == 1 and not add:
            yield parts[0]
        elif parts:
            yield sorted_rows(parts, kind.width, kind.keys, kind.bits, add)
