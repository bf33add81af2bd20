"""`_documents/`: what the segments of packed rows point to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from corpus.mixture.pack.ids import hash_ids
from corpus.mixture.pack.order import Ints

LISTED_DOCUMENTS = 2048
"""Documents of a row group. A look-up reads whole groups, and the file's metadata on all of them: with fewer
documents in each, the latter outweighs the former."""
LISTED_OCCURRENCES = 1 << 18
"""Occurrences at which a row group ends earlier: short sequences hold a book thousands of times."""
LISTING_FORMAT: Mapping[str, Any] = {
    "compression": "zstd",
    "use_dictionary": ["source.shard", "rows.list.item.epoch"],
    "write_statistics": False,
}
"""Options of the Parquet writer: only these two columns repeat values (dictionaries of ids made files half as large
again)."""

OCCURRENCE = pa.struct([pa.field("row", pa.uint64()), pa.field("epoch", pa.uint16())])
DOCUMENTS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field(
            "source",
            pa.struct([pa.field("input", pa.uint32()), pa.field("shard", pa.string()), pa.field("row", pa.uint64())]),
            nullable=False,
        ),
        pa.field("tokens", pa.uint32(), nullable=False),
        pa.field("rows", pa.list_(pa.field("item", OCCURRENCE)), nullable=False),
    ]
)
"""`_documents/` has one row per document of the inputs, used or not, in the order of the inputs. `source` says which
of the manifest's inputs holds it, and its shard and row there; `tokens` counts its ids with EOD; `rows` are the rows
of the packed set that hold any of them, with the epoch of the document there, by epoch and then by offset in the
document."""


class ShardListing:
    """Lists the documents of one token shard, from its first on, in row groups of its own."""

    def __init__(self, writer: pq.ParquetWriter, path: Path, dataset: int) -> None:
        self._writer = writer
        self._path = path
        self._dataset = dataset
        self._ids = _ids(path)
        self._held: pa.Array = pa.array([], pa.string())
        self._lengths: list[npt.NDArray[np.uint32]] = []
        self._occurrences: list[Ints] = []
        self._waiting = self._occurring = 0
        self._row = 0
        self.hashes: list[npt.NDArray[np.uint64]] = []
        """The hashed ids of what was listed."""

    def add(self, lengths: npt.NDArray[np.uint32], document: Ints, position: Ints, epoch: Ints) -> None:
        """List the next documents, of `lengths` uint32[n]; the k-th occurrence is of `document` (from 0, ascending), in
        row `position` of the set, in `epoch`."""
        self._lengths.append(lengths)
        self._occurrences.append(np.stack([document + self._waiting, position, epoch]))
        self._waiting += len(lengths)
        self._occurring += len(document)
        if self._waiting >= LISTED_DOCUMENTS or self._occurring >= LISTED_OCCURRENCES:
            self._write(last=False)

    def close(self) -> None:
        """Write what is left."""
        if self._waiting:
            self._write(last=True)

    def _write(self, last: bool) -> None:
        """Write the row groups that are full; the `last` one in any case."""
        lengths = np.concatenate(self._lengths)
        occurrences = np.concatenate(self._occurrences, axis=1)
        firsts = np.searchsorted(occurrences[0], np.arange(len(lengths) + 1))
        begin = 0
        while begin < len(lengths):
            full = int(np.searchsorted(firsts, firsts[begin] + LISTED_OCCURRENCES))
            end = min(begin + LISTED_DOCUMENTS, full)
            if end > len(lengths) and not last:
                break
            end = min(end, len(lengths))
            document, position, epoch = occurrences[:, firsts[begin] : firsts[end]]
            self._write_group(lengths[begin:end], document - begin, position, epoch)
            begin = end
        rest = occurrences[:, firsts[begin] :].copy()  # a view would keep all of them
        rest[0] -= begin
        self._lengths, self._occurrences = [lengths[begin:]], [rest]
        self._waiting, self._occurring = len(lengths) - begin, rest.shape[1]

    def _write_group(self, lengths: npt.NDArray[np.uint32], document: Ints, position: Ints, epoch: Ints) -> None:
        size = len(lengths)
        offsets = np.searchsorted(document, np.arange(size + 1))
        occurrences = pa.StructArray.from_arrays(
            [pa.array(position.astype(np.uint64)), pa.array(epoch.astype(np.uint16))], fields=list(OCCURRENCE)
        )
        number = np.arange(self._row, self._row + size, dtype=np.uint64)
        source = pa.StructArray.from_arrays(
            [
                pa.array(np.full(size, self._dataset, np.uint32)),
                pa.array([self._path.name], pa.string()).take(pa.array(np.zeros(size, np.int64))),
                pa.array(number),
            ],
            fields=list(DOCUMENTS_SCHEMA.field("source").type),
        )
        rows = pa.ListArray.from_arrays(
            pa.array(offsets.astype(np.int32)), occurrences, type=DOCUMENTS_SCHEMA.field("rows").type
        )
        ids = self._next_ids(size)
        self.hashes.append(hash_ids(ids.to_pylist()))
        columns = [ids, source, pa.array(lengths), rows]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=DOCUMENTS_SCHEMA))
        self._row += size

    def _next_ids(self, size: int) -> pa.Array:
        parts = [self._held]
        held = len(self._held)
        while held < size:
            parts.append(next(self._ids))
            held += len(parts[-1])
        everything = pa.concat_arrays(parts)
        self._held = everything.slice(size)
        return everything.slice(0, size)


def _ids(path: Path) -> Iterator[pa.Array]:
    # mapped: only the pages of the ids are read; the whole file was checked before
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number).column("id")
