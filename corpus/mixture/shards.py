"""Token shards, memory-mapped: where each document's ids lie in the file.

A shard is an uncompressed Arrow IPC file, so that its ids are the file's own bytes. A document is found by two numbers:
the place of its first id, counted in ids from the start of the file, and its length. A shard's index of them takes 12
bytes per document.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc

from corpus.data.schema import id_type
from corpus.errors import DataError

Tokens = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]

CHECKED_DOCUMENTS = 1024
"""Documents whose ends are looked at before their pages are let go."""


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """`starts` int64[n]: place of each document's first id in `MappedShard.ids`; `lengths` uint32[n]: its ids, EOD counted."""

    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.uint32]


def token_dtype(wide: bool) -> npt.DTypeLike:
    """The NumPy type of token ids: uint32 for vocabularies over 65,536 pieces (`wide`), else uint16."""
    return np.uint32 if wide else np.uint16


class MappedShard:
    """A whole shard file as ids (`ids`, read-only), memory-mapped; Arrow's padding keeps every id aligned."""

    def __init__(self, path: Path, wide: bool) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        dtype = np.dtype(token_dtype(wide))
        self.ids: Tokens = np.frombuffer(self._map, dtype, count=len(self._map) // dtype.itemsize)

    def release(self) -> None:
        """Give the pages that were read back to the system; they are read again when they are needed again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


def index_shard(path: Path, wide: bool, eod: int) -> ShardIndex:
    """Find all documents of a shard. A `DataError` names a shard that is damaged, compressed or of another width, and
    one in which a document is empty or does not end with EOD."""
    starts, lengths = [np.empty(0, np.int64)], [np.empty(0, np.uint32)]
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            whole = source.read_buffer()
            if reader.schema.field("ids").type.value_type != id_type(wide):
                raise DataError(
                    f"{path} holds {reader.schema.field('ids').type}, not {id_type(wide)}; tokenize it again."
                )
            for number in range(reader.num_record_batches):
                column = reader.get_batch(number).column("ids")
                begin, size = _index_batch(column, whole, path)
                starts.append(begin)
                lengths.append(size)
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise DataError(f"{path} cannot be read ({str(error).splitlines()[0]}); tokenize it again.") from error
    index = ShardIndex(np.concatenate(starts), np.concatenate(lengths))
    _check_ends(index, MappedShard(path, wide), eod, path)
    return index


def _index_batch(
    column: pa.ListArray, whole: pa.Buffer, path: Path
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    offsets = np.asarray(column.offsets, dtype=np.int64)
    values = column.values
    item = values.type.bit_width // 8
    buffer = values.buffers()[1]
    if buffer is None or not len(values):
        return np.zeros(len(column), np.int64), np.zeros(len(column), np.uint32)
    place = buffer.address - whole.address
    if not 0 <= place <= whole.size - buffer.size:
        raise DataError(f"{path} is compressed; token shards have to be plain Arrow IPC files: tokenize it again.")
    assert place % item == 0, "Arrow aligns buffers to eight bytes"
    return place // item + values.offset + offsets[:-1], np.diff(offsets).astype(np.uint32)


def _check_ends(index: ShardIndex, shard: MappedShard, eod: int, path: Path) -> None:
    empty = np.flatnonzero(index.lengths == 0)
    if len(empty):
        raise DataError(f"{path}: the document of row {empty[0]} has no ids, not even EOD; tokenize it again.")
    ends = index.starts + index.lengths - 1
    for row in range(0, len(ends), CHECKED_DOCUMENTS):
        wrong = np.flatnonzero(shard.ids[ends[row : row + CHECKED_DOCUMENTS]] != eod)
        if len(wrong):
            raise DataError(
                f"{path}: the document of row {row + wrong[0]} does not end with EOD ({eod}); tokenize it again."
            )
        shard.release()
