"""How much of some documents stands on lines that other documents have too.

Lines are taken without blanks at their ends; blank ones do not count. A line is known by a 64-bit hash of its bytes.
The lines of the few documents are on disk. Cut by documents into pieces that memory holds (40 bytes a line), they are
sorted, with an index of their first bits; the others stream by, once for each piece. A document takes 64 bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

from corpus.data.buffers import text_buffers
from corpus.heldout.choice import spare
from corpus.kernel import kernel

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

LINE = np.dtype([("line", np.uint64), ("bytes", np.int64)])
"""The hash of a line, and its bytes."""
DOCUMENT = np.dtype([("id", np.uint64), ("lines", np.int64)])
"""xxh3-64 of the id of a document, and how many of the lines are its."""

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
_MOST_BITS = 28
_LINE_BYTES = 40
_LEAST_MEMORY = 1 << 20
_CHUNK = 1 << 18


@dataclass(frozen=True)
class LineTable:
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
        bits = min(_MOST_BITS, max(1, len(found).bit_length() - 2))
        firsts = np.arange(1 << bits, dtype=np.uint64) << np.uint64(64 - bits)
        return cls(found, np.append(np.searchsorted(found, firsts), len(found)).astype(np.int64))

    def save(self, directory: Path, piece: int) -> None:
        """Write it as two files."""
        np.save(directory / f"{piece:05d}-hashes.npy", self.hashes)
        np.save(directory / f"{piece:05d}-starts.npy", self.starts)

    @classmethod
    def load(cls, directory: Path, piece: int) -> LineTable:
        """Map it into memory, which all processes then share."""
        names = (f"{piece:05d}-hashes.npy", f"{piece:05d}-starts.npy")
        return cls(*(np.asarray(np.load(directory / name, mmap_mode="r")) for name in names))

    def mark(self, text: pa.Array, seen: npt.NDArray[np.bool_]) -> None:
        """Set `seen` (bool[n]) where a line of `text` (strings) has that hash."""
        if len(self.hashes) and len(text):
            _mark(*text_buffers(text), self.hashes, self.starts, np.uint64(65 - len(self.starts).bit_length()), seen)


def line_hashes(text: pa.Array) -> tuple[Ints, Hashes, Ints]:
    """All lines of `text` (strings) that are not blank: the index of their text, their hash, their bytes."""
    data, offsets = text_buffers(text)
    room = int(np.count_nonzero(data[offsets[0] : offsets[-1]] == _NEWLINE)) + len(text)
    index, hashes, sizes = np.empty(room, np.int64), np.empty(room, np.uint64), np.empty(room, np.int64)
    count = _cut(data, offsets, index, hashes, sizes)
    return index[:count], hashes[:count], sizes[:count]


def save_lines(directory: Path, documents: Iterable[tuple[Hashes, pa.Array]]) -> None:
    """Keep the lines of documents: hashes of ids with texts, batch by batch."""
    with (directory / "lines").open("wb") as lines, (directory / "documents").open("wb") as rows:
        for ids, text in documents:
            index, line, size = line_hashes(text)
            found, own = np.empty(len(line), LINE), np.empty(len(ids), DOCUMENT)
            found["line"], found["bytes"] = line, size
            own["id"], own["lines"] = ids, np.bincount(index, minlength=len(ids))
            found.tofile(lines)
            own.tofile(rows)


@dataclass(frozen=True)
class FewLines:
    """The few documents and their lines, in the order of the input, as tasks left them in `folders` (`save_lines`)."""

    folders: Sequence[Path]
    ids: Hashes
    ends: Ints
    """int64[documents]: the lines up to the last of each."""

    @classmethod
    def of(cls, folders: Sequence[Path]) -> FewLines:
        """From the folder of each task."""
        found = [np.fromfile(folder / "documents", DOCUMENT) for folder in folders]
        documents = np.concatenate([np.empty(0, DOCUMENT), *found])
        return cls(folders, documents["id"].copy(), np.cumsum(documents["lines"]))

    def pieces(self, memory: int) -> list[int]:
        """The first line of each piece whose table is made within `memory`, and the end of the last."""
        limit = max(_LEAST_MEMORY, memory) // _LINE_BYTES
        bounds = [0]
        while len(self.ends) and bounds[-1] < self.ends[-1]:
            last = int(np.searchsorted(self.ends, bounds[-1] + limit, side="right")) - 1
            # a document with more lines than that is a piece of its own
            one = int(np.searchsorted(self.ends, bounds[-1], side="right"))
            bounds.append(int(self.ends[max(last, one)]))
        return bounds

    def read(self, begin: int, end: int) -> Iterator[npt.NDArray[np.void]]:
        """The lines `begin` to `end` (`LINE`[n]), a part at a time."""
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
        """Write the tables of the pieces; gives their bounds."""
        bounds = self.pieces(memory)
        for piece, (begin, end) in enumerate(itertools.pairwise(bounds)):
            hashes, at = np.empty(end - begin, np.uint64), 0
            for part in self.read(begin, end):
                hashes[at : at + len(part)] = part["line"]
                at += len(part)
            LineTable.of(hashes).save(directory, piece)
        return bounds

    def shared(self, tables: Path, bounds: Sequence[int], scans: Sequence[Path]) -> tuple[Ints, Ints]:
        """The bytes of each document's lines, and of those that `scans` (`save_seen`) have: int64[documents] each."""
        size, shared = np.zeros(len(self.ids), np.int64), np.zeros(len(self.ids), np.int64)
        for piece, (begin, end) in enumerate(itertools.pairwise(bounds)):
            table, at = LineTable.load(tables, piece), begin
            seen = np.zeros(len(table.hashes), np.bool_)
            for scan in scans:
                seen[np.load(_seen(scan, piece))] = True
            for part in self.read(begin, end):
                document = np.searchsorted(self.ends, np.arange(at, at + len(part)), side="right")
                found = seen[np.searchsorted(table.hashes, part["line"])]
                for total, weights in ((size, part["bytes"]), (shared, part["bytes"] * found)):
                    # the bytes of a part are far below 2^53, so that float64 counts them exactly
                    counts = np.bincount(document - document[0], weights).astype(np.int64)
                    total[document[0] : document[0] + len(counts)] += counts
                at += len(part)
        return size, shared


def save_seen(directory: Path, piece: int, table: LineTable, batches: Iterable[pa.Array]) -> None:
    """Note which lines of a table occur in texts, batch by batch."""
    seen = np.zeros(len(table.hashes), np.bool_)
    for text in batches:
        table.mark(text, seen)
    np.save(_seen(directory, piece), np.flatnonzero(seen))


def _seen(directory: Path, piece: int) -> Path:
    return directory / f"{piece:05d}-seen.npy"


def overlapping(ids: Hashes, size: Ints, shared: Ints, most: Fraction, min_bytes: int) -> tuple[Hashes, int]:
    """Which documents to drop for their lines, and how many stay only because the others are too few.

    Each has lines of `size` bytes, `shared` of them on lines that training has. It is to be dropped where that is more
    than `most`; documents without lines do not count. While the others have less than `min_bytes`, and at least where
    there are no others, those with the least of it stay (of equals, the smaller hash of the id).
    Gives the hashes of ids, ascending, and the number of those that stayed.
    """
    order = np.argsort(ids, kind="stable")
    order = order[size[order] > 0]
    ids, size, shared = ids[order], size[order], shared[order]
    pairs = zip(map(int, shared), map(int, size), strict=True)
    bad = np.fromiter((s * most.denominator > b * most.numerator for s, b in pairs), np.bool_, len(ids))
    bad, kept = spare(bad, lambda at: Fraction(int(shared[at]), int(size[at])), size, min_bytes)
    return ids[bad], kept


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
    place = np.uint64(at)
    while place < np.uint64(end) and data[place] != _NEWLINE:
        place += np.uint64(1)
    stop = np.int64(place)
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
                for place in range(starts[bucket], starts[bucket + 1]):
                    if hashes[place] == value:
                        seen[place] = True
