"""From input order to set order: a distribution sort of segments and their tokens.

The set is cut into blocks of rows. A task of the distribute phase reads its documents once; what fits into its memory
it sorts by block and writes as a *run*: the tokens and the segments of block after block. A pack task then reads one
stretch of each run. With M bytes held on either side and a set of S bytes, a stretch has M M / S bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numba import types

from corpus.kernel import kernel
from corpus.mixture.pack.arrays import stretch
from corpus.mixture.pack.blocks import PACKED_SEGMENT_BYTES, BlockRows
from corpus.mixture.pack.order import Ints
from corpus.mixture.pack.shards import ShardReader, Tokens, token_dtype
from corpus.mixture.pack.stream import Segments

SEGMENT_RECORD = np.dtype(
    [
        ("position", "<u8"),
        ("document", "<u8"),
        ("start", "<u4"),
        ("length", "<u4"),
        ("target", "<u4"),
        ("epoch", "<u2"),
        ("domain", "<u2"),
    ]
)
"""A segment on disk: `position` is that of its sequence in the set, `document` the number in `_documents/`; the rest
is as in `Segments`."""
SegmentRecords = npt.NDArray[np.void]

_SEGMENT_BYTES = 256
"""Memory of a segment while a run is made."""
_BATCH_TOKENS = 1 << 20
"""Tokens that are written and read at a time: they stay in the processor's cache."""
_INTS_IN = types.Array(types.int64, 1, "C", readonly=True)


class Spill:
    """Collects documents with their segments and writes sorted runs below `directory`, of about `memory` bytes each;
    `rows` says how the set is cut into blocks."""

    def __init__(self, directory: Path, wide: bool, memory: int, rows: BlockRows) -> None:
        self._directory = directory
        self._rows = rows
        self._memory = memory
        self._tokens: Tokens = np.empty(0, token_dtype(wide))
        self._used = 0
        self._parts: list[tuple[SegmentRecords, Ints]] = []
        self._segments = 0
        self._bounds: list[Ints] = []

    def add(self, reader: ShardReader, begin: int, segments: Segments, records: SegmentRecords) -> None:
        """Add documents of a shard, `segments.document` counted from its document `begin`; `records` are the segments
        as they are to be written."""
        if not len(records):
            return
        last = int(segments.document[-1]) + 1
        lengths = reader.index.lengths[begin : begin + last].astype(np.int64)
        ends = np.cumsum(lengths)
        counts = np.searchsorted(segments.document, np.arange(1, last + 1))
        cost = ends * self._tokens.itemsize + counts * _SEGMENT_BYTES
        done = 0
        while done < last:
            spent = cost[done - 1] if done else 0
            held = self._used * self._tokens.itemsize + self._segments * _SEGMENT_BYTES
            fits = int(np.searchsorted(cost, spent + self._memory - held, side="right"))
            if fits <= done and self._used:
                self._flush()
                continue
            fits = max(fits, done + 1)
            low, high = (int(counts[done - 1]) if done else 0), int(counts[fits - 1])
            base = int(ends[done - 1]) if done else 0
            room = self._room(int(ends[fits - 1]) - base)
            reader.read(begin + done, begin + fits, room)
            source = self._used + (ends - lengths)[segments.document[low:high]] - base + segments.start[low:high]
            self._parts.append((records[low:high], source))
            self._used += len(room)
            self._segments += high - low
            done = fits

    def close(self) -> None:
        """Write the last run and the bounds of the blocks in all runs."""
        if self._segments:
            self._flush()
        bounds = np.stack(self._bounds) if self._bounds else np.empty((0, 2, self._rows.blocks + 1), np.int64)
        np.save(self._directory / "bounds.npy", bounds)

    def _room(self, size: int) -> Tokens:
        """The next `size` ids of the buffer, which is allocated in full at once; only a longer document makes it
        grow."""
        if self._used + size > len(self._tokens):
            most = self._memory // self._tokens.itemsize
            grown = np.empty(max(most, self._used + size), self._tokens.dtype)
            grown[: self._used] = self._tokens[: self._used]
            self._tokens = grown
        return self._tokens[self._used : self._used + size]

    def _flush(self) -> None:
        records = np.concatenate([part for part, _ in self._parts])
        source = np.concatenate([part for _, part in self._parts])
        self._parts = []
        block = self._rows.block_of(records["position"].astype(np.int64))
        order = np.argsort(block, kind="stable")
        records, source = records[order], source[order]
        ends = np.concatenate([[0], np.cumsum(records["length"], dtype=np.int64)])
        first = np.searchsorted(block[order], np.arange(self._rows.blocks + 1))
        self._bounds.append(np.stack([first, ends[first]]))
        run = len(self._bounds) - 1
        records.tofile(self._directory / f"segments-{run:05d}")
        with (self._directory / f"tokens-{run:05d}").open("wb") as file:
            for low, high in _batches(ends):
                out = np.empty(int(ends[high] - ends[low]), self._tokens.dtype)
                first = ends[low : high + 1] - ends[low]
                copy_runs(self._tokens, source[low:high], first[:-1], first[1:], out)
                file.write(out.data)
        self._used = self._segments = 0


def run_bytes(directory: Path, low: int, high: int, wide: bool) -> Ints:
    """int64[high - low]: the memory that the runs of one task take in each of these blocks while it is packed."""
    bounds = np.load(directory / "bounds.npy", mmap_mode="r")
    records, tokens = np.diff(bounds[:, :, low : high + 1].sum(axis=0))
    return np.asarray(records * PACKED_SEGMENT_BYTES + tokens * np.dtype(token_dtype(wide)).itemsize)


def read_runs(directory: Path, low: int, high: int, wide: bool) -> Iterator[tuple[SegmentRecords, Tokens]]:
    """What the runs of one task hold of the blocks [low, high), some megabytes at a time: segments, and their tokens
    one after the other."""
    bounds = np.load(directory / "bounds.npy", mmap_mode="r")
    for run in range(len(bounds)):
        (record, token), record_end = bounds[run, :, low].tolist(), int(bounds[run, 0, high])
        if record == record_end:
            continue
        records = stretch(directory / f"segments-{run:05d}", SEGMENT_RECORD, record, record_end)
        ends = np.concatenate([[0], np.cumsum(records["length"], dtype=np.int64)])
        for begin, end in _batches(ends):
            first, last = token + int(ends[begin]), token + int(ends[end])
            yield records[begin:end], stretch(directory / f"tokens-{run:05d}", token_dtype(wide), first, last)


def _batches(ends: Ints) -> Iterator[tuple[int, int]]:
    """Ranges of consecutive segments of at most `_BATCH_TOKENS` together, or of one longer one; `ends` int64[n + 1]
    from 0."""
    low = 0
    while low < len(ends) - 1:
        high = max(low + 1, int(np.searchsorted(ends, ends[low] + _BATCH_TOKENS, side="right")) - 1)
        yield low, high
        low = high


def _copy_signature(item: types.Type) -> types.Type:
    tokens_in, tokens = types.Array(item, 1, "C", readonly=True), types.Array(item, 1, "C")
    return types.void(tokens_in, _INTS_IN, _INTS_IN, _INTS_IN, tokens)


@kernel([_copy_signature(types.uint16), _copy_signature(types.uint32)])
def copy_runs(values: Tokens, source: Ints, begin: Ints, end: Ints, out: Tokens) -> None:
    """out[begin : end] = values[source : source + end - begin], for every run."""
    for k in range(len(source)):
        size = end[k] - begin[k]
        # views, so that the compiler sees plain loops over both and makes wide copies of them: four times as fast
        run, target = values[source[k] : source[k] + size], out[begin[k] : end[k]]
        for i in range(size):
            target[i] = run[i]
