"""The ids of SentencePiece BPE models, exactly, at many times SentencePiece's speed.

A text is cut where no piece can span the cut (see `tokenizer/merges.py`). A chunk of up to 31 bytes is looked up in a
table whose key is the chunk itself. One that is not there, and a longer one, is merged by the model's own rules: best
score first, the leftmost of equals first, bytes for characters outside the vocabulary. The table has a fixed size and
is emptied when it is half full, so that memory is bounded whatever the text.
"""

from __future__ import annotations

import threading

import numpy as np

from tokenizer.kernel import JOIN_BITS, MEMO_BITS, SLOT, Array, encode_texts, fill_joins, fill_pairs
from tokenizer.merges import Merges


class Encoder:
    """The tables of one model, and the memory of what has been met. Threads take turns."""

    def __init__(self, merges: Merges) -> None:
        self._prefix = merges.prefix
        self._pieces = len(merges.ranks)
        self._tables = tuple(map(_frozen, _tables(merges)))
        # aligned to 64 bytes, so that a slot is one line of the processor's cache
        room = np.zeros((SLOT << MEMO_BITS) + 8, dtype=np.uint64)
        skip = -room.ctypes.data // 8 % 8
        self._memo = room[skip : skip + (SLOT << MEMO_BITS)]
        self._state = np.zeros(3, dtype=np.int64)
        self._lock = threading.Lock()

    @property
    def chunks(self) -> int:
        """Chunks met so far."""
        return int(self._state[1])

    @property
    def misses(self) -> int:
        """Chunks that had to be merged so far."""
        return int(self._state[2])

    def encode(self, text: Array, offsets: Array, eod: int = -1) -> tuple[Array, Array]:
        """The ids (uint32) of the texts `text[offsets[i]:offsets[i + 1]]`, in a row, and where each one's end.

        `text` is valid UTF-8 as uint8, `offsets` int64; with an `eod` of 0 or more each text's ids end with it.
        """
        texts = len(offsets) - 1
        # a character gives at most as many ids as it has bytes; a text has a blank before it and an end after it
        out = np.empty(int(offsets[-1] - offsets[0]) + 2 * texts, dtype=np.uint32)
        ends = np.empty(texts, dtype=np.int64)
        size = int(offsets[-1] - offsets[0])
        # words of eight bytes are read from every place, so the text is copied to where it has room behind it
        room = np.zeros(size + 40, dtype=np.uint8)
        room[:size] = text[offsets[0] : offsets[-1]]
        words = np.ndarray((size + 32,), dtype=np.uint64, buffer=room.data, strides=(1,))
        words.flags.writeable = False
        inputs = (_frozen(room), words, _frozen(offsets - offsets[0]), int(self._prefix), eod, self._pieces)
        with self._lock:
            size = encode_texts(*inputs, *self._tables, self._memo, self._state, out, ends)
        return out[:size], ends


def _frozen(array: Array) -> Array:
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _tables(merges: Merges) -> tuple[Array, ...]:
    """The kernel's tables in the order of its arguments."""
    pairs = np.zeros(2 << max(4, (2 * len(merges.left)).bit_length()), dtype=np.int64)
    fill_pairs(*(_frozen(table) for table in (merges.left, merges.right, merges.merged, merges.ranks)), pairs)
    plain, bits = np.zeros(128 * 128, dtype=np.uint8), np.zeros((1 << JOIN_BITS) // 8, dtype=np.uint8)
    fill_joins(_frozen(merges.joins[:, 0]), _frozen(merges.joins[:, 1]), plain, bits)
    singles = merges.characters[:128].copy()
    unknown = (singles < 0) | (singles >= len(merges.ranks))
    singles[unknown] = merges.byte_ids[:128][unknown]
    rows: list[int] = []
    data = b""
    for text, number in merges.user:
        rows += (len(data), len(text), number)
        data += text
        if len(text) == 1:
            singles[text[0]] = number
    user = np.array(rows, dtype=np.int64)
    texts = np.frombuffer(data, dtype=np.uint8)
    return merges.characters, merges.byte_ids, singles, pairs, plain, bits, user, texts
