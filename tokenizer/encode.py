"""The ids of SentencePiece BPE models, exactly, at many times SentencePiece's speed.

A text is cut where no piece can span the cut (see `tokenizer/merges.py`). A chunk of up to 31 bytes is looked up in a
table whose key is the chunk itself. One that is not there, and a longer one, is merged by the model's own rules: best
score first, the leftmost of equals first, bytes for characters outside the vocabulary. The table has a fixed size, 25 MB,
and forgets old chunks for new ones. Beside it the memory is that of the texts of a call and their ids, and while a chunk
is merged about thirty bytes for every byte of it: little, but for a text that can nowhere be cut.
"""

from __future__ import annotations

import threading

import numpy as np

from corpus.errors import DataError
from tokenizer.kernel import (
    JOIN_BITS,
    LONGEST,
    SHORT_BITS,
    SHORT_ROW,
    WIDE_BITS,
    WIDE_ROW,
    Array,
    encode_texts,
    fill_pairs,
    join_bit,
)
from tokenizer.layout import lay_out
from tokenizer.merges import Merges

SLICE = 1 << 21
"""Bytes of texts that are encoded at a time: fresh memory costs more than encoding does, so little of it is used again."""
Ids = tuple[Array, Array]


class Encoder:
    """The tables of one model, and the memory of what has been met. Threads take turns."""

    def __init__(self, merges: Merges) -> None:
        self._prefix = merges.prefix
        self._pieces = len(merges.ranks)
        self._tables = tuple(map(_frozen, _tables(merges)))
        self._memo = _aligned(SHORT_ROW << SHORT_BITS), _aligned(WIDE_ROW << WIDE_BITS)
        self._state = np.zeros(2, dtype=np.int64)
        self._lock = threading.Lock()

    @property
    def chunks(self) -> int:
        """Chunks met so far."""
        return int(self._state[0])

    @property
    def misses(self) -> int:
        """Chunks that had to be merged so far."""
        return int(self._state[1])

    def encode(self, text: Array, offsets: Array, free: int = 0, kind: type[np.generic] = np.uint32) -> Ids:
        """The ids, of `kind`, of the texts `text[offsets[i]:offsets[i + 1]]`, in a row, and where each one's end.

        `text` is valid UTF-8 as uint8, `offsets` int64; `free`: places after each text's ids, none or one, that belong to it
        and hold nothing yet.
        """
        texts = len(offsets) - 1
        # a character gives at most as many ids as it has bytes, and a text may have a place after it
        ids = np.empty(int(offsets[-1] - offsets[0]) + (self._prefix + 1) * texts, dtype=kind)
        ends = np.empty(texts, dtype=np.int64)
        filled = first = 0
        with self._lock:
            while first < texts:
                last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + SLICE, "right")) - 1)
                found = self._encode(text, offsets[first : last + 1], free, ends[first:last])
                ids[filled : filled + len(found)] = found
                ends[first:last] += filled
                filled, first = filled + len(found), last
        ids.resize(filled, refcheck=False)
        return ids, ends

    def _encode(self, text: Array, offsets: Array, free: int, ends: Array) -> Array:
        """The ids of some texts, and into `ends` where each one's end."""
        texts, size = len(offsets) - 1, int(offsets[-1] - offsets[0])
        # words of eight bytes are read from every place, so the texts are copied to where they have room after them
        room = np.empty(size + self._prefix * texts + 40, dtype=np.uint8)
        room[-40:] = 0
        starts = np.empty(texts + 1, dtype=np.int64)
        lay_out(_frozen(text), _frozen(offsets), int(self._prefix), room, starts)
        words = np.ndarray((len(room) - 7,), dtype=np.uint64, buffer=room.data, strides=(1,))
        words.flags.writeable = False
        out = np.empty(len(room) + texts + 40, dtype=np.uint32)  # a few more are written than are ids
        size = encode_texts(
            *(_frozen(room), words, _frozen(starts), free, self._pieces),
            *(*self._tables, *self._memo, self._state, out, ends),
        )
        if size < 0:
            raise DataError(
                f"a text has over {LONGEST} bytes between two places where it may be cut: split it before it is encoded."
            )
        return out[:size]


def _aligned(size: int) -> Array:
    """So many words of zeros, which begin at a line of the processor's cache."""
    room = np.zeros(size + 8, dtype=np.uint64)
    skip = -room.ctypes.data // 8 % 8
    return room[skip : skip + size]


def _frozen(array: Array) -> Array:
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _tables(merges: Merges) -> tuple[Array, ...]:
    """The kernel's tables in the order of its arguments."""
    pairs = np.zeros(2 << max(4, len(merges.left).bit_length()), dtype=np.uint64)
    fill_pairs(_frozen(merges.left), _frozen(merges.right), _frozen(merges.merged), pairs)
    plain, bits = np.zeros(128 * 128, dtype=np.uint8), np.zeros((1 << JOIN_BITS) // 8, dtype=np.uint8)
    for before, after in merges.joins.tolist():
        if before < 128 and after < 128:
            plain[before * 128 + after] = 1
        else:
            bit = join_bit(before, after)
            bits[bit >> 3] |= 1 << (bit & 7)
    user, texts = _user_symbols(merges.user)
    kept = [min(max(count, 0), 8) for count in range(-24, 32)]
    masks = np.array([(1 << 8 * count) - 1 for count in kept], dtype=np.uint64)
    return merges.characters, merges.byte_ids, pairs, merges.ranks, plain, bits, user, texts, masks


def _user_symbols(symbols: tuple[tuple[bytes, int], ...]) -> tuple[Array, Array]:
    """User-defined symbols, longest first, as numbers and their texts in a row.

    The first 257 numbers say where those that begin with a byte are described: by three numbers each, where the text
    begins, its length, its id.
    """
    rows: list[int] = []
    firsts = []
    data = b""
    for byte in range(256):
        firsts.append(257 + len(rows))
        for text, number in symbols:
            if text[0] == byte:
                rows += (len(data), len(text), number)
                data += text
    user = np.array([*firsts, 257 + len(rows), *rows], dtype=np.int64)
    return user, np.frombuffer(data, dtype=np.uint8)
