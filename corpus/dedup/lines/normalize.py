"""Normalised 64- or 128-bit keys of lines, straight from UTF-8 buffers.

`ccnet` is CCNet's `normalize_for_dedup` (arXiv 1911.00359, `cc_net/text_normalizer.py`): strip, lower, every decimal
digit of any script to `0`, then delete 34 punctuation marks and the control characters. White space, case and digits
are those of Python's `str.strip`, `str.lower` (with its final sigma and its two-character `İ`) and `\\d`; the tables
are read from the running interpreter. `lower` is C4's (`c4_utils.py`): strip and lower. `exact` takes the bytes as they are.

CCNet's key is the first 8 bytes of SHA-1. Which lines stay depends on equality alone, so any function that keeps
different lines apart gives the same result; ours is XXH64's round on 8-byte lanes (Collet, XXH64), seeded, which is
computed while normalising, many times faster. Expected false merges among n distinct lines: n² / 2⁶⁵ for either; with
a second word of another seed and factor, n² / 2¹²⁹.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import types

from corpus.data.buffers import Array, count_breaks
from corpus.kernel import kernel

U8 = types.Array(types.uint8, 1, "C", readonly=True)
I32 = types.Array(types.int32, 1, "C", readonly=True)
I64 = types.Array(types.int64, 1, "C", readonly=True)
KEYS = types.uint64[:, ::1]

CCNET_DELETED = "，。、„”“«»１」「《》´∶：？！（）；–—．～’…━〈〉【】％►"
"""The punctuation that CCNet deletes. The full-width one is in its list by mistake; it is a digit before it is looked up."""

BLANK = 0
"""The key of a line of white space alone, unless blank lines are keys."""
REPEATED = 1
"""What `repeats_in_document` puts in place of the key of a line that occurred before in its document."""

TABLE_SIZE = 0x20000
"""From here on no character has case, is a digit or white space (a test proves it); 337 are ignored beside a sigma."""
_CODE = 0x1FFFFF
_DELETED = 0x1FFFFF
_SIGMA = 0x1FFFFE
_DOTTED = 0x1FFFFD
_SPACE = 1 << 24
_CASED = 1
_IGNORABLE = 2

_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_P4 = np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)
_SALTS = ((np.uint64(0x636F727075736D6C), _P2), (np.uint64(0x6D696C6C636F7270), _P5))
_B0, _ONE, _B2, _B3, _B4, _B5, _B6, _B7, _B8, _B12 = (np.uint64(n) for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 12))
_B16, _B18, _B24, _B27, _B29, _B31, _B32 = (np.uint64(n) for n in (16, 18, 24, 27, 29, 31, 32))
_B33, _B37, _B56, _B63, _B64 = (np.uint64(n) for n in (33, 37, 56, 63, 64))
_EACH = np.uint64(0x0101010101010101)
_HIGH = np.uint64(0x8080808080808080)
_LAST = np.uint64(0x8000000000000000)


@functools.cache
def folding(name: str) -> Array[np.int32]:
    """int32[TABLE_SIZE]: what becomes of a code point under `ccnet`, `lower` or `exact`.

    The low 21 bits are the code point to write or a marker (deleted, capital sigma, dotted capital i); one bit says
    that it is white space. So a value below 128 is the plainest case: one ASCII byte, no white space.
    """
    table = np.arange(TABLE_SIZE, dtype=np.int32)
    for code in _characters():
        char = chr(code)
        value = _ccnet(char) if name == "ccnet" else _lower(char) if name == "lower" else code
        table[code] = value | (0 if char.strip() else _SPACE)
    table.flags.writeable = False
    return table


@functools.cache
def sigma_classes() -> Array[np.uint8]:
    """uint8[TABLE_SIZE]: what `str.lower` takes a character for beside a capital sigma: a letter, or to be ignored."""
    table = np.zeros(TABLE_SIZE, dtype=np.uint8)
    for code in _characters():
        if (chr(code) + "Σ").lower()[-1] == "ς":
            table[code] = _CASED
        elif ("A" + chr(code) + "Σ").lower()[-1] == "ς":
            table[code] = _IGNORABLE
    table.flags.writeable = False
    return table


def _characters() -> list[int]:
    return [*range(0xD800), *range(0xE000, TABLE_SIZE)]


def _lower(char: str) -> int:
    """The marker or code point for one character in lower case."""
    if char == "Σ":
        return _SIGMA
    lower = char.lower()
    if len(lower) > 1:
        assert char == "İ", "only the dotted capital i is longer in lower case"
        return _DOTTED
    return ord(lower)


def _ccnet(char: str) -> int:
    """The marker or code point for one character, as CCNet has it."""
    code = _lower(char)
    if code in (_SIGMA, _DOTTED):
        return code
    lower = chr(code)
    if lower.isdecimal():
        return ord("0")
    if lower in CCNET_DELETED or code < 32 or 127 <= code < 160:
        return _DELETED
    return code


@kernel("uint64(uint64,uint64,uint64)")
def _round(state: Any, lane: Any, factor: Any) -> Any:
    lane = lane * factor
    state = state ^ (((lane << _B31) | (lane >> _B33)) * _P1)
    return ((state << _B27) | (state >> _B37)) * _P1 + _P4


@kernel("uint64(uint64,uint64,uint64,uint64)")
def _final(state: Any, lane: Any, shift: Any, factor: Any) -> Any:
    """Mix the last lane, closed by a one bit, and spread it; never `BLANK` or `REPEATED`."""
    state = _round(state, lane | (_ONE << shift), factor)
    state = (state ^ (state >> _B33)) * _P2
    state = (state ^ (state >> _B29)) * _P3
    state = state ^ (state >> _B32)
    return state if state > _ONE else state + np.uint64(2)


@kernel("UniTuple(uint64,3)(uint64,uint64,uint64,uint64,uint64)")
def _push(state: Any, lane: Any, shift: Any, byte: Any, factor: Any) -> Any:
    lane = lane | (byte << shift)
    shift = shift + _B8
    if shift == _B64:
        return _round(state, lane, factor), _B0, _B0
    return state, lane, shift


@kernel(types.UniTuple(types.int64, 2)(U8, types.int64, types.int64))
def _decode(data: Any, at: Any, end: Any) -> Any:
    """Code point and size at `at`; a sequence cut short is one byte, which no table changes."""
    lead = np.int64(data[at])
    if lead < 0x80:
        return lead, np.int64(1)
    if lead < 0xE0 and at + 2 <= end:
        return (lead & 31) << 6 | (np.int64(data[at + 1]) & 63), np.int64(2)
    if lead < 0xF0 and at + 3 <= end:
        return (lead & 15) << 12 | (np.int64(data[at + 1]) & 63) << 6 | (np.int64(data[at + 2]) & 63), np.int64(3)
    if at + 4 <= end:
        high = (lead & 7) << 18 | (np.int64(data[at + 1]) & 63) << 12
        return high | (np.int64(data[at + 2]) & 63) << 6 | (np.int64(data[at + 3]) & 63), np.int64(4)
    return np.int64(_CODE), np.int64(1)


@kernel(types.int64(U8, types.int64))
def _class(classes: Any, code: Any) -> Any:
    """_CASED, _IGNORABLE or 0 for a neighbour of a capital sigma."""
    if code < TABLE_SIZE:
        return np.int64(classes[code])
    tags = code == 0xE0001 or 0xE0020 <= code <= 0xE007F or 0xE0100 <= code <= 0xE01EF
    return np.int64(_IGNORABLE) if tags else np.int64(0)


@kernel(types.boolean(U8, U8, types.int64, types.int64, types.int64))
def _is_final_sigma(data: Any, classes: Any, start: Any, at: Any, end: Any) -> Any:
    """Unicode's Final_Sigma as `str.lower` has it: a cased letter before, none after, ignorable ones looked past."""
    i = at
    found = np.int64(0)
    while i > start:
        i -= 1
        while i > start and data[i] & 0xC0 == 0x80:
            i -= 1
        found = _class(classes, _decode(data, i, at)[0])
        if found != _IGNORABLE:
            break
    if found != _CASED:
        return False
    i = at + 2
    while i < end and data[i] != 10:
        code, size = _decode(data, i, end)
        found = _class(classes, code)
        if found != _IGNORABLE:
            return found != _CASED
        i += size
    return True


def count_lines(data: Array[np.uint8], offsets: Array[np.int64]) -> int:
    """Lines of all texts: one more per text than it has line feeds."""
    return count_breaks(data[offsets[0] : offsets[-1]]) + len(offsets) - 1


@kernel(types.uint64(U8, types.int64))
def _load8(data: Any, at: Any) -> Any:
    """Eight bytes, the first one lowest; the compiler makes one load of it."""
    i = np.uint64(at)
    low = np.uint64(data[i]) | np.uint64(data[i + _ONE]) << _B8
    low = low | np.uint64(data[i + _B2]) << _B16 | np.uint64(data[i + _B3]) << _B24
    high = np.uint64(data[i + _B4]) | np.uint64(data[i + _B5]) << _B8
    high = high | np.uint64(data[i + _B6]) << _B16 | np.uint64(data[i + _B7]) << _B24
    return low | high << _B32


@kernel("UniTuple(uint64,2)(uint64)")
def _fold8(word: Any) -> Any:
    """CCNet's folding of up to eight ASCII bytes at once: the folded bytes and how many they are.

    It stops before the first byte that is no printable ASCII character, and before white space that is not followed by
    another character among the eight (it may end the line).
    """
    ascii_ = word & ~_HIGH
    bad = word | (ascii_ + _ONE * _EACH) | ~(ascii_ + np.uint64(0x60) * _EACH)
    space = ~(ascii_ ^ (np.uint64(0x20) * _EACH)) & ~_HIGH
    space = space + _EACH
    stop = (bad | (space & ((space | bad) >> _B8 | _LAST))) & _HIGH
    below = ((stop & (~stop + _ONE)) >> _B7) - _ONE
    upper = (ascii_ + np.uint64(0x80 - 0x41) * _EACH) & ~(ascii_ + np.uint64(0x80 - 0x5B) * _EACH) & _HIGH
    digit = (ascii_ + np.uint64(0x80 - 0x30) * _EACH) & ~(ascii_ + np.uint64(0x80 - 0x3A) * _EACH) & _HIGH
    folded = (ascii_ | upper >> _B2) & ~((digit >> _B7) * np.uint64(15))
    return folded & below, ((below & _EACH) * _EACH) >> _B56


@kernel("UniTuple(uint64,3)(uint64,uint64,uint64,uint64,uint64,uint64)")
def _push8(state: Any, lane: Any, shift: Any, word: Any, size: Any, factor: Any) -> Any:
    """Add the lowest `size` bytes of `word`, 1 to 8; the others are 0."""
    lane = lane | (word << shift)
    if shift + (size << _B3) >= _B64:
        state = _round(state, lane, factor)
        lane = (word >> _ONE) >> (_B63 - shift)
    return state, lane, (shift + (size << _B3)) & _B63


@kernel("UniTuple(uint64,2)(int64)")
def _encode(folded: Any) -> Any:
    """The UTF-8 bytes of a code point or of what a marker but the sigma stands for, the first lowest; and their number."""
    if folded < 0x80:
        return np.uint64(folded), _ONE
    if folded == _DELETED:
        return _B0, _B0
    if folded == _DOTTED:
        return np.uint64(0x87CC69), _B3
    code = np.uint64(folded)
    last = np.uint64(0x80) | (code & _B63)
    if folded < 0x800:
        return np.uint64(0xC0) | code >> _B6 | last << _B8, _B2
    middle = np.uint64(0x80) | (code >> _B6 & _B63)
    if folded < 0x10000:
        return np.uint64(0xE0) | code >> _B12 | middle << _B8 | last << _B16, _B3
    high = np.uint64(0x80) | (code >> _B12 & _B63)
    return np.uint64(0xF0) | code >> _B18 | high << _B8 | middle << _B16 | last << _B24, _B4


@kernel(
    types.Tuple((types.uint64, types.int64, types.boolean))(
        U8, types.int64, types.int64, I32, U8, types.boolean, types.boolean, types.uint64, types.uint64
    ),
)
def _hash_line(
    data: Any, start: Any, end: Any, table: Any, classes: Any, strip: bool, eight: bool, seed: Any, factor: Any
) -> Any:
    """Key of the line at `start` of a text that ends at `end`, where it ends, and whether it has more than white space.

    White space may be the end of the line: the state before it is kept, and taken back if it was.
    """
    state = saved_state = seed
    lane = shift = saved_lane = saved_shift = _B0
    seen = in_space = False
    i = start
    while i < end and data[i] != 10:
        if eight and seen and i + 8 <= end:
            word, size8 = _fold8(_load8(data, i))
            if size8:
                state, lane, shift = _push8(state, lane, shift, word, size8, factor)
                in_space = False
                i += np.int64(size8)
                continue
        folded = np.int64(table[data[i]])
        if folded < 0x80:
            seen, in_space = True, False
            state, lane, shift = _push(state, lane, shift, np.uint64(folded), factor)
            i += 1
            continue
        code, size = _decode(data, i, end)
        folded = np.int64(table[code]) if code < TABLE_SIZE else np.int64(code)
        if not folded & _SPACE:
            seen, in_space = True, False
        elif strip and not seen:
            i += size
            continue
        elif not in_space:
            saved_state, saved_lane, saved_shift, in_space = state, lane, shift, True
        out = folded & _CODE
        if out == _SIGMA:
            out = np.int64(0x3C2 if _is_final_sigma(data, classes, start, i, end) else 0x3C3)
        word, size8 = _encode(out)
        if size8:
            state, lane, shift = _push8(state, lane, shift, word, size8, factor)
        i += size
    if strip and in_space:
        state, lane, shift = saved_state, saved_lane, saved_shift
    return _final(state, lane, shift, factor), i, seen


@kernel(types.void(U8, I64, I32, U8, types.boolean, types.boolean, KEYS, types.int64[::1]))
def hash_lines(
    data: Any, offsets: Any, table: Any, classes: Any, strip: bool, blank_is_key: bool, keys: Any, first_line: Any
) -> None:
    """The key of each line of each text, in order.

    data: the UTF-8 bytes; offsets: int64[n + 1] bounds of the texts; table: `folding(name)`; classes:
    `sigma_classes()`; strip: whether white space at both ends of a line counts for nothing; keys: uint64[lines, words],
    written, one or two words for 64 or 128 bits; first_line: int64[n + 1], written: where the lines of each text begin.
    A blank line has the key `BLANK`, or that of the empty line if `blank_is_key`.
    """
    line = np.int64(0)
    eight = strip and table[0x41] == 0x61 and table[0x31] == 0x30
    for text in range(offsets.size - 1):
        first_line[text] = line
        i, end = offsets[text], offsets[text + 1]
        while i <= end:
            start = i
            for word in range(keys.shape[1]):
                seed, factor = _SALTS[word]
                key, i, seen = _hash_line(data, start, end, table, classes, strip, eight, seed, factor)
                keys[line, word] = key if seen or blank_is_key else np.uint64(BLANK)
            line += 1
            i += 1
    first_line[offsets.size - 1] = line


@kernel(types.boolean(KEYS, types.int64, types.int64))
def _equal(keys: Any, one: Any, other: Any) -> Any:
    return keys[one, 0] == keys[other, 0] and keys[one, -1] == keys[other, -1]


@kernel(types.void(KEYS, I64))
def repeats_in_document(keys: Any, first_line: Any) -> None:
    """Replace the key of every line whose key occurred earlier in its document by `REPEATED`; blank lines are left.

    keys: uint64[lines, words], changed; first_line: int64[documents + 1], where each document's lines begin.
    """
    most = np.int64(1)
    for document in range(first_line.size - 1):
        most = max(most, first_line[document + 1] - first_line[document])
    size = np.int64(2)
    while size < 2 * most:
        size *= 2
    slots = np.empty(size, dtype=np.int64)
    for document in range(first_line.size - 1):
        begin, end = first_line[document], first_line[document + 1]
        size = np.int64(2)
        while size < 2 * (end - begin):
            size *= 2
        slots[:size] = -1
        mask = np.uint64(size - 1)
        for line in range(begin, end):
            key = keys[line, 0]
            if key == np.uint64(BLANK):
                continue
            slot = key & mask
            while slots[slot] >= 0 and not _equal(keys, slots[slot], line):
                slot = (slot + np.uint64(1)) & mask
            if slots[slot] >= 0:
                keys[line, :] = np.uint64(REPEATED)
            else:
                slots[slot] = line
