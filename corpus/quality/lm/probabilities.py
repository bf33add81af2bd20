"""Probabilities of n-grams from adjusted counts: discounted by context, then interpolated from the lowest order up.

Single precision and the order of additions are those of lmplz. Rows hold floats as the bits of a uint32.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import types

from corpus.data.buffers import Array
from corpus.kernel import kernel
from corpus.quality.lm.counts import BEGIN, COUNTED, UNKNOWN
from corpus.quality.lm.runs import Rows

_ROWS = types.uint32[:, ::1]
_VALUES = types.float32[:, ::1]
_READ = types.Array(types.uint32, 2, "C", readonly=True)
_READ_VALUES = types.Array(types.float32, 2, "C", readonly=True)
_FLOATS = types.Array(types.float32, 1, "C", readonly=True)
_NEED_ROWS, _NEED_LOWER, _NEED_BACKOFFS = 0, 1, 2


@kernel(types.UniTuple(types.int64, 2)(_READ, _FLOATS, types.boolean, _ROWS, _VALUES, _ROWS, _VALUES))
def _discount(rows: Any, discounts: Any, last: Any, grams: Any, gram_values: Any, contexts: Any, weights: Any) -> Any:
    """See `discounted`. `gram_values` and `weights` are the bits of `grams` and `contexts`; the answer is how many rows are
    done, and how many contexts."""
    n = rows.shape[1] - 1
    begin, found = np.int64(0), np.int64(0)
    while begin < rows.shape[0]:
        end = begin
        total = np.int64(0)
        ones, twos, more = np.int64(0), np.int64(0), np.int64(0)
        while end < rows.shape[0]:
            same = True
            for j in range(n - 1):
                same = same and rows[end, j] == rows[begin, j]
            if not same:
                break
            count = np.int64(rows[end, n])
            total += count
            ones += count == 1
            twos += count == 2
            more += count > 2
            end += 1
        if end == rows.shape[0] and not last:
            break
        weight = discounts[1] * np.float32(ones)
        weight += discounts[2] * np.float32(twos)
        weight += discounts[3] * np.float32(more)
        weight /= np.float32(total)
        for j in range(n - 1):
            contexts[found, j] = rows[begin, j]
        weights[found, n - 1] = weight
        found += 1
        for i in range(begin, end):
            grams[i, 0] = rows[i, n - 1]
            for j in range(n - 1):
                grams[i, j + 1] = rows[i, j]
            count = np.int64(rows[i, n])
            gram_values[i, n] = (np.float32(count) - discounts[min(count, 3)]) / np.float32(total)
            gram_values[i, n + 1] = weight
        begin = end
    return begin, found


def discounted(blocks: Iterator[Rows], discounts: Array[np.float32]) -> Iterator[tuple[Rows, Rows]]:
    """N-grams and contexts of n-grams in the order of their contexts, a block at a time.

    blocks: uint32[n-grams, n + 1]: context (from its last word on), word, count. discounts: float32[4] by count. What comes
    is uint32[n-grams, n + 2] (the n-gram from its last word on, its probability before interpolation, and the weight of
    the next lower order) and uint32[contexts, n] (the context from its last word on, that weight), contexts in order.
    """
    held: Rows | None = None
    for block in blocks:
        rows = block if held is None or not len(held) else np.concatenate([held, block])
        done, pair = _discounted(rows, discounts, False)
        held = rows[done:]
        yield pair
    if held is not None and len(held):
        yield _discounted(np.ascontiguousarray(held), discounts, True)[1]


def _discounted(rows: Rows, discounts: Array[np.float32], last: bool) -> tuple[int, tuple[Rows, Rows]]:
    n = rows.shape[1] - 1
    grams: Rows = np.empty((len(rows), n + 2), np.uint32)
    contexts: Rows = np.empty((len(rows), n), np.uint32)
    done, found = _discount(rows, discounts, last, grams, grams.view(np.float32), contexts, contexts.view(np.float32))
    return int(done), (grams[:done], contexts[:found])


_STREAM = (_READ, _READ_VALUES, types.int64)


@kernel(types.UniTuple(types.int64, 4)(*_STREAM, *_STREAM, *_STREAM, types.boolean, _ROWS, _VALUES, types.float32[::1]))
def _interpolate(
    grams: Any, gram_values: Any, i: Any,
    lower: Any, lower_values: Any, low: Any,
    contexts: Any, weights: Any, c: Any, ended: Any,
    out: Any, out_values: Any, backoffs: Any,
) -> Any:  # fmt: skip
    """Go on from places `i`, `low`, `c` of three streams (rows and the bits of these), see `interpolated`; the answer is the
    places, and which stream has to be read on. `ended`: there are no more contexts."""
    n = grams.shape[1] - 2
    while i < grams.shape[0]:
        while low < lower.shape[0]:
            same = True
            for j in range(n - 1):
                same = same and lower[low, j] == grams[i, j]
            if same:
                break
            low += 1
        if low == lower.shape[0]:
            return i, low, c, np.int64(_NEED_LOWER)
        order = -1
        while c < contexts.shape[0]:
            order = 0
            for j in range(n):
                if contexts[c, j] != grams[i, j]:
                    order = 1 if contexts[c, j] > grams[i, j] else -1
                    break
            if order >= 0:
                break
            c += 1
        if c == contexts.shape[0] and not ended:
            return i, low, c, np.int64(_NEED_BACKOFFS)
        for j in range(n):
            out[i, j] = grams[i, j]
        out_values[i, n] = gram_values[i, n] + gram_values[i, n + 1] * lower_values[low, n - 1]
        backoffs[i] = weights[c, n] if c < contexts.shape[0] and order == 0 else np.float32(1)
        i += 1
    return i, low, c, np.int64(_NEED_ROWS)


class _Stream:
    """Blocks of rows, and the place in the last of them."""

    def __init__(self, blocks: Iterator[Rows], width: int) -> None:
        self._blocks = blocks
        self.rows: Rows = np.zeros((0, width), np.uint32)
        self.at = 0
        self.ended = False

    def read(self) -> None:
        """Take the next block."""
        block = next(self._blocks, None)
        self.ended = block is None
        self.rows, self.at = (self.rows[:0] if block is None else np.ascontiguousarray(block)), 0

    def arguments(self) -> tuple[Rows, Array[np.float32], int]:
        """What the kernel needs of it."""
        return self.rows, self.rows.view(np.float32), self.at


def interpolated(
    grams: Iterator[Rows], lower: Iterator[Rows], contexts: Iterator[Rows], n: int
) -> Iterator[tuple[Rows, Array[np.float32]]]:
    """N-grams of order `n` with their probabilities, and their backoff weights (1 where they are no context), by blocks.

    All streams are in order: grams as `discounted` gives them, lower uint32[.., n] of the n-grams of order n - 1 (words,
    probability), contexts uint32[.., n + 1] (words, weight). What comes is uint32[n-grams, n + 1] (words, probability).
    """
    below, above = _Stream(lower, n), _Stream(contexts, n + 1)
    for block in grams:
        block = np.ascontiguousarray(block)
        out: Rows = np.empty((len(block), n + 1), np.uint32)
        backoffs: Array[np.float32] = np.empty(len(block), np.float32)
        at, need = 0, _NEED_ROWS
        while at < len(block):
            if need == _NEED_LOWER:
                below.read()
                assert not below.ended, "every n-gram begins with one of the next lower order"
            elif need == _NEED_BACKOFFS:
                above.read()
            at, below.at, above.at, need = _interpolate(
                *(block, block.view(np.float32), at), *below.arguments(), *above.arguments(), above.ended,
                *(out, out.view(np.float32), backoffs),
            )  # fmt: skip
        yield out, backoffs


def unigrams(rows: Rows, discounts: Array[np.float32], stats: Array[np.int64]) -> Rows:
    """Words with their probabilities, uint32[words, 2], from uint32[words, 2] (word, adjusted count).

    Each is interpolated with the same probability of all words, `<s>` excepted; `<unk>` has nothing else, and `<s>`, which
    is never predicted, 1. stats: of order 1, see `Adjustment`, without these two.
    """
    total = np.float32(stats[COUNTED + 1])
    ones, twos = stats[:2].tolist()
    more = int(stats[COUNTED]) - ones - twos
    weight = discounts[1] * np.float32(ones)
    weight += discounts[2] * np.float32(twos)
    weight += discounts[3] * np.float32(more)
    weight /= total
    uniform = np.float32(1.0 / float(np.float32(stats[COUNTED] + 1)))
    counts = rows[:, 1].astype(np.float32)
    values = (counts - discounts[np.minimum(rows[:, 1], 3)]) / total + weight * uniform
    values[rows[:, 0] == UNKNOWN] = weight * uniform
    values[rows[:, 0] == BEGIN] = 1
    return np.stack([rows[:, 0], values.astype(np.float32).view(np.uint32)], axis=1)
