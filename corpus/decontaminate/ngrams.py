"""Words and n-grams of texts, by kernels over their UTF-8.

A word is what stands between white space, lower case, without punctuation; what is nothing but punctuation is no word
(GPT-3, arXiv 2005.14165, appendix C). Lower case and punctuation go by single code points: `FOLD` has for each what
becomes of it. An n-gram is known by a 64-bit hash, and every hit is compared word by word.
"""

from __future__ import annotations

import string
import unicodedata
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from corpus.kernel import kernel

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint32]
Hashes = npt.NDArray[np.uint64]

SPACE, NOTHING = 0, 1
"""What `FOLD` has for white space, and for what is left out."""
_FOLDED = 0x20000
"""Code points from here on are letters as they are."""

_BYTES_IN = types.Array(types.uint8, 1, "C", readonly=True)
_INTS_IN = types.Array(types.int64, 1, "C", readonly=True)
_CODES_IN = types.Array(types.uint32, 1, "C", readonly=True)
_HASHES_IN = types.Array(types.uint64, 1, "C", readonly=True)
_INTS = types.Array(types.int64, 1, "C")
_CODES = types.Array(types.uint32, 1, "C")
_HASHES = types.Array(types.uint64, 1, "C")

_BLANK = np.uint32(32)
_BASE, _MIX1, _MIX2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)
_ONE, _SIX, _WORD = np.uint64(1), np.uint64(6), np.uint64(63)


@lru_cache(maxsize=1)
def fold_table() -> Codes:
    """`FOLD`, uint32[0x20000]."""
    return np.array([_fold(chr(code)) for code in range(_FOLDED)], np.uint32)


def _fold(char: str) -> int:
    if char.isspace():
        return SPACE
    if char in string.punctuation or unicodedata.category(char)[0] == "P" or ord(char) <= NOTHING:
        return NOTHING
    lower = char.lower()
    return ord(lower) if len(lower) == 1 else ord(char)


def cut_grams(
    data: npt.NDArray[np.uint8], offsets: Ints, size: int, mask: int
) -> tuple[Codes, Ints, Ints, Ints, Hashes]:
    """All n-grams of `size` words of texts (UTF-8 `data`, int64 `offsets`).

    Gives the folded texts (code points, words apart by blanks), and for every n-gram its text, where it begins and ends
    in them, and its hash & `mask`.
    """
    room = int(offsets[-1] - offsets[0]) + len(offsets)
    folded, (texts, begins, ends) = np.empty(room, np.uint32), (np.empty(room, np.int64) for _ in range(3))
    hashes = np.empty(room, np.uint64)
    used = np.zeros(1, np.int64)
    scratch = word_room(offsets)
    count = _cut(
        data, offsets, fold_table(), size, np.uint64(mask), *scratch, folded, used, texts, begins, ends, hashes
    )
    return (
        folded[: used[0]].copy(),
        texts[:count].copy(),
        begins[:count].copy(),
        ends[:count].copy(),
        hashes[:count].copy(),
    )


def distinct(order: Ints, hashes: Hashes, folded: Codes, begins: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Number n-grams so that equal ones have one number, in the order `order` of their hashes: the number of each
    n-gram, and of each number the n-gram that had it first."""
    numbers, first = np.empty(len(hashes), np.int64), np.empty(len(hashes), np.int64)
    count = _number(order, hashes, folded, begins, ends, numbers, first)
    return numbers, first[:count]


def word_room(offsets: Ints) -> tuple[Any, ...]:
    """Room for one text: its folded code points; and per word where it begins and ends there, the same in the text, and
    its hash."""
    most = int(np.diff(offsets).max(initial=0)) + 2
    return (
        np.empty(most, np.uint32),
        *(np.empty(most // 2 + 2, np.int64) for _ in range(4)),
        np.empty(most, np.uint64),
    )


@kernel(
    types.int64(_BYTES_IN, types.int64, types.int64, _CODES_IN, _CODES, _INTS, _INTS, _INTS, _INTS, _HASHES),
)
def _fold_words(
    data: Any, begin: Any, end: Any, fold: Any, folded: Any, starts: Any, stops: Any, froms: Any, tos: Any, hashes: Any
) -> Any:
    """The words of one text; how many there are."""
    words, place, inside = 0, 0, False
    value = np.uint64(0)
    at = begin
    while at < end:
        lead = data[at]
        code, size = np.uint32(lead), 1
        if lead >= 0xF0:
            code, size = np.uint32(lead & 0x07), 4
        elif lead >= 0xE0:
            code, size = np.uint32(lead & 0x0F), 3
        elif lead >= 0xC0:
            code, size = np.uint32(lead & 0x1F), 2
        for k in range(1, size):
            code = np.uint32((code << np.uint32(6)) | np.uint32(data[at + k] & 0x3F))
        if code < np.uint32(len(fold)):
            code = fold[code]
        if code == SPACE:
            if inside:
                stops[words], hashes[words] = place, value
                words += 1
                folded[place] = _BLANK
                place += 1
                inside = False
        elif code != NOTHING:
            if not inside:
                inside = True
                starts[words], froms[words] = place, at
                value = _BASE
            folded[place] = code
            place += 1
            value = (value ^ np.uint64(code)) * _MIX1
            value ^= value >> _S31
            tos[words] = at + size
        at += size
    if inside:
        stops[words], hashes[words] = place, value
        words += 1
    return words


@kernel(types.uint64(types.uint64), inline="always")
def _finish(value: Any) -> Any:
    value = (value ^ (value >> _S30)) * _MIX1
    value = (value ^ (value >> _S27)) * _MIX2
    return value ^ (value >> _S31)


@kernel(types.uint64(types.int64))
def _oldest(size: Any) -> Any:
    """What the oldest word of an n-gram is multiplied with."""
    power = _ONE
    for _ in range(size):
        power *= _BASE
    return power


@kernel(
    types.int64(
        _BYTES_IN, _INTS_IN, _CODES_IN, types.int64, types.uint64, _CODES, _INTS, _INTS, _INTS, _INTS, _HASHES, _CODES,
        _INTS, _INTS, _INTS, _INTS, _HASHES,
    ),
)  # fmt: skip
def _cut(
    data: Any, offsets: Any, fold: Any, size: Any, mask: Any, folded: Any, starts: Any, stops: Any, froms: Any, tos: Any,
    words: Any, out_folded: Any, used: Any, out_text: Any, out_begin: Any, out_end: Any, out_hash: Any,
) -> Any:  # fmt: skip
    power = _oldest(size)
    count = 0
    for row in range(len(offsets) - 1):
        n = _fold_words(data, offsets[row], offsets[row + 1], fold, folded, starts, stops, froms, tos, words)
        base = used[0]
        if n:
            for k in range(stops[n - 1]):
                out_folded[base + k] = folded[k]
            used[0] = base + stops[n - 1]
        value = np.uint64(0)
        for k in range(n):
            value = value * _BASE + words[k]
            if k >= size:
                value -= words[k - size] * power
            if k >= size - 1:
                out_text[count], out_hash[count] = row, _finish(value) & mask
                out_begin[count], out_end[count] = base + starts[k - size + 1], base + stops[k]
                count += 1
    return count


@kernel(types.boolean(_CODES_IN, types.int64, types.int64, _CODES_IN, types.int64, types.int64))
def _same(one: Any, begin: Any, end: Any, other: Any, other_begin: Any, other_end: Any) -> Any:
    if end - begin != other_end - other_begin:
        return False
    for k in range(end - begin):  # noqa: SIM110 - compiled
        if one[begin + k] != other[other_begin + k]:
            return False
    return True


@kernel(types.int64(_INTS_IN, _HASHES_IN, _CODES_IN, _INTS_IN, _INTS_IN, _INTS, _INTS))
def _number(order: Any, hashes: Any, folded: Any, begins: Any, ends: Any, numbers: Any, first: Any) -> Any:
    count = run = 0
    for k in range(len(order)):
        here = order[k]
        if k and hashes[here] != hashes[order[k - 1]]:
            run = count
        found = -1
        for number in range(run, count):
            if _same(folded, begins[here], ends[here], folded, begins[first[number]], ends[first[number]]):
                found = number
        if found < 0:
            found = count
            first[count] = here
            count += 1
        numbers[here] = found
    return count


@kernel(
    types.int64(
        _BYTES_IN, _INTS_IN, _CODES_IN, types.int64, types.uint64, _CODES, _INTS, _INTS, _INTS, _INTS, _HASHES,
        _HASHES_IN, _INTS_IN, types.uint64, _HASHES_IN, types.uint64, _CODES_IN, _INTS_IN, _INTS_IN,
        _INTS, _INTS, _INTS, _INTS,
    ),
)  # fmt: skip
def find_grams(
    data: Any, offsets: Any, fold: Any, size: Any, mask: Any, folded: Any, starts: Any, stops: Any, froms: Any, tos: Any,
    words: Any, hashes: Any, firsts: Any, shift: Any, sieve: Any, sieve_shift: Any, grams: Any, begins: Any, ends: Any,
    out_row: Any, out_gram: Any, out_from: Any, out_to: Any,
) -> Any:  # fmt: skip
    """Where texts have known n-grams: row, n-gram, and the bytes of the text from the first word to the last. Gives how
    many there are; those beyond the room of `out_row` are not written."""
    power = _oldest(size)
    count, room = 0, len(out_row)
    for row in range(len(offsets) - 1):
        n = _fold_words(data, offsets[row], offsets[row + 1], fold, folded, starts, stops, froms, tos, words)
        value = np.uint64(0)
        for k in range(n):
            value = value * _BASE + words[k]
            if k >= size:
                value -= words[k - size] * power
            if k < size - 1:
                continue
            key = _finish(value) & mask
            bit = key >> sieve_shift
            if not (sieve[bit >> _SIX] >> (bit & _WORD)) & _ONE:
                continue
            bucket = key >> shift
            for gram in range(firsts[bucket], firsts[bucket + _ONE]):
                begin = starts[k - size + 1]
                if hashes[gram] == key and _same(folded, begin, stops[k], grams, begins[gram], ends[gram]):
                    if count < room:
                        out_row[count], out_gram[count] = row, gram
                        out_from[count], out_to[count] = froms[k - size + 1] - offsets[row], tos[k] - offsets[row]
                    count += 1
    return count
