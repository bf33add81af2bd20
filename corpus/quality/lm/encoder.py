"""Text to SentencePiece pieces at the speed of its words: the pieces of CCNet's normalisation and a unigram model.

Words (what spaces separate) are remembered with their best segmentation. The library adds scores up in single precision
from the start of a text, so that two segmentations of a word that are close can change places further on: a remembered
one is taken where it leads the second best by more than all rounding can amount to at that place, and is found again from
the text's sum as it stands there where it does not. So the pieces are those of the library, whatever is remembered.

The words of ASCII are normalised here (`normalize.py`, and SentencePiece's own normalisation does nothing to them, which
is looked at when a model is loaded), others by Python and the library, all new ones of a batch in one go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import sentencepiece
from numba import types

from corpus.data.buffers import Array
from corpus.kernel import kernel
from corpus.quality.lm.normalize import normalize_words
from corpus.quality.lm.segmentation import FIELDS, LONGEST, NORM, NORM_LENGTH, emit, solve, trie_of
from corpus.quality.lm.spmodel import BETWEEN, SPACE, UnigramModel

_RESET = -100_000.0 if tuple(map(int, re.findall(r"\d+", sentencepiece.__version__)[:3])) >= (0, 2, 2) else -np.inf
"""Below this the library takes the sum so far off, from version 0.2.2 on."""
_MOST_WORDS = 1 << 20
_MOST_BYTES = 1 << 26
"""When more than this is remembered, all of it is forgotten."""
_DROPPED, _OTHER = 255, 254
_SPACE_BYTES = len(SPACE.encode())
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_NUMBERS = types.Array(types.int64, 1, "C", readonly=True)
_STORED = (types.int32[::1], types.int64[:, ::1], types.uint8[::1])


@kernel(types.int64(types.int64, types.int64, types.boolean, types.int64, types.int64, *_STORED))
def _enter(begin: Any, length: Any, plain: Any, base: Any, count: Any, slots: Any, entries: Any, store: Any) -> Any:
    """The entry of the key that is stored from `begin` on; `count` where it is new, and then entered. A `plain` one is in
    its normalised form from `base` on, where there is room for the space before it."""
    hashed = np.uint64(0xCBF29CE484222325)
    for i in range(begin, begin + length):
        hashed = (hashed ^ np.uint64(store[i])) * np.uint64(0x100000001B3)
    hashed = hashed ^ (hashed >> np.uint64(29))
    mask = np.int64(slots.size - 1)
    slot = np.int64(hashed & np.uint64(mask))
    while slots[slot] >= 0:
        entry = np.int64(slots[slot])
        if entries[entry, 6] == np.int64(hashed) and entries[entry, 1] == length:
            other, same = entries[entry, 0], True
            for i in range(length):
                if store[other + i] != store[begin + i]:
                    same = False
                    break
            if same:
                return entry
        slot = (slot + 1) & mask
    slots[slot] = count
    entries[count, 0], entries[count, 1], entries[count, 6] = begin, length, np.int64(hashed)
    entries[count, 2], entries[count, 3], entries[count, 5] = -1, 0, 0
    if plain:
        store[base], store[base + 1], store[base + 2] = 0xE2, 0x96, 0x81
        entries[count, 2], entries[count, 3] = base, length + 3
    return count


@kernel(
    types.UniTuple(types.int64, 3)(
        *(_BYTES, _NUMBERS, types.boolean, _BYTES, *_STORED, types.int64, types.int64),
        *(types.int32[::1], types.int64[::1], types.int64[::1]),
    )
)
def _split(
    data: Any, bounds: Any, by_line: Any, normal: Any, slots: Any, entries: Any, store: Any, count: Any, used: Any,
    words: Any, sentences: Any, last: Any,
) -> Any:  # fmt: skip
    """Split texts into words, and enter those that are new.

    normal: what each byte is normalised to, `_DROPPED` or `_OTHER`. Entries from `count` on are new; `used` bytes of
    `store` are taken. words: the entry of each word; sentences: the end of each sentence in these; last: of each document
    in the sentences. The answer is how many words, entries, and bytes of `store` there are.
    """
    number, sentence = np.int64(0), np.int64(0)
    for document in range(last.size):
        at, end = bounds[document], bounds[document + 1]
        while at <= end:
            # the word is normalised to where it is stored if it is new
            start, begin, plain = at, used + _SPACE_BYTES, True
            length = np.int64(0)
            while at < end and data[at] != 32 and not (by_line and data[at] == 10):
                byte = normal[data[at]]
                if byte == _OTHER:
                    plain = False
                elif byte != _DROPPED:
                    store[begin + length] = byte
                    length += 1
                at += 1
            if not plain:
                begin, length = used, at - start
                for i in range(length):
                    store[begin + i] = data[start + i]
            if length > 0:
                entry = _enter(begin, length, plain, used, count, slots, entries, store)
                if entry == count:
                    count += 1
                    used = begin + length
                words[number] = entry
                number += 1
            if at == end or data[at] == 10:
                sentences[sentence] = number
                sentence += 1
            at += 1
        last[document] = sentence
    return number, count, used


@dataclass(frozen=True)
class Encoded:
    """Sentences as pieces, which are byte strings in a store."""

    pieces: Array[np.int32]
    """Their numbers in the model, or `UNKNOWN_PIECE`: then only the bytes say what it is."""
    store: Array[np.uint8]
    places: Array[np.int64]
    sizes: Array[np.int32]
    ends: Array[np.int64]
    """Where each sentence ends in the pieces."""
    last: Array[np.int64]
    """Where each document ends in the sentences."""
    lengths: Array[np.int64]
    """Words of each sentence as CCNet counts them."""


class PieceEncoder:
    """Encodes texts with a unigram model. What it remembers is bounded, and decides no piece."""

    def __init__(self, model: UnigramModel) -> None:
        self._processor = model.processor
        self._model = (*trie_of(model.pieces), model.scores, np.float32(model.unknown))
        self._normal = _normal_bytes()
        self._allocate(0, 0)

    def _allocate(self, size: int, texts: int) -> None:
        """Forget all, and have room for what texts of so many bytes can have new."""
        capacity = _MOST_WORDS + max(1 << 20, size // 2 + texts + 1)
        self._capacity, self._count, self._used, self._solved = capacity, 0, 0, 0
        self._slots: Array[np.int32] = np.full(1 << (2 * capacity - 1).bit_length(), -1, np.int32)
        self._entries: Array[np.int64] = np.empty((capacity, FIELDS), np.int64)
        self._leads: Array[np.float64] = np.empty((capacity, 2), np.float64)
        self._store: Array[np.uint8] = np.empty(_MOST_BYTES, np.uint8)
        self._pieces: Array[np.int32] = np.empty(1 << 20, np.int32)
        self._lengths: Array[np.int32] = np.empty(1 << 20, np.int32)

    def encode(self, data: Array[np.uint8], bounds: Array[np.int64], by_line: bool) -> Encoded:
        """The pieces of texts, whose line ends are deleted or, with `by_line`, end a sentence.

        data, bounds: UTF-8 bytes, and the int64[n + 1] bounds of the texts in them.
        """
        texts, size = len(bounds) - 1, int(bounds[-1] - bounds[0])
        fresh = size // 2 + texts + 1
        if self._used > _MOST_BYTES or self._count > _MOST_WORDS or self._count + fresh > self._capacity:
            self._allocate(size, texts)
        self._room(2 * size + 64)
        first = self._count
        words = np.empty(fresh, np.int32)
        lines = int(np.count_nonzero(data[bounds[0] : bounds[-1]] == 10)) if by_line else 0
        sentences = np.empty(lines + texts, np.int64)
        last = np.empty(texts, np.int64)
        number, self._count, self._used = _split(
            *(data, bounds, by_line, self._normal, self._slots, self._entries, self._store, first, self._used),
            *(words, sentences, last),
        )
        self._normalize(first)
        self._solve(first)
        return self._emit(words[:number], sentences[: last[-1] if texts else 0], last)

    def _room(self, size: int) -> None:
        """Have room for so many more bytes."""
        if self._used + size > len(self._store):
            larger: Array[np.uint8] = np.empty(max(2 * len(self._store), self._used + size), np.uint8)
            larger[: self._used] = self._store[: self._used]
            self._store = larger

    def _normalize(self, first: int) -> None:
        """Normalise the new words that are not of ASCII."""
        new = self._entries[first : self._count]
        others = np.flatnonzero(new[:, NORM] < 0)
        if not len(others):
            return
        words = [bytes(self._store[at : at + size]).decode() for at, size in new[others, :2].tolist()]
        found = self._processor.normalize(normalize_words(f" {BETWEEN} ".join(words))).split(SPACE + BETWEEN)
        if len(found) != len(words):
            found = [self._processor.normalize(normalize_words(word)) for word in words]
        norms = [norm.encode() for norm in found]
        joined = b"".join(norms)
        self._room(len(joined))
        self._store[self._used : self._used + len(joined)] = np.frombuffer(joined, np.uint8)
        sizes = np.array([len(norm) for norm in norms], np.int64)
        new[others, NORM] = self._used + np.cumsum(sizes) - sizes
        new[others, NORM_LENGTH] = sizes
        self._used += len(joined)

    def _solve(self, first: int) -> None:
        sizes = self._entries[first : self._count, NORM_LENGTH]
        need = self._solved + int(sizes[sizes <= LONGEST].sum())
        if need > len(self._pieces):
            self._pieces = np.resize(self._pieces, 2 * need)
            self._lengths = np.resize(self._lengths, 2 * need)
        self._solved = solve(
            *(first, self._count, self._entries, self._leads, self._store, *self._model),
            *(self._pieces, self._lengths, self._solved),
        )

    def _emit(self, words: Array[np.int32], sentences: Array[np.int64], last: Array[np.int64]) -> Encoded:
        sizes = self._entries[words, NORM_LENGTH]
        most, longest = int(sizes.sum()), int(sizes.max(initial=0))
        pieces, places = np.empty(most, np.int32), np.empty(most, np.int64)
        widths, ends = np.empty(most, np.int32), np.empty(len(sentences), np.int64)
        number = emit(
            *(words, sentences, self._entries, self._leads, self._store, *self._model, np.float32(_RESET)),
            *(self._pieces, self._lengths, longest, pieces, places, widths, ends),
        )
        lengths = np.diff(ends, prepend=0)
        return Encoded(pieces[:number], self._store, places[:number], widths[:number], ends, last, lengths)


def _normal_bytes() -> Array[np.uint8]:
    """Of each byte what CCNet's normalisation makes of it."""
    table: Array[np.uint8] = np.full(256, _OTHER, np.uint8)
    for code in range(128):
        normal = normalize_words(chr(code))
        table[code] = ord(normal) if normal else _DROPPED
    return table
