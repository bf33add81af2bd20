"""Writes ARPA files: a header with the number of n-grams of each order, then each order's n-grams with the base 10
logarithms of their probability and backoff weight."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from corpus.data.buffers import Array
from corpus.kernel import kernel
from corpus.quality.lm.runs import Rows

_DECIMALS = 7
_NOTHING = -99.0
_NUMBER_BYTES = 12
"""The most bytes of a logarithm: a sign, two digits, a point and the decimals; and what separates it."""
_READ = types.Array(types.uint32, 2, "C", readonly=True)
_READ_VALUES = types.Array(types.float32, 2, "C", readonly=True)
_FLOATS = types.Array(types.float32, 1, "C", readonly=True)
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_BOUNDS = types.Array(types.int64, 1, "C", readonly=True)


@kernel(types.int64(types.float32, types.uint8[::1], types.int64))
def _write_logarithm(value: Any, out: Any, at: Any) -> Any:
    """Write the logarithm of a number that is at most about 1 at a place; the place after it. That of 0, the back-off weight of
    a context after which every word was seen, is -99, as ARPA files have it."""
    logarithm = max(_NOTHING, np.log10(np.float64(value))) if value > 0 else _NOTHING
    scaled = np.int64(np.rint(-min(0.0, logarithm) * 10**_DECIMALS))
    if scaled == 0:
        out[at] = 48
        return at + 1
    out[at] = 45
    at += 1
    whole = scaled // 10**_DECIMALS
    if whole > 9:
        out[at] = 48 + whole // 10
        at += 1
    out[at] = 48 + whole % 10
    out[at + 1] = 46
    rest = scaled % 10**_DECIMALS
    for j in range(_DECIMALS - 1, -1, -1):
        out[at + 2 + j] = 48 + rest % 10
        rest //= 10
    return at + 2 + _DECIMALS


@kernel(types.int64(_READ, _READ_VALUES, _FLOATS, types.boolean, _BYTES, _BOUNDS, types.uint8[::1]))
def _write_ngrams(rows: Any, values: Any, backoffs: Any, highest: Any, words: Any, bounds: Any, out: Any) -> Any:
    n = rows.shape[1] - 1
    at = np.int64(0)
    for i in range(rows.shape[0]):
        at = _write_logarithm(values[i, n], out, at)
        for j in range(n - 1, -1, -1):
            out[at] = 9 if j == n - 1 else 32
            at += 1
            word = rows[i, j]
            for k in range(bounds[word], bounds[word + 1]):
                out[at] = words[k]
                at += 1
        if not highest:
            out[at] = 9
            at = _write_logarithm(backoffs[i], out, at + 1)
        out[at] = 10
        at += 1
    return at


class Vocabulary:
    """Words by number, as bytes."""

    def __init__(self, words: list[bytes]) -> None:
        self.data: Array[np.uint8] = np.frombuffer(b"".join(words), np.uint8)
        self.bounds: Array[np.int64] = np.zeros(len(words) + 1, np.int64)
        np.cumsum([len(word) for word in words], out=self.bounds[1:])

    def lines(self, rows: Rows, backoffs: Array[np.float32], highest: bool) -> memoryview:
        """The lines of some n-grams, uint32[n-grams, n + 1]: words from the last to the first, probability.

        backoffs: float32[n-grams], which the `highest` order has none of.
        """
        n = rows.shape[1] - 1
        sizes = self.bounds[1:] - self.bounds[:-1]
        size = int(sizes[rows[:, :n]].sum()) + len(rows) * (n + 2 * _NUMBER_BYTES)
        out: Array[np.uint8] = np.empty(size, np.uint8)
        rows = np.ascontiguousarray(rows)
        end = _write_ngrams(rows, rows.view(np.float32), backoffs, highest, self.data, self.bounds, out)
        return out[:end].data
