"""Lines of UTF-8 without the blanks around them, by kernels over their bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from corpus.kernel import kernel, load_lane, trailing_zeros

_IN = types.Array(types.uint8, 1, "C", readonly=True)
_OUT = types.Array(types.uint8, 1, "C")
_ONES, _HIGH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_FEEDS, _RETURNS = np.uint64(0x0A) * _ONES, np.uint64(0x0D) * _ONES


@kernel(types.boolean(types.uint8), forceinline=True)
def _narrow(byte: Any) -> Any:
    """Whether a byte is a blank character by itself."""
    return byte == 0x20 or 0x09 <= byte <= 0x0D or 0x1C <= byte <= 0x1F


@kernel(types.int64(_IN, types.int64, types.int64), forceinline=True)
def _wide(data: Any, at: Any, end: Any) -> Any:
    """Bytes of the blank character of more than one byte at `at`, 0 if there is none before `end`: U+0085, U+00A0, U+1680,
    U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F and U+3000."""
    if at + 2 <= end and data[at] == 0xC2:
        return 2 if data[at + 1] == 0x85 or data[at + 1] == 0xA0 else 0
    if at + 3 > end:
        return 0
    a, b, c = data[at], data[at + 1], data[at + 2]
    if a == 0xE2 and b == 0x80:
        return 3 if 0x80 <= c <= 0x8A or c == 0xA8 or c == 0xA9 or c == 0xAF else 0
    other = (a == 0xE3 and b == 0x80 and c == 0x80) or (a == 0xE1 and b == 0x9A and c == 0x80)
    return 3 if other or (a == 0xE2 and b == 0x81 and c == 0x9F) else 0


@kernel(types.int64(_IN, types.int64, types.int64), forceinline=True)
def _first(data: Any, begin: Any, end: Any) -> Any:
    """Where a stretch begins without its blanks in front."""
    while begin < end:
        size = 1 if _narrow(data[begin]) else _wide(data, begin, end)
        if size == 0:
            break
        begin += size
    return begin


@kernel(types.int64(_IN, types.int64, types.int64), forceinline=True)
def _last(data: Any, begin: Any, end: Any) -> Any:
    """Where a stretch ends without its blanks behind."""
    while begin < end:
        if _narrow(data[end - 1]):
            end -= 1
        elif data[end - 1] < 0x80:
            break
        elif end - 2 >= begin and _wide(data, end - 2, end) == 2:
            end -= 2
        elif end - 3 >= begin and _wide(data, end - 3, end) == 3:
            end -= 3
        else:
            break
    return end


@kernel(types.int64(_IN, types.int64), forceinline=True)
def _line_end(data: Any, at: Any) -> Any:
    """The first LF or CR from `at` on, or the end."""
    while at + 8 <= data.size:
        value = load_lane(data, at)
        feeds, returns = value ^ _FEEDS, value ^ _RETURNS
        found = ((feeds - _ONES) & ~feeds | (returns - _ONES) & ~returns) & _HIGH  # the lowest bit is right
        if found != 0:
            return at + np.int64(trailing_zeros(found) >> np.uint64(3))
        at += 8
    while at < data.size and data[at] != 0x0A and data[at] != 0x0D:
        at += 1
    return at


@kernel(types.int64(_IN))
def _stripped(data: Any) -> Any:
    """How many bytes from the beginning on are lines that need no change; where the first other begins."""
    at = 0
    while True:
        end = _line_end(data, at)
        if _first(data, at, end) != at or _last(data, at, end) != end:
            return at
        if end == data.size:
            return end
        if data[end] == 0x0D:
            return at
        at = end + 1


@kernel(types.int64(_IN, types.int64, _OUT))
def _strip(data: Any, at: Any, out: Any) -> Any:
    """Write the lines from `at` on without blanks around them; how many bytes they are. CR and CR LF become LF."""
    written = 0
    while True:
        end = _line_end(data, at)
        first = _first(data, at, end)
        last = _last(data, first, end)
        out[written : written + last - first] = data[first:last]
        written += last - first
        if end == data.size:
            return written
        out[written] = 0x0A
        written += 1
        at = end + 2 if data[end] == 0x0D and end + 1 < data.size and data[end + 1] == 0x0A else end + 1


def stripped_lines(data: bytes) -> str:
    """The text of some UTF-8, each of its lines without blanks at its ends (those of `str.strip`), line ends of any kind
    as LF. Raises UnicodeDecodeError if it is no UTF-8: what is taken away are whole characters."""
    buffer = np.frombuffer(data, dtype=np.uint8)
    same = _stripped(buffer)
    if same == len(data):
        return data.decode("utf-8")
    out = np.empty(len(data) - same, dtype=np.uint8)
    return (data[:same] + out[: _strip(buffer, same, out)].tobytes()).decode("utf-8")
