"""Packed rows from the segments and tokens that fill them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpus.data.schema import SEGMENT, packed_schema
from corpus.mixture.pack.order import Ints
from corpus.mixture.pack.shards import Tokens, token_dtype
from corpus.mixture.pack.spill import PIECE, Pieces, copy_runs


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows of the set: `tokens` [k, width]; `pieces`, their segments by row and then by place in the row;
    `offsets` int64[k + 1]: the segments of each row; `real`: tokens that are no padding."""

    tokens: Tokens
    pieces: Pieces
    offsets: Ints
    real: int


def pack_block(
    runs: Iterable[tuple[Pieces, Tokens]], low: int, high: int, width: int, padding: int, wide: bool
) -> Block:
    """Rows [low, high) of the set, from all that the runs hold of them; the id `padding` where a row has no segment."""
    tokens = np.empty((high - low) * width, token_dtype(wide))
    found = [np.empty(0, PIECE)]
    real = 0
    for pieces, values in runs:
        length = pieces["length"].astype(np.int64)
        target = (pieces["place"].astype(np.int64) - low) * width + pieces["target"]
        ends = np.cumsum(length)
        copy_runs(values, ends - length, target, target + length, tokens)
        found.append(pieces)
        real += len(values)
    everything = np.concatenate(found)
    row = everything["place"].astype(np.int64) - low
    order = np.argsort(row * width + everything["target"], kind="stable")
    everything, row = everything[order], row[order]
    offsets = np.searchsorted(row, np.arange(high - low + 1))
    if real < len(tokens):
        filled = np.add.reduceat(everything["length"].astype(np.int64), offsets[:-1])
        tokens.reshape(-1, width)[np.arange(width) >= filled[:, None]] = padding
    return Block(tokens.reshape(-1, width), everything, offsets, real)


def block_batch(block: Block, names: Sequence[str], wide: bool) -> pa.RecordBatch:
    """A block as a record batch of `packed_schema`; `names` are the domains."""
    schema = packed_schema(block.tokens.shape[1], wide)
    pieces = block.pieces
    values = pa.StructArray.from_arrays(
        [pa.array(np.ascontiguousarray(pieces[field.name])) for field in SEGMENT], fields=list(SEGMENT)
    )
    first = pieces[block.offsets[:-1]]
    columns = [
        pa.FixedSizeListArray.from_arrays(pa.array(block.tokens.reshape(-1)), type=schema.field("tokens").type),
        pa.array(names, pa.string()).take(pa.array(first["domain"])),
        pa.array(np.ascontiguousarray(first["epoch"])),
        pa.ListArray.from_arrays(pa.array(block.offsets.astype(np.int32)), values, type=schema.field("segments").type),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
