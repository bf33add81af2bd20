"""Rows of a packed set: memory-mapped, in disk order, which is training order.

Opening reads the manifest and looks at file sizes, so it takes as long for a thousand rows as for a thousand million.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc

from corpus.data.dataset import Dataset, resolve
from corpus.errors import DataError

Tokens = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


MAPPED_SHARDS = 8
"""Shards that stay mapped: the run of a batch, and a few for a reader that jumps."""


class Segment(NamedTuple):
    """A run of one document's tokens in a row; `document` indexes the packed set's `_documents/`.

    `start` is the first of these tokens *in the document*. In the row a segment lies behind the ones before it.
    """

    document: int
    epoch: int
    start: int
    length: int


@dataclass(frozen=True)
class DataIdentity:
    """What of a packed set decides a run: nothing of where it lies."""

    digest: str
    rows: int
    sequence_length: int
    vocabulary: int
    tokenizer: str
    eod: int


class PackedRows:
    """A packed set as a sequence of rows of `sequence_length + 1` ids."""

    def __init__(self, directory: Path | str) -> None:
        """Open a packed set; a DataError names a shard that is missing or cut short."""
        dataset = Dataset.open(directory, "packed")
        self.directory = dataset.path
        self.manifest = dataset.manifest
        pairs = zip(dataset.shard_paths(), self.manifest.shards, strict=True)
        self.shards = [_Shard(path, entry.rows) for path, entry in pairs]
        self._starts = [0]
        for shard in self.shards:
            self._starts.append(self._starts[-1] + shard.rows)
        self._mapped: list[int] = []
        self.identity = self._identity()

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
            )
        except (KeyError, TypeError) as error:
            raise DataError(
                f"the manifest of {self.directory} lacks {error}: make the packed set again with corpus mix."
            ) from None

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, rows: slice) -> Tokens:
        """Rows a … b-1 as [b - a, sequence_length + 1]: a view where they lie together on disk, else a copy."""
        parts = [batch.tokens(first, last) for batch, first, last in self._pieces(rows)]
        if not parts:
            return np.zeros((0, self.identity.sequence_length + 1), dtype=np.uint16)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)  # type: ignore[return-value]  # one dtype

    def segments(self, rows: slice) -> list[list[Segment]]:
        """The segments of each of these rows, in the order in which they lie in it; together they fill it."""
        return [row for batch, first, last in self._pieces(rows) for row in batch.segments(first, last)]

    def domains(self, rows: slice) -> list[str]:
        """The domain of each of these rows."""
        return [name for batch, first, last in self._pieces(rows) for name in batch.domains(first, last)]

    def documents(self, rows: slice) -> npt.NDArray[np.int64]:
        """For every token the number of its segment in its row: int64 [b - a, sequence_length + 1].

        Two tokens of a row may attend to each other under a document mask where their numbers are equal.
        """
        width = self.identity.sequence_length + 1
        row_segments = self.segments(rows)
        numbers = np.empty((len(row_segments), width), dtype=np.int64)
        for row, segments in enumerate(row_segments):
            lengths = [segment.length for segment in segments]
            if sum(lengths) != width:
                raise DataError(
                    f"the segments of row {rows.indices(len(self))[0] + row} of {self.directory} hold {sum(lengths)} "
                    f"tokens and not {width}: make the packed set again."
                )
            numbers[row] = np.repeat(np.arange(len(lengths)), lengths)
        return numbers

    def _pieces(self, rows: slice) -> Iterator[tuple[_Batch, int, int]]:
        """The record batches that hold these rows, with the first and last-but-one row inside each."""
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
        """Note a use of a shard and let go of the one unused for longest, so that few files are open at a time."""
        if index in self._mapped:
            self._mapped.remove(index)
        self._mapped.append(index)
        if len(self._mapped) > MAPPED_SHARDS:
            self.shards[self._mapped.pop(0)].forget()

    @property
    def tokenizer_model(self) -> Path | None:
        """The SentencePiece model that made the ids, where the packed set carries it."""
        path = self.directory / "_tokenizer" / "tokenizer.model"
        return path if path.exists() else None


def open_validation(path: Path) -> dict[str, PackedRows]:
    """The packed sets at `path`, a packed set or a directory of them, by directory name."""
    return {dataset.path.name: PackedRows(dataset.path) for dataset in resolve([path], "packed")}


class _Shard:
    """One Arrow file, mapped at the first touch."""

    def __init__(self, path: Path, rows: int) -> None:
        self.path = path
        self.rows = rows
        self._batches: list[_Batch] = []
        self._starts: list[int] = []

    def find(self, row: int) -> tuple[_Batch, int]:
        """The record batch that holds `row` and the row's place in it."""
        if not self._batches:
            self._map()
        index = bisect_right(self._starts, row) - 1
        return self._batches[index], row - self._starts[index]

    def forget(self) -> None:
        """Unmap the file; views of its rows stay good."""
        self._batches, self._starts = [], []

    def _map(self) -> None:
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(self.path)))
            batches = [_Batch(reader.get_batch(index)) for index in range(reader.num_record_batches)]
        except (pa.ArrowInvalid, OSError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{self.path} cannot be read ({reason}): make the packed set again.") from None
        starts = [0]
        for batch in batches:
            starts.append(starts[-1] + batch.rows)
        if starts.pop() != self.rows:
            raise DataError(f"{self.path} has not the {self.rows} rows of its manifest: make the packed set again.")
        self._batches, self._starts = batches, starts


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
            self._tokens = _numbers(column.values, dtype).reshape(-1, width)[column.offset : column.offset + self.rows]
        return self._tokens[first:last]

    def segments(self, first: int, last: int) -> list[list[Segment]]:
        column = self.batch.column("segments")
        offsets = _numbers(column.offsets, np.int32)[first : last + 1].tolist()
        values = column.values.slice(offsets[0], offsets[-1] - offsets[0])
        columns = [
            _numbers(values.field(name), dtype).tolist()
            for name, dtype in (
                ("document", np.uint64),
                ("epoch", np.uint16),
                ("start", np.uint32),
                ("length", np.uint32),
            )
        ]
        flat = [Segment(*fields) for fields in zip(*columns, strict=True)]
        return [flat[a - offsets[0] : b - offsets[0]] for a, b in pairwise(offsets)]

    def domains(self, first: int, last: int) -> list[str]:
        names: list[str] = self.batch.column("domain").slice(first, last - first).to_pylist()
        return names


def _numbers(array: Any, dtype: Any) -> npt.NDArray[Any]:
    """The values of a primitive Arrow array as a view."""
    view = np.frombuffer(array.buffers()[1], dtype=dtype)
    return view[array.offset : array.offset + len(array)]
