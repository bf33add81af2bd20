"""The words and labels of a fastText model, and which rows its n-grams have."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numba as nb
import numpy as np

from corpus.data.buffers import Array
from corpus.kernel import kernel

LABEL = "__label__"
"""What begins a label, and a token that is taken for one; a model file does not say another."""
END = "</s>"
"""The token that ends every text."""
_LABEL_KIND = 1
_U8 = nb.types.Array(nb.uint8, 1, "C", readonly=True)
_I64 = nb.types.Array(nb.int64, 1, "C", readonly=True)


class Dictionary:
    """Words first, then labels. `kinds` is uint8[n], 0 a word and 1 a label; `counts` int64[n], how often training met
    each; `pruned` int32[m, 2], bucket and row of the n-grams that are left, or None where all are."""

    def __init__(
        self,
        text: Array[np.uint8],
        starts: Array[np.int64],
        ends: Array[np.int64],
        counts: Array[np.int64],
        kinds: Array[np.uint8],
        words: int,
        pruned: Array[np.int32] | None,
    ) -> None:
        self.text, self.starts, self.ends, self.counts, self.kinds = text, starts, ends, counts, kinds
        self.words, self.labels, self.pruned = words, len(starts) - words, pruned

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The labels in the order of their numbers, without what begins them."""
        data = self.text.tobytes()
        spans = zip(self.starts[self.words :].tolist(), self.ends[self.words :].tolist(), strict=True)
        return tuple(data[start:end].decode("utf-8", "replace").removeprefix(LABEL) for start, end in spans)

    @cached_property
    def label_counts(self) -> Array[np.int64]:
        """int64[labels]: how often training met each label."""
        return self.counts[self.words :]

    @cached_property
    def end(self) -> int:
        """The number of the token that ends texts, -1 where training met none."""
        for entry in range(self.words):
            if self.text[self.starts[entry] : self.ends[entry]].tobytes() == END.encode():
                return entry
        return -1

    @cached_property
    def slots(self) -> Array[np.int32]:
        """int32[power of two]: the number of an entry at or after the slot of its hash, -1 where there is none."""
        table = np.full(2 << max(4, len(self.starts).bit_length()), -1, dtype=np.int32)
        fill_slots(self.text, self.starts, self.ends, table)
        return table

    def kept(self, buckets: int) -> tuple[Array[np.uint64], Array[np.uint32]]:
        """Which n-grams have rows: a bit for each of the `buckets`, in words of 64, and how many bits are set before each
        word."""
        bits = np.zeros(-(-buckets // 64) * 64, dtype=np.uint8)
        if self.pruned is not None:
            bits[self.pruned[:, 0]] = 1
        before = np.concatenate([[0], np.cumsum(bits.reshape(-1, 64).sum(axis=1))])[:-1]
        return np.packbits(bits, bitorder="little").view(np.uint64), before.astype(np.uint32)

    @property
    def row_order(self) -> Array[np.int64] | None:
        """int64[n]: the rows of the words, then those of the n-grams that are left by their buckets; None: as they are."""
        if self.pruned is None:
            return None
        ngrams = self.pruned[np.argsort(self.pruned[:, 0], kind="stable"), 1].astype(np.int64)
        return np.concatenate([np.arange(self.words), self.words + ngrams])


@kernel(nb.int64(_U8, nb.int64, nb.int64[::1], nb.int64[::1], nb.int64[::1], nb.uint8[::1]))
def scan_entries(data: Any, at: Any, starts: Any, ends: Any, counts: Any, kinds: Any) -> Any:
    """Find the entries of a dictionary from `at` on: a word, a zero byte, its count (int64), its kind (a byte). Returns
    the position after the last, or -1 where the data ends before."""
    for entry in range(starts.size):
        starts[entry] = at
        while at < data.size and data[at] != 0:
            at += 1
        ends[entry] = at
        if at + 10 > data.size:
            return np.int64(-1)
        count = np.uint64(0)
        for byte in range(8):
            count |= np.uint64(data[at + 1 + byte]) << np.uint64(8 * byte)
        counts[entry], kinds[entry] = np.int64(count), data[at + 9]
        at += 10
    return np.int64(at)


@kernel(nb.void(_U8, _I64, _I64, nb.int32[::1]))
def fill_slots(text: Any, starts: Any, ends: Any, table: Any) -> None:
    """Make the table of words; of equal ones the last stays, as in fastText."""
    mask = table.size - 1
    for entry in range(starts.size):
        hash = np.uint64(2166136261)
        for at in range(starts[entry], ends[entry]):
            byte = np.uint64(text[at])
            hash = (
                (hash ^ (byte | (np.uint64(0xFFFFFF00) if byte >= 128 else np.uint64(0)))) * np.uint64(16777619)
            ) & (np.uint64(0xFFFFFFFF))
        slot = np.int64(hash) & mask
        length = ends[entry] - starts[entry]
        while table[slot] >= 0:
            other = table[slot]
            same = ends[other] - starts[other] == length
            for step in range(length):
                if not same:
                    break
                same = text[starts[other] + step] == text[starts[entry] + step]
            if same:
                break
            slot = (slot + 1) & mask
        table[slot] = entry
