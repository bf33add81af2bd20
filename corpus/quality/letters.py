"""Letters of texts and their case, as Python's `str.isalpha`, `isupper` and `islower` see them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numba as nb
import numpy as np

from corpus.data.buffers import Array
from corpus.kernel import kernel

WITHOUT, ORDINARY, CAPITALS = 0, 1, 2
"""What the letters of a text are: none, ordinary, more than half of them in upper case."""
_UNDECIDED = 255
_LETTER, _UPPER = 1, 2
_TABLED = 0x20000
"""Code points below have their kinds in a table; others, most of them letters without case, are looked at by Python."""
_U8 = nb.types.Array(nb.uint8, 1, "C", readonly=True)
_I64 = nb.types.Array(nb.int64, 1, "C", readonly=True)
_KINDS = nb.types.Array(nb.uint8, 1, "C", readonly=True)


def cases(data: Array[np.uint8], bounds: Array[np.int64]) -> Array[np.uint8]:
    """uint8[n]: `WITHOUT`, `ORDINARY` or `CAPITALS` for each of the UTF-8 texts between `bounds` (int64[n + 1])."""
    found = np.empty(len(bounds) - 1, dtype=np.uint8)
    judge_quickly(_frozen(data), _frozen(bounds), found)
    left = np.flatnonzero(found == _UNDECIDED)
    if len(left):
        counts = count_letters(data, bounds[left], bounds[left + 1])
        letters, upper = counts.T
        found[left] = np.where(2 * upper > letters, CAPITALS, np.where(letters > 0, ORDINARY, WITHOUT))
    return found


def count_letters(data: Array[np.uint8], starts: Array[np.int64], ends: Array[np.int64]) -> Array[np.int64]:
    """int64[n, 2]: the letters, and those in upper case, of each of some UTF-8 texts."""
    counts, beyond = np.zeros((len(starts), 2), dtype=np.int64), np.zeros(len(starts), dtype=np.uint8)
    count_kinds(_frozen(data), _frozen(starts), _frozen(ends), _kinds(), counts, beyond)
    for text in np.flatnonzero(beyond).tolist():
        characters = data[starts[text] : ends[text]].tobytes().decode("utf-8", "replace")
        rare = [char for char in characters if ord(char) >= _TABLED]
        counts[text] += sum(map(str.isalpha, rare)), sum(char.isalpha() and char.isupper() for char in rare)
    return counts


@cache
def _kinds() -> Array[np.uint8]:
    """uint8[_TABLED]: 0, `_LETTER`, or `_LETTER` and `_UPPER` for each code point."""
    characters = map(chr, range(_TABLED))
    kinds = [(_LETTER | c.isupper() * _UPPER) if c.isalpha() else 0 for c in characters]
    return _frozen(np.array(kinds, dtype=np.uint8))


def _frozen(array: Array[Any]) -> Array[Any]:
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


@kernel(nb.void(_U8, _I64, nb.uint8[::1]))
def judge_quickly(data: Any, bounds: Any, found: Any) -> None:
    """Judge the texts whose ASCII letters decide it; others are `_UNDECIDED`."""
    for text in range(bounds.size - 1):
        lower = upper = wide = np.int64(0)
        for at in range(np.uint64(bounds[text]), np.uint64(bounds[text + 1])):
            byte = data[at]
            lower += np.int64(np.uint8(byte - 97) < 26)
            upper += np.int64(np.uint8(byte - 65) < 26)
            wide += np.int64(byte >= 128)
        # a letter outside of ASCII has two bytes at least
        if lower > 0 and lower >= upper + wide // 2:
            found[text] = ORDINARY
        elif wide == 0:
            found[text] = CAPITALS if upper > lower else WITHOUT
        else:
            found[text] = _UNDECIDED


@kernel(nb.void(_U8, _I64, _I64, _KINDS, nb.int64[:, ::1], nb.uint8[::1]))
def count_kinds(data: Any, starts: Any, ends: Any, kinds: Any, counts: Any, beyond: Any) -> None:
    """Count the characters of each kind; `beyond` gets 1 where some are not in the table."""
    for text in range(starts.size):
        at, end = np.uint64(starts[text]), np.uint64(ends[text])
        letters = upper = np.int64(0)
        while at < end:
            first = np.uint64(data[at])
            point, size = first, np.uint64(1)
            if first >= 0xC0:
                size = np.uint64(2) + np.uint64(first >= 0xE0) + np.uint64(first >= 0xF0)
                point = first & (np.uint64(0x7F) >> size)
                for step in range(np.uint64(1), min(size, end - at)):
                    point = (point << np.uint64(6)) | np.uint64(data[at + step] & 0x3F)
            at += size
            if point >= _TABLED:
                beyond[text] = 1
                continue
            kind = np.int64(kinds[point])
            letters += kind & 1
            upper += kind >> 1
        counts[text, 0], counts[text, 1] = letters, upper
