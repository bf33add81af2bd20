"""Rows of a packed set: segments of several domains' streams, their tokens copied from memory-mapped shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numba import types

from corpus.data.schema import SEGMENT, packed_schema
from corpus.kernel import kernel
from corpus.mixture.order import Ints
from corpus.mixture.shards import Tokens, token_dtype
from corpus.mixture.stream import DomainStream, Segments, joined

_INTS_IN = types.Array(types.int64, 1, "C", readonly=True)


class ShardSource(Protocol):
    """The token shards of a domain, by number."""

    def open(self, index: int) -> tuple[Tokens, Ints]:
        """A shard's ids and the places in them of its documents' first ids."""

    def release(self, index: int) -> None:
        """Let go of the memory that reading this shard took; it stays open."""


@dataclass(frozen=True)
class PackedDomain:
    """A domain's stream with where its rows go and where its documents lie.

    `places` int64[rows]: the place in the set of each training rank, ascending. Its documents lie in shards one after
    the other: `first` int64[shards + 1] numbers them within the domain, `base` int64[shards] is the index in
    `_documents/` of each shard's first.
    """

    stream: DomainStream
    places: Ints
    first: Ints
    base: Ints
    source: ShardSource


@dataclass(frozen=True, slots=True)
class Block:
    """Rows `low` … of the set: `tokens` [k, N + 1]; `domain` index int64[k]; `epoch` int64[k]; `segments`, whose
    `document` indexes `_documents/`."""

    tokens: Tokens
    domain: Ints
    epoch: Ints
    segments: Segments


def pack_block(domains: Sequence[PackedDomain], low: int, high: int, wide: bool) -> Block:
    """Rows [low, high) of the set."""
    length = domains[0].stream.length + 1
    tokens = np.empty((high - low, length), token_dtype(wide))
    domain, epoch = np.empty(high - low, np.int64), np.empty(high - low, np.int64)
    parts: list[Segments] = []
    for number, packed in enumerate(domains):
        begin, end = np.searchsorted(packed.places, [low, high])
        if begin == end:
            continue
        slots = np.asarray(packed.places[begin:end]) - low
        rows = packed.stream.rows_at(np.arange(begin, end, dtype=np.int64))
        segments = packed.stream.segments(rows)
        local = Segments(
            slots[segments.row],
            segments.document,
            segments.epoch,
            segments.start,
            segments.length,
            segments.target,
        )
        parts.append(_copied(packed, local, tokens.reshape(-1), length))
        domain[slots] = number
        epoch[slots] = packed.stream.epochs_of(rows)
    return Block(tokens, domain, epoch, joined(parts))


def _copied(packed: PackedDomain, segments: Segments, out: Tokens, length: int) -> Segments:
    """Copy the tokens of `segments` to `out`, shard after shard in the order of the file; number the documents as in
    `_documents/`."""
    shards = np.searchsorted(packed.first, segments.document, side="right") - 1
    target = segments.row * length + segments.target
    order = np.argsort(segments.document, kind="stable")
    bounds = np.searchsorted(shards[order], np.arange(len(packed.base) + 1))
    for shard in np.unique(shards):
        chosen = order[bounds[shard] : bounds[shard + 1]]
        values, starts = packed.source.open(int(shard))
        source = starts[segments.document[chosen] - packed.first[shard]] + segments.start[chosen]
        _copy(values, source, segments.length[chosen], target[chosen], out)
        packed.source.release(int(shard))
    document = segments.document - packed.first[shards] + packed.base[shards]
    return Segments(segments.row, document, segments.epoch, segments.start, segments.length, segments.target)


def block_batch(block: Block, names: Sequence[str], wide: bool) -> pa.RecordBatch:
    """A block as a record batch of `packed_schema`; `names` are the domains."""
    schema = packed_schema(block.tokens.shape[1], wide)
    segments = block.segments
    counts = np.bincount(segments.row, minlength=len(block.tokens))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    values = pa.StructArray.from_arrays(
        [
            pa.array(segments.document.astype(np.uint64)),
            pa.array(segments.epoch.astype(np.uint16)),
            pa.array(segments.start.astype(np.uint32)),
            pa.array(segments.length.astype(np.uint32)),
        ],
        fields=list(SEGMENT),
    )
    columns = [
        pa.FixedSizeListArray.from_arrays(pa.array(block.tokens.reshape(-1)), type=schema.field("tokens").type),
        pa.array(names, pa.string()).take(pa.array(block.domain)),
        pa.array(block.epoch.astype(np.uint16)),
        pa.ListArray.from_arrays(pa.array(offsets), values, type=schema.field("segments").type),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _signature(item: types.Type) -> types.Type:
    tokens_in, tokens = types.Array(item, 1, "C", readonly=True), types.Array(item, 1, "C")
    return types.void(tokens_in, _INTS_IN, _INTS_IN, _INTS_IN, tokens)


@kernel([_signature(types.uint16), _signature(types.uint32)])
def _copy(values: Tokens, source: Ints, length: Ints, target: Ints, out: Tokens) -> None:
    """out[target : target + length] = values[source : source + length], for every segment."""
    for k in range(len(source)):
        begin, to = source[k], target[k]
        for i in range(length[k]):
            out[to + i] = values[begin + i]
