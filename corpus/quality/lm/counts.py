"""Counts of n-grams: those of the highest order from sentences, and the adjusted counts of all orders from these.

An n-gram is written from its last word to its first, so that rows in order have those that end alike together: the
n-grams of a lower order are the beginnings of rows. A sentence begins with as many `<s>` as a context has words, and ends
in `</s>`. As in lmplz (Heafield et al. 2013, "Scalable Modified Kneser-Ney Language Model Estimation", section 3.2),
an n-gram that begins with `<s>` keeps its count, any other of a lower order has that of the different words before it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from corpus.data.buffers import Array
from corpus.kernel import kernel
from corpus.quality.lm.runs import Rows

UNKNOWN, BEGIN, END = 0, 1, 2
"""The first words of every vocabulary: `<unk>`, `<s>` and `</s>`."""
MOST_ORDER = 6
COUNTED = 4
"""How often n-grams of this count and less occur decides the discounts."""
_NO_WORD = 0xFFFFFFFF
_ROWS = types.uint32[:, ::1]
_READ = types.Array(types.uint32, 2, "C", readonly=True)
_WORDS = types.Array(types.uint32, 1, "C", readonly=True)


@kernel(types.void(_WORDS, _ROWS))
def _fill_ngrams(words: Any, rows: Any) -> None:
    """The n-gram that ends in each word, and a count of one. Sentences end in `END`; the first begins with the words."""
    order = rows.shape[1] - 1
    begin = np.int64(0)
    for i in range(words.size):
        for j in range(order):
            rows[i, j] = words[i - j] if i - j >= begin else BEGIN
        rows[i, order] = 1
        if words[i] == END:
            begin = np.int64(i + 1)


def sentence_ngrams(words: Array[np.uint32], order: int) -> Rows:
    """The n-grams of whole sentences, uint32[words, order + 1]: an n-gram from its last word on, and its count."""
    rows: Rows = np.empty((len(words), order + 1), np.uint32)
    _fill_ngrams(words, rows)
    return rows


@kernel(types.int64(_READ, types.int64, types.uint32[::1], types.int64[::1], _ROWS, types.int64[::1]))
def _adjust(rows: Any, n: Any, before: Any, count: Any, out: Any, stats: Any) -> Any:
    """Finish n-grams of order `n` where another one begins; how many are in `out`.

    before: the row before these, as long as theirs; count: of the n-gram it begins with, -1 where there is none, since an
    n-gram has `<s>` as its first word only. stats: int64[COUNTED + 2], see `Adjustment`.
    """
    order = before.size
    found = np.int64(0)
    for i in range(rows.shape[0]):
        same = np.int64(0)
        while same < n and rows[i, same] == before[same]:
            same += 1
        whole = True
        for j in range(n - 1):
            whole = whole and rows[i, j] != BEGIN
        finished = np.int64(-1)
        if n == order:
            if whole:
                finished = np.int64(rows[i, order])
        elif same < n:
            finished = count[0]
            count[0] = -1
            if whole:
                count[0] = np.int64(rows[i, order]) if rows[i, n - 1] == BEGIN else np.int64(1)
        elif count[0] >= 0 and rows[i, n] != before[n]:
            count[0] += 1
        if finished >= 0:
            for j in range(n):
                out[found, j] = rows[i, j] if n == order else before[j]
            out[found, n] = finished
            found += 1
            if finished <= COUNTED:
                stats[finished - 1] += 1
            stats[COUNTED] += 1
            stats[COUNTED + 1] += finished
        for j in range(order):
            before[j] = rows[i, j]
    return found


class Adjustment:
    """Makes adjusted counts of all orders from the rows of the highest one, which come in order, a block at a time.

    `stats` is int64[order, COUNTED + 2]: of each order the n-grams with a count of 1, 2, 3, 4, all, and the sum of counts.
    """

    def __init__(self, order: int) -> None:
        self.order = order
        self.stats: Array[np.int64] = np.zeros((order, COUNTED + 2), np.int64)
        self._rows = [np.full(order, np.uint32(_NO_WORD)) for _ in range(order)]
        self._counts = [np.full(1, -1, np.int64) for _ in range(order)]

    def add(self, rows: Rows) -> list[Rows]:
        """The n-grams that these rows finish, by order: uint32[n-grams, n + 1], in order."""
        return [self._finished(rows, n) for n in range(1, self.order + 1)]

    def close(self) -> list[Rows]:
        """The last n-grams of each order."""
        stop: Rows = np.full((1, self.order + 1), np.uint32(_NO_WORD - 1))
        last: Rows = np.zeros((0, self.order + 1), np.uint32)
        return [*(self._finished(stop, n) for n in range(1, self.order)), last]

    def _finished(self, rows: Rows, n: int) -> Rows:
        out: Rows = np.empty((len(rows) + 1, n + 1), np.uint32)
        return out[: _adjust(rows, n, self._rows[n - 1], self._counts[n - 1], out, self.stats[n - 1])]
