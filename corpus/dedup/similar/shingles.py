"""Word shingles of `folded` text: 64-bit hashes straight from UTF-8 buffers, and sets of them.

A word is a run of folded characters between white space. Han, kana, Thai, Lao, Khmer and Myanmar characters, whose
scripts put no space between words, are words of one character. A text of fewer words than a shingle has one shingle of
all of them; a text without words has none.

The hash of a word mixes its bytes, that of a shingle the hashes of its words, by multiplying and turning; XXH64's last
steps (Collet) spread both. Among n different shingles about n² / 2⁶⁵ pairs are expected to have equal hashes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numba import types

from corpus.data.buffers import Array, text_buffers
from corpus.dedup.lines.folding import fold_texts
from corpus.dedup.similar.clusters import Numbering
from corpus.kernel import kernel

_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_I64 = types.Array(types.int64, 1, "C", readonly=True)
_U64 = types.Array(types.uint64, 1, "C", readonly=True)

_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_SEED = np.uint64(0x73686E676C657331)
_R27, _R29, _R31, _R32, _R33, _R37 = (np.uint64(n) for n in (27, 29, 31, 32, 33, 37))

_HELD_SIZES = 1 << 16
UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x2FDF),
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3038, 0x303B),
    (0x3041, 0x30FF),
    (0x3190, 0x319F),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA9E0, 0xA9FE),
    (0xAA60, 0xAA7F),
    (0xF900, 0xFAFF),
    (0x1AFF0, 0x1B16F),
    (0x20000, 0x3FFFF),
)
"""First and last code points of the blocks of scripts without space between words (Thai and Lao; Myanmar; Khmer; Han
and kana): a folded character of theirs is a word of its own."""


@kernel("uint64(uint64)")
def _mixed(state: Any) -> Any:
    """Every bit of the state on every bit of the hash."""
    state = (state ^ (state >> _R33)) * _P2
    state = (state ^ (state >> _R29)) * _P3
    return state ^ (state >> _R32)


@kernel("uint64(uint64,uint64)")
def _round(state: Any, value: Any) -> Any:
    state = (state ^ value) * _P1
    return (state << _R29) | (state >> (np.uint64(64) - _R29))


@kernel(types.UniTuple(types.int64, 2)(_U8, types.int64, types.int64))
def _unspaced(data: Any, at: Any, end: Any) -> Any:
    """Bytes of the character of three bytes or more at `at`, and whether it is a word of its own (0 or 1)."""
    lead = np.int64(data[at])
    size = np.int64(3) if lead < 0xF0 else np.int64(4)
    if at + size > end:
        return end - at, np.int64(0)
    code = lead & (0x0F if size == 3 else 0x07)
    for i in range(at + 1, at + size):
        code = code << 6 | (np.int64(data[i]) & 63)
    alone = np.int64(0)
    for first, last in UNSPACED:
        if first <= code <= last:
            alone = np.int64(1)
    return size, alone


@kernel(types.int64(_U8, _I64, types.uint64[::1], types.int64[::1]))
def _hash_words(data: Any, offsets: Any, words: Any, first_word: Any) -> Any:
    count = np.int64(0)
    for text in range(offsets.size - 1):
        first_word[text] = count
        state = _SEED
        i, end = offsets[text], offsets[text + 1]
        begin = i
        while i < end:
            byte = data[i]
            size, alone = np.int64(1), np.int64(0)
            if byte >= 0xE0:
                size, alone = _unspaced(data, i, end)
            if (byte == 32 or alone) and i > begin:
                words[count] = _mixed(state)
                count += 1
                state = _SEED
                begin = i
            if byte == 32:
                i += 1
                begin = i
                continue
            for at in range(i, i + size):
                state = _round(state, np.uint64(data[at]))
            i += size
            if alone:
                words[count] = _mixed(state)
                count += 1
                state = _SEED
                begin = i
        if end > begin:
            words[count] = _mixed(state)
            count += 1
    first_word[offsets.size - 1] = count
    return count


@kernel(types.int64(_U64, _I64, types.int64, types.uint64[::1], types.int64[::1]))
def _hash_shingles(words: Any, first: Any, width: Any, shingles: Any, bounds: Any) -> Any:
    count = np.int64(0)
    for text in range(first.size - 1):
        bounds[text] = count
        begin, end = first[text], first[text + 1]
        size = min(width, end - begin)
        if size == 0:
            continue
        seed = _SEED + np.uint64(size)
        for at in range(begin, end - size + 1):
            state = seed
            for word in range(at, at + size):
                state = _round(state, words[word])
            shingles[count] = _mixed(state)
            count += 1
    bounds[first.size - 1] = count
    return count


def shingle_hashes(text: pa.Array, width: int) -> tuple[Array[np.uint64], Array[np.int64]]:
    """The hashes of all shingles of `width` words of every text, in order, and the int64[n + 1] bounds of the texts."""
    data, offsets = fold_texts(*text_buffers(text))
    words = np.empty(data.size, dtype=np.uint64)
    first = np.empty(len(offsets), dtype=np.int64)
    words = words[: _hash_words(data, offsets, words, first)]
    shingles = np.empty(words.size, dtype=np.uint64)
    bounds = np.empty(len(offsets), dtype=np.int64)
    return shingles[: _hash_shingles(words, first, width, shingles, bounds)], bounds


def shingle_sets(text: pa.Array, width: int) -> Iterator[Array[np.uint64]]:
    """The set of shingle hashes of each text: sorted, distinct."""
    shingles, bounds = shingle_hashes(text, width)
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        own = np.sort(shingles[begin:end])
        if own.size > 1:
            own = own[np.append(True, own[1:] != own[:-1])]
        yield own


@kernel(types.int64(_U64, _U64))
def _count_shared(left: Any, right: Any) -> Any:
    i = j = shared = np.int64(0)
    while i < left.size and j < right.size:
        a, b = left[i], right[j]
        shared += a == b
        i += a <= b
        j += b <= a
    return shared


def count_shared(left: Array[np.uint64], right: Array[np.uint64]) -> int:
    """How many hashes two sets (sorted, distinct) share."""
    return int(_count_shared(left, right))


class SetWriter:
    """Writes the shingle sets of some of a task's `rows` documents, by ascending row."""

    def __init__(self, directory: Path, rows: int) -> None:
        self._bounds = np.zeros(rows + 1, dtype=np.int64)
        self._path = directory / "set-bounds"
        self._file = (directory / "sets").open("wb")

    def write(self, row: int, shingles: Array[np.uint64]) -> None:
        """The set of one document."""
        self._bounds[row + 1] = shingles.size
        self._file.write(shingles.data)

    def close(self) -> None:
        """Finish."""
        self._file.close()
        np.cumsum(self._bounds).tofile(self._path)


class SetReader:
    """Reads the shingle sets that tasks left in `folders`; holds the last ones up to `memory` bytes."""

    def __init__(self, numbering: Numbering, folders: Sequence[Path], memory: int) -> None:
        self._numbering = numbering
        self._folders = folders
        self._memory = memory
        self._held: dict[int, Array[np.uint64]] = {}
        self._sizes: dict[int, tuple[int, int]] = {}
        self._bytes = 0

    def size(self, number: int) -> int:
        """Shingles of a document."""
        begin, end = self._bounds(number)
        return end - begin

    def read(self, number: int) -> Array[np.uint64]:
        """The set of a document."""
        found = self._held.get(number)
        if found is not None:
            return found
        begin, end = self._bounds(number)
        task, _ = self._numbering.place(number)
        found = np.fromfile(self._folders[task] / "sets", np.uint64, count=end - begin, offset=8 * begin)
        if self._bytes + found.nbytes > self._memory:
            self._held.clear()
            self._bytes = 0
        self._held[number] = found
        self._bytes += found.nbytes
        return found

    def _bounds(self, number: int) -> tuple[int, int]:
        found = self._sizes.get(number)
        if found is None:
            task, row = self._numbering.place(number)
            begin, end = np.fromfile(self._folders[task] / "set-bounds", np.int64, count=2, offset=8 * row).tolist()
            if len(self._sizes) >= _HELD_SIZES:
                self._sizes.clear()
            found = self._sizes[number] = (begin, end)
        return found
