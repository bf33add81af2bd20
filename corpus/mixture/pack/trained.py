"""Which ids are trained on, on their way from token shards to sequences: by the highest bit of each.

The bit goes with its id through the sort of the tokens, so that nothing else has to know of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc
from numba import types

from corpus.data.buffers import numbers
from corpus.errors import DataError
from corpus.kernel import kernel
from corpus.mixture.pack.order import Ints

_INTS_IN = types.Array(types.int64, 1, "C", readonly=True)


def mark_bit(dtype: Any) -> int:
    """The bit of an id that says that it is trained on."""
    return 1 << (8 * int(np.dtype(dtype).itemsize) - 1)


@dataclass(frozen=True, slots=True)
class Marks:
    """The trained spans of a shard's documents: those of document d are [bounds[d], bounds[d + 1]) of `starts` and `lengths`,
    int64 each. Without `bounds` all ids are trained on."""

    bounds: Ints | None
    starts: Ints
    lengths: Ints

    @classmethod
    def of(cls, path: Path, masked: bool) -> Marks:
        """Read the spans of a shard whose dataset has them (`masked`); the file has been checked."""
        none = np.zeros(0, np.int64)
        if not masked:
            return cls(None, none, none)
        bounds, starts, lengths = [np.zeros(1, np.int64)], [none], [none]
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            for number in range(reader.num_record_batches):
                column = reader.get_batch(number).column("trained")
                spans = column.flatten()
                offsets = numbers(column.offsets, np.int32).astype(np.int64)
                bounds.append(offsets[1:] - offsets[0] + bounds[-1][-1])
                starts.append(numbers(spans.field("start"), np.uint32).astype(np.int64))
                lengths.append(numbers(spans.field("length"), np.uint32).astype(np.int64))
        return cls(np.concatenate(bounds), np.concatenate(starts), np.concatenate(lengths))

    def set(self, begin: int, sizes: Ints, out: npt.NDArray[Any]) -> None:
        """Set the bit of the trained ids of the documents from `begin` on, of `sizes` ids each, which fill `out`."""
        bit = mark_bit(out.dtype)
        if self.bounds is None:
            out |= out.dtype.type(bit)
            return
        bounds = self.bounds[begin : begin + len(sizes) + 1]
        if _mark(bounds, self.starts, self.lengths, np.cumsum(sizes) - sizes, sizes, bit, out) < 0:
            raise DataError("a trained span ends after its document: tokenize the documents again.")


def _signature(item: types.Type) -> types.Type:
    return types.int64(*([_INTS_IN] * 5), types.int64, types.Array(item, 1, "C"))


@kernel([_signature(types.uint16), _signature(types.uint32)])
def _mark(bounds: Ints, starts: Ints, lengths: Ints, at: Ints, sizes: Ints, bit: int, out: npt.NDArray[Any]) -> int:
    """Set `bit` in the spans of the documents that begin at `at` of `out`; -1 where a span passes its document's end."""
    for d in range(len(at)):
        for k in range(bounds[d], bounds[d + 1]):
            if starts[k] + lengths[k] > sizes[d]:
                return -1
            for i in range(at[d] + starts[k], at[d] + starts[k] + lengths[k]):
                out[i] |= bit
    return 0
