"""Packed training sequences from the segments and tokens that fill them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus.data.schema import SEGMENT, packed_schema
from corpus.mixture.pack.order import Ints
from corpus.mixture.pack.shards import Tokens, token_dtype
from corpus.mixture.pack.spill import SEGMENT_RECORD, SegmentRecords, copy_runs
from corpus.mixture.pack.trained import mark_bit


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive sequences of the set: `tokens` [k, width]; `segments`, by sequence and then by offset in it;
    `offsets` int64[k + 1], where those of each sequence begin and end; `real`, the number of tokens that are no
    padding."""

    tokens: Tokens
    segments: SegmentRecords
    offsets: Ints
    real: int
    trained: npt.NDArray[np.bool_] | None = None
    """Which ids are trained on where they are targets, [k, width]; None: all."""


def pack_block(
    runs: Iterable[tuple[SegmentRecords, Tokens]], low: int, high: int, width: int, padding: int, wide: bool
) -> Block:
    """Sequences [low, high) of the set, from all that the runs hold of them, with the id `padding` after their
    segments."""
    tokens = np.empty((high - low) * width, token_dtype(wide))
    found = [np.empty(0, SEGMENT_RECORD)]
    real = 0
    for records, values in runs:
        length = records["length"].astype(np.int64)
        target = (records["position"].astype(np.int64) - low) * width + records["target"]
        ends = np.cumsum(length)
        copy_runs(values, ends - length, target, target + length, tokens)
        found.append(records)
        real += len(values)
    everything = np.concatenate(found)
    row = everything["position"].astype(np.int64) - low
    order = np.argsort(row * width + everything["target"], kind="stable")
    everything, row = everything[order], row[order]
    offsets = np.searchsorted(row, np.arange(high - low + 1))
    if real < len(tokens):
        filled = np.add.reduceat(everything["length"].astype(np.int64), offsets[:-1])
        tokens.reshape(-1, width)[np.arange(width) >= filled[:, None]] = padding
    return Block(tokens.reshape(-1, width), everything, offsets, real)


def unmarked(block: Block, wide: bool) -> Block:
    """A block whose ids say by their highest bit which are trained on, as one that says it beside them."""
    bit = block.tokens.dtype.type(mark_bit(block.tokens.dtype))
    trained = (block.tokens & bit) != 0
    tokens = (block.tokens & ~bit).astype(token_dtype(wide), copy=False)
    return replace(block, tokens=tokens, trained=trained)


def block_batch(block: Block, names: Sequence[str], wide: bool) -> pa.RecordBatch:
    """A block as a record batch of `packed_schema`; `names` are the domains."""
    schema = packed_schema(block.tokens.shape[1], wide, block.trained is not None)
    records = block.segments
    values = pa.StructArray.from_arrays(
        [pa.array(np.ascontiguousarray(records[field.name])) for field in SEGMENT], fields=list(SEGMENT)
    )
    first = records[block.offsets[:-1]]
    columns = [
        pa.FixedSizeListArray.from_arrays(pa.array(block.tokens.reshape(-1)), type=schema.field("tokens").type),
        pa.array(names, pa.string()).take(pa.array(first["domain"])),
        pa.array(np.ascontiguousarray(first["epoch"])),
        pa.ListArray.from_arrays(pa.array(block.offsets.astype(np.int32)), values, type=schema.field("segments").type),
    ]
    if block.trained is not None:
        mask = pa.array(block.trained.reshape(-1))
        columns.append(pa.FixedSizeListArray.from_arrays(mask, type=schema.field("trained").type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
