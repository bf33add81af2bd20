"""The reader of packed sets: training sequences, one per row, memory-mapped in disk order, which is training order.

Opening reads the manifest and inspects the size of every shard: its time grows with the shards, not with their rows.
Of a shard that is read, the offsets of its record batches are read first, and then only pages that hold what is asked.
The blocks of a record batch are checked when a row of it is first asked for, so that the first batch does not wait for
all others.
A set can be sent to other processes, spawned or forked: each maps the files itself, and the pages are shared.
"""

from __future__ import annotations

import mmap
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc

from corpus.data.arrow_footer import batch_spans
from corpus.data.buffers import numbers
from corpus.data.dataset import Dataset, readable
from corpus.data.stored import StoredFile
from corpus.errors import DataError

Tokens = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
Ints = npt.NDArray[np.int64]

MAPPED_SHARDS = 8
"""Shards that stay mapped: those of a batch, and some more for a reader that jumps."""
PADDING = -1
"""The number that `documents` gives for a position without a document."""


class Segment(NamedTuple):
    """A run of one document's tokens in a row; `document` indexes the packed set's `_documents/`.

    `start` is the first of these tokens *in the document*. In the row each segment begins where the one before it
    ends; padding follows the last one.
    """

    document: int
    epoch: int
    start: int
    length: int


@dataclass(frozen=True)
class DataIdentity:
    """The properties of a packed set that decide a run; its path is none of them."""

    digest: str
    rows: int
    sequence_length: int
    vocabulary: int
    tokenizer: str
    eod: int
    bos: int | None = None
    """What begins every document, where something does."""


class PackedRows:
    """A packed set as a sequence of rows of `sequence_length + 1` ids."""

    def __init__(self, directory: Path | str) -> None:
        """Open a packed set; a DataError names a shard that is missing or cut short."""
        self.dataset = Dataset.open(directory, "packed")
        self.directory = self.dataset.path
        self.manifest = self.dataset.manifest
        pairs = zip(self._files(), self.manifest.shards, strict=True)
        self.shards = [_Shard(file, entry.rows) for file, entry in pairs]
        self._starts = [0]
        for shard in self.shards:
            self._starts.append(self._starts[-1] + shard.rows)
        self._mapped: list[int] = []
        self.identity = self._identity()

    def __reduce__(self) -> tuple[Any, ...]:
        # a set is opened anew where it arrives; its mapped rows are never sent
        return type(self), (self.directory,)

    def _files(self) -> list[StoredFile]:
        """The shards in order, all there."""
        return self.dataset.shards()

    def _identity(self) -> DataIdentity:
        extra = self.manifest.extra
        try:
            tokenizer = extra["tokenizer"]
            return DataIdentity(
                digest=self.manifest.digest,
                rows=self._starts[-1],
                sequence_length=int(extra["sequence_length"]),
                vocabulary=int(extra["vocab_size"]),
                tokenizer=str(tokenizer["digest"]),
                eod=int(tokenizer["eod_id"]),
                bos=tokenizer.get("bos_id"),
            )
        except (KeyError, TypeError) as error:
            raise DataError(
                f"the manifest of {self.directory} lacks {error}: make the packed set again with corpus mix."
            ) from None

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, rows: slice) -> Tokens:
        """Rows a … b-1 as [b - a, sequence_length + 1]: a view where they lie together on disk, else a copy."""
        parts = [batch.tokens(first, last) for batch, first, last in self._ranges(rows)]
        if not parts:
            shape = (0, self.identity.sequence_length + 1)
            return np.zeros(shape, np.uint32) if self.identity.vocabulary > 1 << 16 else np.zeros(shape, np.uint16)
        return parts[0] if len(parts) == 1 else cast(Tokens, np.concatenate(parts))

    def copy_into(self, rows: slice, out: npt.NDArray[np.int64]) -> None:
        """Copy rows a … b-1 into `out`, int64 [b - a, sequence_length + 1]; nothing else is allocated."""
        offset = 0
        for batch, first, last in self._ranges(rows):
            np.copyto(out[offset : offset + last - first], batch.tokens(first, last))
            offset += last - first

    def segments(self, rows: slice) -> list[list[Segment]]:
        """The segments of each of these rows, in the order in which they lie in it; without padding they fill it."""
        return [row for batch, first, last in self._ranges(rows) for row in batch.segments(first, last)]

    def domains(self, rows: slice) -> list[str]:
        """The domain of each of these rows."""
        return [name for batch, first, last in self._ranges(rows) for name in batch.domains(first, last)]

    def epochs(self, rows: slice) -> list[int]:
        """The epoch of each of these rows: that of its first token."""
        return [epoch for batch, first, last in self._ranges(rows) for epoch in batch.epochs(first, last)]

    def documents(self, rows: slice) -> Ints:
        """For every token the number of its segment in its row, `PADDING` after the last one: int64 [b - a,
        sequence_length + 1].

        Two tokens of a row may attend to each other under a document mask where their numbers are equal. Padding has
        one number too, so that every position has one that it may attend to.
        """
        width = self.identity.sequence_length + 1
        counts, lengths = self.segment_lengths(rows)
        filled = self._filled(rows, counts, lengths)
        inside = np.arange(len(lengths), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
        numbers = np.repeat(inside, lengths)
        if len(numbers) == len(filled) * width:
            return numbers.reshape(len(filled), width)
        out = np.full((len(filled), width), PADDING, dtype=np.int64)
        out[np.arange(width) < filled[:, None]] = numbers
        return out

    def trained_tokens(self, rows: slice) -> npt.NDArray[np.bool_]:
        """Of a set that says so (`trained`), which tokens are trained on: bool [b - a, sequence_length + 1]."""
        return np.concatenate([batch.trained(first, last) for batch, first, last in self._ranges(rows)])

    def filled(self, rows: slice) -> Ints:
        """Tokens of documents in each of these rows, which padding may follow."""
        return self._filled(rows, *self.segment_lengths(rows))

    @property
    def padded(self) -> bool:
        """Whether rows can end with padding: those of concatenated documents cannot."""
        return bool(self.manifest.config.get("packing", "concatenate") == "best-fit")

    @property
    def trained(self) -> bool:
        """Whether the set says which tokens are trained on (conversations); padding is not."""
        return bool(self.manifest.extra.get("trained", False))

    def segment_lengths(self, rows: slice) -> tuple[Ints, Ints]:
        """How many segments each of these rows has, and the lengths of all, one after the other."""
        parts = [batch.lengths(first, last) for batch, first, last in self._ranges(rows)]
        none = np.zeros(0, np.int64)
        return np.concatenate([none, *(part[0] for part in parts)]), np.concatenate(
            [none, *(part[1] for part in parts)]
        )

    def _filled(self, rows: slice, counts: Ints, lengths: Ints) -> Ints:
        """Tokens of documents per row; a DataError where they are more than a row or, without padding, fewer."""
        width = self.identity.sequence_length + 1
        sums = np.concatenate([[0], np.cumsum(lengths)])
        ends = np.cumsum(counts)
        filled = sums[ends] - sums[ends - counts]
        wrong = np.flatnonzero((filled > width) if self.padded else (filled != width))
        if len(wrong):
            raise DataError(
                f"the segments of row {rows.indices(len(self))[0] + wrong[0]} of {self.directory} hold "
                f"{filled[wrong[0]]} tokens and not {width}: make the packed set again."
            )
        return np.asarray(filled, np.int64)

    def _ranges(self, rows: slice) -> Iterator[tuple[_Batch, int, int]]:
        """The record batches that hold these rows, each with its range [first, last) of them."""
        start, stop, step = rows.indices(len(self))
        assert step == 1, "rows are read in order"
        while start < stop:
            index = bisect_right(self._starts, start) - 1
            local = start - self._starts[index]
            self._touch(index)
            batch, first = self.shards[index].find(local)
            last = min(batch.rows, first + stop - start)
            yield batch, first, last
            start += last - first

    def _touch(self, index: int) -> None:
        """Note a use of a shard and unmap the one unused for longest, so that at most `MAPPED_SHARDS` files are
        open."""
        if self._mapped and self._mapped[-1] == index:
            return
        if index in self._mapped:
            self._mapped.remove(index)
        self._mapped.append(index)
        if len(self._mapped) > MAPPED_SHARDS:
            self.shards[self._mapped.pop(0)].forget()

    def close(self) -> None:
        """Unmap all files. Views of rows stay valid until they are released; the next use maps files again."""
        for index in self._mapped:
            self.shards[index].forget()
        self._mapped = []

    @property
    def tokenizer_model(self) -> Path | None:
        """The SentencePiece model that made the ids, where the packed set carries it. It and the files beside it are
        checked."""
        return self._tokenizer_file("tokenizer.model")

    @property
    def tokenizer_file(self) -> Path | None:
        """What made the ids: that model, or where there is none the `tokenizer.json`."""
        return self.tokenizer_model or self._tokenizer_file("tokenizer.json")

    def _tokenizer_file(self, name: str) -> Path | None:
        files = self.dataset.files("_tokenizer")
        for file in files.values():
            file.check()
        return files[name].path if name in files else None


def placed(spans: Sequence[Segment]) -> Iterator[tuple[int, Segment]]:
    """Segments of a row with their positions in it."""
    position = 0
    for span in spans:
        yield position, span
        position += span.length


class _Shard:
    """One Arrow file, mapped at the first touch. A block of it is checked before anything in it is used."""

    def __init__(self, file: StoredFile, rows: int) -> None:
        self.file = file
        self.rows = rows
        self._batches: list[_Batch] = []
        self._starts: list[int] = []
        self._spans: list[tuple[int, int]] = []
        self._pages: Any = None
        self._checked: set[int] = set()

    def find(self, row: int) -> tuple[_Batch, int]:
        """The record batch that holds `row` and the row's position in it."""
        if not self._batches:
            self._map()
        index = bisect_right(self._starts, row) - 1
        self._check(*self._spans[index])
        return self._batches[index], row - self._starts[index]

    def _check(self, begin: int, end: int) -> None:
        """Check the blocks that hold these bytes; each is checked once."""
        size = self.file.block_bytes
        for number in range(begin // size, -(-end // size)):
            if number not in self._checked:
                self.file.check_block(number, memoryview(self._pages)[number * size : (number + 1) * size])
                self._checked.add(number)

    def forget(self) -> None:
        """Unmap the file; views of its rows stay valid."""
        self._batches, self._starts, self._spans, self._pages = [], [], [], None

    def _map(self) -> None:
        with readable(self.file):
            with self.file.open() as checked:  # the end of the file
                spans = batch_spans(checked)
            # not through pa.memory_map, which asks the system for all of every batch whose offset is read
            with self.file.path.open("rb") as file:
                pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            reader = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(pages)))
            batches = [_Batch(reader.get_batch(index)) for index in range(reader.num_record_batches)]
        starts = [0]
        for batch in batches:
            starts.append(starts[-1] + batch.rows)
        if starts.pop() != self.rows or len(spans) != len(batches):
            raise self.file.damaged(f"it has not the {self.rows:,} rows that its manifest says")
        self._batches, self._starts, self._spans, self._pages = batches, starts, spans, pages


class _Batch:
    """One record batch as NumPy views of the mapped file."""

    def __init__(self, batch: Any) -> None:
        self.batch = batch
        self.rows: int = batch.num_rows
        self._tokens: Tokens | None = None

    def tokens(self, first: int, last: int) -> Tokens:
        if self._tokens is None:
            # not through np.asarray(column), which imports pandas
            column = self.batch.column("tokens")
            width = column.type.list_size
            dtype = np.uint32 if column.type.value_type == pa.uint32() else np.uint16
            self._tokens = numbers(column.values, dtype).reshape(-1, width)[column.offset : column.offset + self.rows]
        return self._tokens[first:last]

    def trained(self, first: int, last: int) -> npt.NDArray[np.bool_]:
        column = self.batch.column("trained")
        width = column.type.list_size
        values = column.values
        begin = values.offset + (column.offset + first) * width
        size = (last - first) * width
        packed = np.frombuffer(values.buffers()[1], np.uint8)[begin // 8 : (begin + size + 7) // 8]
        bits = np.unpackbits(packed, bitorder="little")[begin % 8 : begin % 8 + size]
        return bits.view(np.bool_).reshape(-1, width)

    def lengths(self, first: int, last: int) -> tuple[Ints, Ints]:
        offsets, values = self._segments(first, last)
        return np.diff(offsets).astype(np.int64), numbers(values.field("length"), np.uint32).astype(np.int64)

    def segments(self, first: int, last: int) -> list[list[Segment]]:
        offsets, values = self._segments(first, last)
        columns = [
            numbers(values.field(name), dtype).tolist()
            for name, dtype in (
                ("document", np.uint64),
                ("epoch", np.uint16),
                ("start", np.uint32),
                ("length", np.uint32),
            )
        ]
        flat = [Segment(*fields) for fields in zip(*columns, strict=True)]
        return [flat[a - offsets[0] : b - offsets[0]] for a, b in pairwise(offsets.tolist())]

    def _segments(self, first: int, last: int) -> tuple[npt.NDArray[np.int32], Any]:
        """Offsets of the segments of some rows, and the segments between the first and the last of them."""
        column = self.batch.column("segments")
        offsets = numbers(column.offsets, np.int32)[first : last + 1]
        begin, end = int(offsets[0]), int(offsets[-1])
        return offsets, column.values.slice(begin, end - begin)

    def domains(self, first: int, last: int) -> list[str]:
        names: list[str] = self.batch.column("domain").slice(first, last - first).to_pylist()
        return names

    def epochs(self, first: int, last: int) -> list[int]:
        return [int(epoch) for epoch in numbers(self.batch.column("epoch"), np.uint16)[first:last]]
