"""Records on disk: sorted runs per task, read back by ranges of their key.

A record is a NumPy structure whose first field is its uint64 key. A run file is sorted by key; records with equal keys
keep the order in which they were added. How many runs there are, and into how many pieces a range is cut when it is
read, depends on memory; the records that a range holds, in the order of runs, do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Records: TypeAlias = np.ndarray[Any, np.dtype[np.void]]
ENTRIES_PER_PARTITION = 1 << 22
"""Records per partition; it decides how many tasks may work at once, not what comes out."""
MOST_PARTITIONS = 1024
_LEAST_BYTES = 1 << 20
_SORTING = 4
"""What sorting needs: the records, their order and a sorted copy, in sizes of the records."""


def partitions_for(entries: int, each: int | None = None) -> int:
    """How many partitions so many records get, of about `each` or `ENTRIES_PER_PARTITION`: a power of two."""
    wanted = max(1, -(-entries // (each or ENTRIES_PER_PARTITION)))
    return int(min(MOST_PARTITIONS, 1 << (wanted - 1).bit_length()))


def part_bounds(part: int, parts: int, most: int = 1 << 64) -> tuple[int, int]:
    """The least key of one of equal parts of the keys below `most`, and that of the next."""
    return most * part // parts, most * (part + 1) // parts


class Spill:
    """Collects a task's records and writes them as sorted runs once they fill their part of `memory`.

    `reduce` is given the sorted records of a run and may make fewer of them (counts of equal keys, for example).
    """

    def __init__(
        self, directory: Path, kind: np.dtype[np.void], memory: int, reduce: Callable[[Records], Records] | None = None
    ) -> None:
        self.directory = directory
        self.runs = 0
        self._kind = kind
        self._limit = max(_LEAST_BYTES, memory // _SORTING)
        self._reduce = reduce
        self._held: list[Records] = []
        self._bytes = 0

    def add(self, records: Records) -> None:
        """Add records; the array is kept, so it must not be changed afterwards."""
        self._held.append(records)
        self._bytes += records.nbytes
        if self._bytes >= self._limit:
            if self._reduce is not None:
                self._compact()
            if self._bytes >= self._limit // 2:
                self._write()

    def close(self) -> int:
        """Write the last run; the number of runs."""
        if self._bytes:
            self._write()
        return self.runs

    def _compact(self) -> None:
        records = _sorted(self._held, self._kind)
        records = self._reduce(records) if self._reduce is not None else records
        self._held, self._bytes = [records], records.nbytes

    def _write(self) -> None:
        self._compact()
        with run_path(self.directory, self.runs).open("wb") as file:
            file.write(np.ascontiguousarray(self._held[0]).data)
        self._held, self._bytes = [], 0
        self.runs += 1


def run_path(directory: Path, number: int) -> Path:
    """Where run `number` of a task lies."""
    return directory / f"run-{number:05d}"


def run_paths(directory: Path, runs: int) -> list[Path]:
    """All runs of a task."""
    return [run_path(directory, number) for number in range(runs)]


def _sorted(parts: Sequence[Records], kind: np.dtype[np.void]) -> Records:
    records = np.concatenate(parts) if parts else np.empty(0, kind)
    assert kind.names is not None
    return records[np.argsort(records[kind.names[0]], kind="stable")]


def read_pieces(
    paths: Sequence[Path],
    kind: np.dtype[np.void],
    low: int,
    high: int,
    memory: int,
    change: Callable[[int, Records], Records] = lambda run, records: records,
) -> Iterator[tuple[int, int, Records]]:
    """The records of all run files with low <= key < high, sorted by key; equal keys in the order of `paths`.

    They come in pieces (first key, bound, records) by ascending key that need about `memory` bytes while they are
    sorted, or hold a single key; the pieces fill the range without a gap. `change` is given what is read of a run, with its number.
    """
    runs = [_Run(path, kind) for path in paths]
    limit = max(_LEAST_BYTES, memory // _SORTING)
    stack = [(low, high, [(run.below(low), run.below(high)) for run in runs])]
    while stack:
        low, high, spans = stack.pop()
        total = sum(end - begin for begin, end in spans)
        if total * kind.itemsize > limit and high - low > 1:
            middle = (low + high) // 2
            cuts = [run.below(middle, *span) for run, span in zip(runs, spans, strict=True)]
            stack.append((middle, high, [(cut, end) for cut, (_, end) in zip(cuts, spans, strict=True)]))
            stack.append((low, middle, [(begin, cut) for cut, (begin, _) in zip(cuts, spans, strict=True)]))
            continue
        read = enumerate(zip(runs, spans, strict=True))
        parts = [change(number, run.read(*span)) for number, (run, span) in read if span[0] < span[1]]
        yield low, high, _sorted(parts, kind)


class _Run:
    """One run file, looked into without holding it."""

    def __init__(self, path: Path, kind: np.dtype[np.void]) -> None:
        self.path = path
        self.kind = kind
        self.size = path.stat().st_size // kind.itemsize

    def below(self, bound: int, begin: int = 0, end: int | None = None) -> int:
        """The position of the first record whose key is not below `bound`, by bisection between two positions."""
        end = self.size if end is None else end
        with self.path.open("rb", buffering=0) as file:
            while begin < end:
                middle = (begin + end) // 2
                file.seek(middle * self.kind.itemsize)
                if int.from_bytes(file.read(8), "little") < bound:
                    begin = middle + 1
                else:
                    end = middle
        return begin

    def read(self, begin: int, end: int) -> Records:
        """The records at positions begin to end."""
        return np.fromfile(self.path, dtype=self.kind, count=end - begin, offset=begin * self.kind.itemsize)
