"""How much of the held-out documents stands on lines that training has too.

Lines are taken without blanks at their ends; blank ones do not count. A line is known by a 64-bit hash of its bytes.
The lines of the held-out documents are on disk. Cut by documents into parts that memory holds (40 bytes a line), they
are sorted, with an index of their first bits; training streams by, once for each part. A document takes 80 bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

from corpus.data.buffers import text_buffers
from corpus.decontaminate.mapped import MappedArrays, bucket_shift, bucket_starts, parts_within
from corpus.engine.result import TaskResult
from corpus.engine.task import Task
from corpus.heldout.choice import LINES_IN_TRAINING
from corpus.heldout.overlap import Overlap
from corpus.kernel import kernel

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

LINE = np.dtype([("line", np.uint64), ("bytes", np.int64)])
"""The hash of a line, and its bytes."""

_BYTES_IN = types.Array(types.uint8, 1, "C", readonly=True)
_INTS_IN = types.Array(types.int64, 1, "C", readonly=True)
_HASHES_IN = types.Array(types.uint64, 1, "C", readonly=True)
_HASHES = types.Array(types.uint64, 1, "C")
_INTS = types.Array(types.int64, 1, "C")
_FLAGS = types.Array(types.boolean, 1, "C")

_SEED, _EIGHT = np.uint64(0x9E3779B97F4A7C15), np.uint64(8)
_MIX1, _MIX2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S31 = np.uint64(27), np.uint64(31)
_NEWLINE = np.uint8(10)
_LINE_BYTES = 40
_LEAST_MEMORY = 1 << 20
_CHUNK = 1 << 18


@dataclass(frozen=True)
class LineTable(MappedArrays):
    """Different hashes of lines: `hashes` uint64[n], ascending; `starts` int64[2^bits + 1]: the first with those bits."""

    hashes: Hashes
    starts: Ints

    @classmethod
    def of(cls, hashes: Hashes) -> LineTable:
        """The table of the different ones of `hashes`."""
        found = np.sort(hashes)
        first = np.ones(len(found), np.bool_)
        np.not_equal(found[1:], found[:-1], out=first[1:])
        found = found[first]
        return cls(found, bucket_starts(found, each=4))

    def mark(self, text: pa.Array, seen: npt.NDArray[np.bool_]) -> None:
        """Set `seen` (bool[n]) where a line of `text` (strings) has that hash."""
        if len(self.hashes) and len(text):
            _mark(*text_buffers(text), self.hashes, self.starts, bucket_shift(self.starts), seen)


def line_hashes(text: pa.Array) -> tuple[Ints, Hashes, Ints]:
    """All lines of `text` (strings) that are not blank: the index of their text, their hash, their bytes."""
    data, offsets = text_buffers(text)
    room = int(np.count_nonzero(data[offsets[0] : offsets[-1]] == _NEWLINE)) + len(text)
    index, hashes, sizes = np.empty(room, np.int64), np.empty(room, np.uint64), np.empty(room, np.int64)
    count = _cut(data, offsets, index, hashes, sizes)
    return index[:count], hashes[:count], sizes[:count]


def save_lines(directory: Path, batches: Iterable[pa.Array]) -> None:
    """Keep the lines of texts, batch by batch: `lines` (`LINE`), and of each text how many (`counts`, int64)."""
    with (directory / "lines").open("wb") as lines, (directory / "counts").open("wb") as counts:
        for text in batches:
            index, line, size = line_hashes(text)
            found = np.empty(len(line), LINE)
            found["line"], found["bytes"] = line, size
            found.tofile(lines)
            np.bincount(index, minlength=len(text)).astype(np.int64).tofile(counts)


@dataclass(frozen=True)
class HeldOutLines:
    """The lines of the held-out documents, in the order of the input, as tasks left them in `folders` (`save_lines`)."""

    folders: Sequence[Path]
    ends: Ints
    """int64[documents]: the lines up to the last of each."""

    @classmethod
    def of(cls, folders: Sequence[Path]) -> HeldOutLines:
        """From the folder of each task."""
        counts = [np.fromfile(folder / "counts", np.int64) for folder in folders]
        return cls(folders, np.cumsum(np.concatenate([np.empty(0, np.int64), *counts])))

    def parts(self, memory: int) -> list[int]:
        """The first line of each part whose table is made within `memory`, and the end of the last."""
        sizes = _LINE_BYTES * np.diff(self.ends, prepend=0)
        bounds = parts_within(sizes, max(_LEAST_MEMORY, memory))
        return [0, *(int(self.ends[bound - 1]) for bound in bounds[1:])]

    def read(self, begin: int, end: int) -> Iterator[npt.NDArray[np.void]]:
        """The lines `begin` to `end` (`LINE`[n]), some at a time."""
        first = 0
        for folder in self.folders:
            path = folder / "lines"
            after = first + path.stat().st_size // LINE.itemsize
            at, stop = max(first, begin), min(after, end)
            while at < stop:
                count = min(stop - at, _CHUNK)
                yield np.fromfile(path, LINE, count, offset=(at - first) * LINE.itemsize)
                at += count
            first = after

    def save_tables(self, directory: Path, memory: int) -> list[int]:
        """Write the tables of the parts; gives their bounds."""
        bounds = self.parts(memory)
        for part, (begin, end) in enumerate(itertools.pairwise(bounds)):
            hashes, at = np.empty(end - begin, np.uint64), 0
            for lines in self.read(begin, end):
                hashes[at : at + len(lines)] = lines["line"]
                at += len(lines)
            LineTable.of(hashes).save(directory, part)
        return bounds

    def shared(self, tables: Path, bounds: Sequence[int], scans: Sequence[Path]) -> tuple[Ints, Ints]:
        """The bytes of each document's lines, and of those that `scans` (`save_seen`) have: int64[documents] each."""
        size, shared = np.zeros(len(self.ends), np.int64), np.zeros(len(self.ends), np.int64)
        for part, (begin, end) in enumerate(itertools.pairwise(bounds)):
            table, at = LineTable.load(tables, part), begin
            seen = np.zeros(len(table.hashes), np.bool_)
            for scan in scans:
                seen[np.load(_seen(scan, part))] = True
            for lines in self.read(begin, end):
                document = np.searchsorted(self.ends, np.arange(at, at + len(lines)), side="right")
                found = seen[np.searchsorted(table.hashes, lines["line"])]
                for total, weights in ((size, lines["bytes"]), (shared, lines["bytes"] * found)):
                    # the bytes of these lines are far below 2^53, so that float64 counts them exactly
                    counts = np.bincount(document - document[0], weights).astype(np.int64)
                    total[document[0] : document[0] + len(counts)] += counts
                at += len(lines)
        return size, shared


def save_seen(directory: Path, part: int, table: LineTable, batches: Iterable[pa.Array]) -> None:
    """Note which lines of a table occur in texts, batch by batch."""
    seen = np.zeros(len(table.hashes), np.bool_)
    for text in batches:
        table.mark(text, seen)
    np.save(_seen(directory, part), np.flatnonzero(seen))


def _seen(directory: Path, part: int) -> Path:
    return directory / f"{part:05d}-seen.npy"


@dataclass(frozen=True)
class LineOverlap(Overlap):
    """Drops documents with more than `most` of their text on lines of training."""

    gather_phase: ClassVar[str] = "lines"
    index_phase: ClassVar[str] = "table"
    scan_phase: ClassVar[str] = "scan"
    decide_phase: ClassVar[str] = "compare"
    columns: ClassVar[tuple[str, ...]] = ("text",)
    reason: ClassVar[str] = LINES_IN_TRAINING
    file: ClassVar[str] = "lines.npy"

    most: Fraction

    def gather(self, directory: Path, documents: int, batches: Iterable[pa.RecordBatch]) -> None:
        save_lines(directory, (batch.column("text") for batch in batches))

    def index(self, task: Task) -> int:
        bounds = HeldOutLines.of(self.gathered(task)).save_tables(task.directory, task.memory)
        task.note("bounds", bounds)
        return len(bounds) - 1

    def scan(self, task: Task, made: Path, part: int, batches: Iterable[pa.RecordBatch]) -> None:
        texts = (batch.column("text") for batch in batches)
        save_seen(task.directory, part, LineTable.load(made, part), texts)

    def decide(self, task: Task, made: TaskResult, scans: Sequence[TaskResult]) -> None:
        held_out = HeldOutLines.of(self.gathered(task))
        bounds = made.notes["bounds"]
        size, shared = held_out.shared(made.directory, bounds, [result.directory for result in scans])
        places, most = np.zeros(len(size), np.int64), np.zeros(len(size), np.int64)
        for place in sorted(set(self.places)):
            own = [result.directory for number, result in enumerate(scans) if self.places[number] == place]
            _, here = held_out.shared(made.directory, bounds, own)
            places[here > most] = place
            np.maximum(most, here, out=most)
        self.drop(task, overlapping(size, shared, self.most), places)


def overlapping(size: Ints, shared: Ints, most: Fraction) -> npt.NDArray[np.bool_]:
    """Which documents have more than `most` of the `size` bytes of their lines on lines that training has: `shared`."""
    pairs = zip(shared.tolist(), size.tolist(), strict=True)
    return np.fromiter((s * most.denominator > b * most.numerator for s, b in pairs), np.bool_, len(size))


@kernel(types.uint64(_BYTES_IN, types.int64, types.int64), inline="always")
def _hash(data: Any, begin: int, end: int) -> Any:
    """Eight bytes at a time into one product; the length, and SplitMix64's finish."""
    value = _SEED ^ np.uint64(end - begin)
    at = np.uint64(begin)
    stop = np.uint64(end)
    while at + _EIGHT <= stop:
        word = np.uint64(data[at])
        for k in range(1, 8):
            word |= np.uint64(data[at + np.uint64(k)]) << np.uint64(8 * k)
        value = (value ^ word) * _MIX1
        value ^= value >> _S31
        at += _EIGHT
    word = np.uint64(0)
    while at < stop:
        word = (word << np.uint64(8)) | np.uint64(data[at])
        at += np.uint64(1)
    value = (value ^ word) * _MIX1
    value = (value ^ (value >> _S27)) * _MIX2
    return value ^ (value >> _S31)


@kernel(types.UniTuple(types.int64, 3)(_BYTES_IN, types.int64, types.int64))
def _line(data: Any, at: int, end: int) -> Any:
    """The line at `at`: its first byte and its end without blanks, and where the next begins."""
    position = np.uint64(at)
    while position < np.uint64(end) and data[position] != _NEWLINE:
        position += np.uint64(1)
    stop = np.int64(position)
    first, last = at, stop
    while first < last and (data[first] == 32 or 9 <= data[first] <= 13):
        first += 1
    while last > first and (data[last - 1] == 32 or 9 <= data[last - 1] <= 13):
        last -= 1
    return first, last, stop + 1


@kernel(types.int64(_BYTES_IN, _INTS_IN, _INTS, _HASHES, _INTS))
def _cut(data: Any, offsets: Any, index: Any, hashes: Any, sizes: Any) -> Any:
    """The lines of all texts; how many there are."""
    n = 0
    for row in range(len(offsets) - 1):
        at = offsets[row]
        while at < offsets[row + 1]:
            first, last, at = _line(data, at, offsets[row + 1])
            if last > first:
                index[n], hashes[n], sizes[n] = row, _hash(data, first, last), last - first
                n += 1
    return n


@kernel(types.void(_BYTES_IN, _INTS_IN, _HASHES_IN, _INTS_IN, types.uint64, _FLAGS))
def _mark(data: Any, offsets: Any, hashes: Any, starts: Any, shift: Any, seen: Any) -> None:
    """Set `seen` for every hash that a line of the texts has."""
    for row in range(len(offsets) - 1):
        at = offsets[row]
        while at < offsets[row + 1]:
            first, last, at = _line(data, at, offsets[row + 1])
            if last > first:
                value = _hash(data, first, last)
                bucket = np.int64(value >> shift)
                for position in range(starts[bucket], starts[bucket + 1]):
                    if hashes[position] == value:
                        seen[position] = True
