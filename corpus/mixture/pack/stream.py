"""The stream of one domain: its passes, its rows, and which rows hold a document.

The stream is pass 1, pass 2, … one after the other, each a permutation of the domain's documents. Row r is
stream[r N : r N + N + 1]; it belongs to the pass of its first token. The rows of a pass are permuted once more
(`row_order` shuffled), so that the neighbours of a long document do not follow each other in training.

All is asked from the side of the documents: where a document lies in a pass, hence in which rows, hence at which places
of the set. So documents are read in the order of their files, however they are permuted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import types

from corpus.kernel import kernel
from corpus.mixture.pack.order import Ints, order_key, permuted, places

_INTS = types.Array(types.int64, 1, "C")
_INTS_IN = types.Array(types.int64, 1, "C", readonly=True)
_GRID_IN = types.Array(types.int64, 2, "C", readonly=True)
_TABLE_IN = types.Array(types.int64, 3, "C", readonly=True)

NOWHERE = -1
"""A document or piece that no row holds."""


@dataclass(frozen=True, slots=True)
class Segments:
    """Runs of documents in rows, int64[n] each: `document` (index into those asked for), `epoch` (from 1), `row` of the
    stream, `start` in the document, `length`, `target` in the row. By document, then epoch, then start."""

    document: Ints
    epoch: Ints
    row: Ints
    start: Ints
    length: Ints
    target: Ints


@dataclass(frozen=True)
class RowOrder:
    """The training order of a domain's rows. `bounds` int64[passes + 1]: the rows before each pass, and all rows."""

    domain: str
    seed: int
    shuffled: bool
    bounds: Ints

    def rows_at(self, ranks: Ints) -> Ints:
        """Which row of the stream comes at each of the domain's training ranks `ranks`."""
        return self._reordered(ranks, inverse=False)

    def ranks_of(self, rows: Ints) -> Ints:
        """The inverse of `rows_at`."""
        return self._reordered(rows, inverse=True)

    def _reordered(self, numbers: Ints, inverse: bool) -> Ints:
        if not self.shuffled:
            return numbers
        passes = np.searchsorted(self.bounds, numbers, side="right") - 1
        out = np.empty(len(numbers), np.int64)
        for number in np.unique(passes):
            chosen = np.flatnonzero(passes == number)
            begin, end = int(self.bounds[number]), int(self.bounds[number + 1])
            key = order_key(self.seed, "rows", self.domain, int(number))
            move = places if inverse else permuted
            out[chosen] = begin + move(numbers[chosen] - begin, end - begin, key)
        return out


def document_key(seed: int, domain: str, number: int) -> np.uint64:
    """The key of the order of the documents in pass `number` (from 0)."""
    return order_key(seed, "documents", domain, number)


def first_rows(unique: int, passes: int, rows: int, length: int) -> Ints:
    """int64[passes + 1]: rows before each pass over `unique` tokens, cut every `length`; and all rows."""
    starts = np.arange(passes + 1, dtype=np.int64) * unique
    bounds = np.minimum(-(-starts // length), rows)
    bounds[-1] = rows
    return bounds


def cut_stream(at: Ints, lengths: Ints, length: int, rows: int) -> Segments:
    """The segments of documents that lie one after the other in the stream, cut into rows.

    `at` int64[passes, n]: where each begins in the stream in each pass; `lengths` int64[n]. Neighbouring rows share a
    token; there are `rows` rows, and what lies behind them has no segment.
    """
    out = np.empty((6, int(_count_cut(at, lengths, length, rows))), np.int64)
    _cut(at, lengths, length, rows, out[0], out[1], out[2], out[3], out[4], out[5])
    return Segments(*out)


def cut_pieces(at: Ints, lengths: Ints, width: int) -> Segments:
    """The segments of documents that are kept whole.

    `at` int64[passes, n, 2]: the row of a document's first `width` tokens (the next row has the next, and so on), and
    row x width + place in it of what is left or is all; either is `NOWHERE` where a pass does not use the document.
    """
    out = np.empty((6, int(_count_pieces(at, lengths, width))), np.int64)
    _pieces(at, lengths, width, out[0], out[1], out[2], out[3], out[4], out[5])
    return Segments(*out)


@kernel(types.int64(types.int64, types.int64))
def _first_row(begin: int, length: int) -> int:
    """The first row that holds the token at `begin` of the stream: the one that ends with it, if there is one."""
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
def _count_pieces(at: Ints, lengths: Ints, width: int) -> int:
    total = 0
    for p in range(at.shape[0]):
        for d in range(at.shape[1]):
            if at[p, d, 0] >= 0:
                total += lengths[d] // width
            if at[p, d, 1] >= 0:
                total += 1
    return total


@kernel(types.void(_TABLE_IN, _INTS_IN, types.int64, _INTS, _INTS, _INTS, _INTS, _INTS, _INTS))
def _pieces(
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
