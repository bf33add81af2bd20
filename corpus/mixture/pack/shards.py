"""Token shards: where each document's ids lie in the file, and reading them from one end to the other.

A shard is an uncompressed Arrow IPC file, so that its ids are the file's own bytes. A document is found by two numbers:
the offset of its first id, counted in ids from the start of the file, and its length. A shard's index of them takes 12
bytes per document.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc

from corpus.data.schema import NARROW_VOCABULARY, id_type
from corpus.data.stored import StoredFile
from corpus.errors import DataError
from corpus.mixture.pack.order import Ints
from corpus.mixture.pack.trained import Marks

Tokens = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """The documents of a shard: `starts` int64[n] is the offset of each document's first id in the file, in ids;
    `lengths` uint32[n] counts its ids with EOD."""

    starts: Ints
    lengths: npt.NDArray[np.uint32]


def token_dtype(wide: bool) -> npt.DTypeLike:
    """The NumPy type of token ids: uint32 for vocabularies over 65,536 pieces (`wide`), else uint16."""
    return np.uint32 if wide else np.uint16


def index_shard(file: StoredFile, wide: bool) -> ShardIndex:
    """Find all documents of a shard, without reading their ids. A `DataError` names a shard that is damaged, compressed
    or of another width, and one in which a document is empty.

    What is read is a small part of the file and is not checked: who reads the ids later checks all of the file first.
    """
    try:
        return _index(file.path, wide)
    except DataError:
        file.check()
        raise


def _index(path: Path, wide: bool) -> ShardIndex:
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
    except (pa.ArrowException, ValueError, OSError, KeyError) as error:
        raise DataError(f"{path} cannot be read ({str(error).splitlines()[0]}); tokenize it again.") from error
    index = ShardIndex(np.concatenate(starts), np.concatenate(lengths))
    empty = np.flatnonzero(index.lengths == 0)
    if len(empty):
        raise DataError(f"{path}: the document of row {empty[0]} has no ids, not even EOD; tokenize it again.")
    return index


def _index_batch(column: pa.ListArray, whole: pa.Buffer, path: Path) -> tuple[Ints, npt.NDArray[np.uint32]]:
    offsets = np.asarray(column.offsets, dtype=np.int64)
    values = column.values
    item = values.type.bit_width // 8
    buffer = values.buffers()[1]
    if buffer is None or not len(values):
        return np.zeros(len(column), np.int64), np.zeros(len(column), np.uint32)
    offset = buffer.address - whole.address
    if not 0 <= offset <= whole.size - buffer.size or offset % item:
        raise DataError(f"{path} is compressed; token shards have to be plain Arrow IPC files: tokenize it again.")
    return offset // item + values.offset + offsets[:-1], np.diff(offsets).astype(np.uint32)


class ShardReader:
    """Reads the ids of consecutive documents of a shard, and checks them on the way: each document ends with `eod`, and
    no id is outside the `vocabulary`; a `DataError` names what is wrong. `marks` set the highest bit of those that are
    trained on."""

    def __init__(self, path: Path, index: ShardIndex, eod: int, vocabulary: int, marks: Marks | None = None) -> None:
        self.path = path
        self.index = index
        self._eod = eod
        self._vocabulary = vocabulary
        self._marks = marks
        self._file = path.open("rb", buffering=0)

    def __enter__(self) -> ShardReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, begin: int, end: int, out: Tokens) -> None:
        """The ids of the documents [begin, end) into `out`, which they fill."""
        if self._marks is None:
            self._read(begin, end, out)
            return
        plain = np.empty(len(out), token_dtype(self._vocabulary > NARROW_VOCABULARY))
        self._read(begin, end, plain)
        out[:] = plain
        self._marks.set(begin, self.index.lengths[begin:end].astype(np.int64), out)

    def _read(self, begin: int, end: int, out: Tokens) -> None:
        starts, lengths = self.index.starts[begin:end], self.index.lengths[begin:end].astype(np.int64)
        ends = np.cumsum(lengths)
        assert len(out) == (ends[-1] if len(ends) else 0)
        breaks = np.flatnonzero(starts[1:] != starts[:-1] + lengths[:-1]) + 1
        data = out.data.cast("B")
        item = out.dtype.itemsize
        at = 0
        for first, after in zip([0, *breaks.tolist()], [*breaks.tolist(), len(starts)], strict=True):
            stop = int(ends[after - 1]) * item if after else 0
            self._file.seek(int(starts[first]) * item if after else 0)
            while at < stop:
                got = self._file.readinto(data[at:stop])
                if not got:
                    raise DataError(f"{self.path} was cut short; tokenize it again.")
                at += got
        self._check(begin, ends, out)

    def _check(self, begin: int, ends: Ints, out: Tokens) -> None:
        wrong = np.flatnonzero(out[ends - 1] != self._eod)
        if len(wrong):
            raise DataError(
                f"{self.path}: the document of row {begin + wrong[0]} does not end with EOD ({self._eod}); tokenize it "
                "again."
            )
        if len(out) and int(out.max()) >= self._vocabulary:
            raise DataError(
                f"{self.path} holds the id {int(out.max())}, outside the vocabulary of {self._vocabulary}; tokenize the "
                "documents again."
            )
