"""The stream of one domain: its epochs, its sequences, and which sequences hold a document.

The stream is epoch 1, epoch 2, … one after the other, each a permutation of the domain's documents. Training sequence
r, which is a row of the packed set, is stream[r N : r N + N + 1]; it belongs to the epoch of its first token. The
sequences of an epoch are permuted once more (`row_order` shuffled), so that those of a long document do not follow
each other in training.

Every question starts from the documents: the offset of a document in an epoch gives the sequences that hold it, and
these give the positions in the set. So documents are read in the order of their files, however they are permuted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import types

from corpus.kernel import kernel
from corpus.mixture.pack.order import Ints, order_key, permuted, positions

_INTS = types.Array(types.int64, 1, "C")
_INTS_IN = types.Array(types.int64, 1, "C", readonly=True)
_GRID_IN = types.Array(types.int64, 2, "C", readonly=True)
_TABLE_IN = types.Array(types.int64, 3, "C", readonly=True)

NOWHERE = -1
"""Stands for the offset of a document or segment that no sequence holds."""


@dataclass(frozen=True, slots=True)
class Segments:
    """Segments: runs of one document's tokens in a sequence, as int64[n] each. `document` is an index into those
    asked for, `epoch` counts from 1, `row` is the sequence's number in the stream, `start` the offset in the
    document, `length` the tokens, `target` the offset in the sequence. They are sorted by document, then epoch, then
    start."""

    document: Ints
    epoch: Ints
    row: Ints
    start: Ints
    length: Ints
    target: Ints


@dataclass(frozen=True)
class RowOrder:
    """The training order of a domain's sequences. `bounds` int64[epochs + 1] counts the sequences before each epoch,
    and all of them."""

    domain: str
    seed: int
    shuffled: bool
    bounds: Ints

    def rows_at(self, ranks: Ints) -> Ints:
        """The sequence of the stream that comes at each of the domain's training ranks `ranks`."""
        return self._reordered(ranks, inverse=False)

    def ranks_of(self, rows: Ints) -> Ints:
        """The inverse of `rows_at`."""
        return self._reordered(rows, inverse=True)

    def _reordered(self, numbers: Ints, inverse: bool) -> Ints:
        if not self.shuffled:
            return numbers
        epochs = np.searchsorted(self.bounds, numbers, side="right") - 1
        out = np.empty(len(numbers), np.int64)
        for number in np.unique(epochs):
            chosen = np.flatnonzero(epochs == number)
            begin, end = int(self.bounds[number]), int(self.bounds[number + 1])
            key = order_key(self.seed, "rows", self.domain, int(number))
            move = positions if inverse else permuted
            out[chosen] = begin + move(numbers[chosen] - begin, end - begin, key)
        return out


def document_key(seed: int, domain: str, number: int) -> np.uint64:
    """The key of the order of the documents in epoch `number` (from 0)."""
    return order_key(seed, "documents", domain, number)


def first_rows(unique: int, epochs: int, rows: int, length: int) -> Ints:
    """int64[epochs + 1]: the sequences before each epoch of `unique` tokens, cut every `length`; and all `rows` of
    them."""
    starts = np.arange(epochs + 1, dtype=np.int64) * unique
    bounds = np.minimum(-(-starts // length), rows)
    bounds[-1] = rows
    return bounds


def cut_stream(at: Ints, lengths: Ints, length: int, rows: int) -> Segments:
    """The segments of documents that lie one after the other in the stream, cut into sequences.

    `at` int64[epochs, n] is the offset in the stream at which each begins in each epoch; `lengths` is int64[n].
    Neighbouring sequences share a token. There are `rows` of them, and tokens after the last have no segment.
    """
    out = np.empty((6, int(_count_cut(at, lengths, length, rows))), np.int64)
    _cut(at, lengths, length, rows, out[0], out[1], out[2], out[3], out[4], out[5])
    return Segments(*out)


def cut_documents(at: Ints, lengths: Ints, width: int) -> Segments:
    """The segments of documents that are kept whole.

    `at` int64[epochs, n, 2] is the sequence of a document's first `width` tokens (the next sequence has the next, and
    so on), and sequence x width + offset in it of the tokens that are left; either is `NOWHERE` where an epoch has
    none.
    """
    out = np.empty((6, int(_count_cut_documents(at, lengths, width))), np.int64)
    _cut_documents(at, lengths, width, out[0], out[1], out[2], out[3], out[4], out[5])
    return Segments(*out)


@kernel(types.int64(types.int64, types.int64))
def _first_row(begin: int, length: int) -> int:
    """The first sequence that holds the token at offset `begin` of the stream: the one that ends with it, if there is
    one."""
    return (begin - 1) // length if begin > 0 else 0


@kernel(types.int64(_GRID_IN, _INTS_IN, types.int64, types.int64))
def _count_cut(at: Ints, lengths: Ints, length: int, rows: int) -> int:
    total = 0
    for p in range(at.shape[0]):
        for d in range(at.shape[1]):
            last = min((at[p, d] + lengths[d] - 1) // length, rows - 1)
            total += max(0, last - _first_row(at[p, d], length) + 1)
    return total


@kernel(types.void(_GRID_IN, _INTS_IN, types.int64, types.int64, _INTS, _INTS, _INTS, _INTS, _INTS, _INTS))
def _cut(
    at: Ints,
    lengths: Ints,
    length: int,
    rows: int,
    out_document: Ints,
    out_epoch: Ints,
    out_row: Ints,
    out_start: Ints,
    out_length: Ints,
    out_target: Ints,
) -> None:
    n = 0
    for d in range(at.shape[1]):
        for p in range(at.shape[0]):
            begin, end = at[p, d], at[p, d] + lengths[d]
            for row in range(_first_row(begin, length), min((end - 1) // length, rows - 1) + 1):
                low, high = max(begin, row * length), min(end, row * length + length + 1)
                out_document[n], out_epoch[n], out_row[n] = d, p + 1, row
                out_start[n], out_length[n], out_target[n] = low - begin, high - low, low - row * length
                n += 1


@kernel(types.int64(_TABLE_IN, _INTS_IN, types.int64))
def _count_cut_documents(at: Ints, lengths: Ints, width: int) -> int:
    total = 0
    for p in range(at.shape[0]):
        for d in range(at.shape[1]):
            if at[p, d, 0] >= 0:
                total += lengths[d] // width
            if at[p, d, 1] >= 0:
                total += 1
    return total


@kernel(types.void(_TABLE_IN, _INTS_IN, types.int64, _INTS, _INTS, _INTS, _INTS, _INTS, _INTS))
def _cut_documents(
    at: Ints,
    lengths: Ints,
    width: int,
    out_document: Ints,
    out_epoch: Ints,
    out_row: Ints,
    out_start: Ints,
    out_length: Ints,
    out_target: Ints,
) -> None:
    n = 0
    for d in range(at.shape[1]):
        for p in range(at.shape[0]):
            whole = lengths[d] // width
            if at[p, d, 0] >= 0:
                for k in range(whole):
                    out_document[n], out_epoch[n], out_row[n] = d, p + 1, at[p, d, 0] + k
                    out_start[n], out_length[n], out_target[n] = k * width, width, 0
                    n += 1
            if at[p, d, 1] >= 0:
                out_document[n], out_epoch[n], out_row[n] = d, p + 1, at[p, d, 1] // width
                out_start[n], out_length[n], out_target[n] = (
                    whole * width,
                    lengths[d] - whole * width,
                    at[p, d, 1] % width,
                )
                n += 1
