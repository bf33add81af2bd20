"""E-mail addresses, IP addresses and telephone numbers in texts, found and masked (see `rules/pii.py` for what they are)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numba import types

from corpus.data.buffers import Array, text_buffers, text_column
from corpus.kernel import kernel
from corpus.quality.characters import ALPHANUMERIC, character_table
from corpus.quality.cut import I64, U8

EMAIL, IP, PHONE = 0, 1, 2
_LOCAL, _DOMAIN, _DIGIT, _HEX, _LETTER, _CANDIDATE = 1, 2, 4, 8, 16, 32
_AT, _DOT, _HYPHEN, _COLON, _PLUS, _OPEN, _CLOSE, _SPACE = (ord(char) for char in "@.-:+() ")
_NUMBERED = ("version", "ver", "section", "sections", "release", "chapter", "clause", "build")
_NUMBERED_TEXT = np.frombuffer("".join(_NUMBERED).encode(), dtype=np.uint8)
_NUMBERED_BOUNDS = np.cumsum([0, *map(len, _NUMBERED)], dtype=np.int64)


def _kinds() -> Array[np.uint8]:
    """uint8[256]: what an ASCII byte can be part of, and at which ones one has to look."""
    kinds = np.zeros(256, dtype=np.uint8)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for bit, characters in (
        (_LOCAL, letters + "0123456789!#$%&'*+/=?^_`{|}~.-"),
        (_DOMAIN, letters + "0123456789-"),
        (_DIGIT, "0123456789"),
        (_HEX, "0123456789abcdefABCDEF"),
        (_LETTER, letters),
        (_CANDIDATE, "@+(:0123456789"),
    ):
        kinds[[ord(char) for char in characters]] |= bit
    kinds.flags.writeable = False
    return kinds


_KINDS = _kinds()


@dataclass(frozen=True)
class Masked:
    """Texts with masks."""

    text: pa.Array
    """large_string"""
    found: Array[np.int64]
    """int64[3, texts]: e-mail addresses, IP addresses, telephone numbers."""


def mask_texts(text: pa.Array, masks: tuple[str, str, str], private: bool) -> Masked:
    """Put `masks` where addresses and numbers are; `private`: IP addresses of private and reserved networks too."""
    data, bounds = text_buffers(text)
    shown = [np.frombuffer(mask.encode("utf-8"), dtype=np.uint8) for mask in masks]
    longest = max(map(len, shown))
    size = int(bounds[-1] - bounds[0])
    out = np.empty(size + (size // 5 + 1) * longest, dtype=np.uint8)  # the shortest that is masked has five bytes
    ends = np.zeros(len(bounds), dtype=np.int64)
    found = np.zeros((3, len(bounds) - 1), dtype=np.int64)
    mask_bounds = np.cumsum([0, *map(len, shown)], dtype=np.int64)
    _mask(data, bounds, _KINDS, character_table(), np.concatenate(shown), mask_bounds, private, out, ends, found)
    return Masked(text_column(out, ends), found)


@kernel(types.boolean(U8, types.int64, types.int64, types.int64, U8))
def _joined(data: Any, begin: Any, at: Any, end: Any, table: Any) -> Any:
    """Whether the character whose first byte is at `at` is a letter or number; false outside `begin:end`."""
    if at < begin or at >= end:
        return False
    code = np.int64(data[at])
    if code >= 0xC0:
        size = 2 if code < 0xE0 else (3 if code < 0xF0 else 4)
        code &= 0x1F if size == 2 else (0x0F if size == 3 else 0x07)
        for i in range(1, size):
            if at + i < end:
                code = (code << 6) | (np.int64(data[at + i]) & 0x3F)
    return code < table.size and (table[code] & ALPHANUMERIC) != 0


@kernel(types.boolean(U8, types.int64, types.int64, types.int64, U8))
def _joined_before(data: Any, begin: Any, at: Any, end: Any, table: Any) -> Any:
    """Whether the character before `at` is a letter or number."""
    at -= 1
    while at > begin and (data[at] & 0xC0) == 0x80:
        at -= 1
    return _joined(data, begin, at, end, table)


@kernel(types.UniTuple(types.int64, 2)(U8, types.int64, types.int64, types.int64, U8))
def _email(data: Any, begin: Any, at: Any, end: Any, kinds: Any) -> Any:
    """Where the address around the `@` at `at` begins and ends; `begin` is where the search may begin; equal: none."""
    first = at
    while first > begin and kinds[data[first - 1]] & _LOCAL:
        first -= 1
    while first < at and not kinds[data[first]] & (_LETTER | _DIGIT):
        first += 1
    if first == at or data[at - 1] == _DOT:
        return at, at
    last, label, place = at, at + 1, at + 1
    while True:
        while place < end and kinds[data[place]] & _DOMAIN:
            place += 1
        if place == label or data[label] == _HYPHEN:
            break
        stop = place
        while stop > label and data[stop - 1] == _HYPHEN:
            stop -= 1
        letters = np.int64(0)
        for i in range(label, stop):
            letters += (kinds[data[i]] & _LETTER) != 0
        if label > at + 1 and stop - label >= 2 and letters == stop - label:
            last = stop
        if stop < place or place == end or data[place] != _DOT:
            break
        place += 1
        label = place
    return (first, last) if last > at else (at, at)


@kernel(types.boolean(U8, types.int64, types.int64, U8))
def _numbered(data: Any, begin: Any, at: Any, kinds: Any) -> Any:
    """Whether the word before `at` says that a number of a version or section follows."""
    while at > begin and (data[at - 1] == _SPACE or data[at - 1] == _DOT):
        at -= 1
    first = at
    while first > begin and kinds[data[first - 1]] & _LETTER:
        first -= 1
    for word in range(_NUMBERED_BOUNDS.size - 1):
        low, high = _NUMBERED_BOUNDS[word], _NUMBERED_BOUNDS[word + 1]
        if high - low != at - first:
            continue
        equal = True
        for i in range(high - low):
            equal &= (data[first + i] | 0x20) == _NUMBERED_TEXT[low + i]
        if equal:
            return True
    return False


@kernel(types.int64(U8, types.int64, types.int64, U8, types.boolean))
def _ipv4(data: Any, at: Any, end: Any, kinds: Any, private: Any) -> Any:
    """Where an address of four numbers that begins at `at` ends; `at`: none."""
    begin, parts, network, second = at, np.int64(0), np.int64(0), np.int64(0)
    while True:
        number, first = np.int64(0), at
        while at < end and kinds[data[at]] & _DIGIT and at - first < 4:
            number = number * 10 + data[at] - 48
            at += 1
        if at == first or at - first > 3 or number > 255 or (at - first > 1 and data[first] == 48):
            return begin
        if parts == 0:
            network = number
        elif parts == 1:
            second = number
        parts += 1
        if parts == 4:
            break
        if at == end or data[at] != _DOT:
            return begin
        at += 1
    if at + 1 < end and data[at] == _DOT and kinds[data[at + 1]] & _DIGIT:
        return begin
    reserved = network == 0 or network == 10 or network == 127 or network >= 224
    reserved |= (network == 100 and 64 <= second <= 127) or (network == 169 and second == 254)
    reserved |= (network == 172 and 16 <= second <= 31) or (network == 192 and second == 168)
    return begin if reserved and not private else at


@kernel(types.int64(U8, types.int64, types.int64, U8))
def _ipv6(data: Any, at: Any, end: Any, kinds: Any) -> Any:
    """Where an address of eight groups, or of three and more with `::`, that begins at `at` ends; `at`: none."""
    begin, groups, gap = at, np.int64(0), False
    if at + 1 < end and data[at] == _COLON and data[at + 1] == _COLON:
        gap = True
        at += 2
    while True:
        first = at
        while at < end and kinds[data[at]] & _HEX and at - first < 5:
            at += 1
        if at - first > 4:
            return begin
        groups += at > first
        if at == first or at + 1 >= end or data[at] != _COLON:
            break
        if data[at + 1] == _COLON:
            if gap:
                return begin
            gap = True
            at += 2
        elif kinds[data[at + 1]] & _HEX:
            at += 1
        else:
            break
    return at if (groups == 8 and not gap) or (gap and 3 <= groups <= 7) else begin


@kernel(types.int64(U8, types.int64, types.int64, U8))
def _phone(data: Any, at: Any, end: Any, kinds: Any) -> Any:
    """Where a telephone number that begins at `at` ends; `at`: none. `+` and 8 to 15 digits with single blanks, dots,
    hyphens or brackets between; or three, three and four digits with dots, hyphens or a bracket."""
    begin = at
    if data[at] == _PLUS:
        digits, last = np.int64(0), at
        at += 1
        while at < end and digits < 16:
            if kinds[data[at]] & _DIGIT:
                digits += 1
                last = at + 1
            elif at - last > 2 or not (
                data[at] == _SPACE or data[at] == _DOT or data[at] == _HYPHEN or data[at] == _OPEN or data[at] == _CLOSE
            ):
                break
            at += 1
        return last if 8 <= digits <= 15 and kinds[data[begin + 1]] & _DIGIT else begin
    bracket = data[at] == _OPEN
    at += bracket
    for size in (3, 3, 4):
        for _ in range(size):
            if at >= end or not kinds[data[at]] & _DIGIT:
                return begin
            at += 1
        if size == 4:
            break
        if bracket:
            if at >= end or data[at] != _CLOSE:
                return begin
            at += 1
            at += at < end and data[at] == _SPACE
            bracket = False
            continue
        if at >= end or not (data[at] == _DOT or data[at] == _HYPHEN or (data[at] == _SPACE and data[begin] == _OPEN)):
            return begin
        at += 1
    return at


@kernel(
    types.void(
        U8, I64, U8, U8, U8, I64, types.boolean, types.uint8[::1], types.int64[::1], types.int64[:, ::1]
    )
)  # fmt: skip
def _mask(
    data: Any, bounds: Any, kinds: Any, table: Any, masks: Any, mask_bounds: Any, private: Any, out: Any, ends: Any,
    found: Any,
) -> None:  # fmt: skip
    """Write the masked texts to `out` up to `ends[text + 1]`, and count in `found`."""
    to = np.int64(0)
    for text in range(bounds.size - 1):
        begin, end = bounds[text], bounds[text + 1]
        at, written = begin, begin
        while at < end:
            if not kinds[data[at]] & _CANDIDATE:
                at += 1
                continue
            first, last, kind = at, at, np.int64(-1)
            if data[at] == _AT:
                first, last = _email(data, written, at, end, kinds)
                kind = np.int64(EMAIL)
            elif at > begin and (_joined_before(data, begin, at, end, table) or data[at - 1] == _COLON):
                at += 1
                continue
            else:
                if kinds[data[at]] & _DIGIT and not (at > begin and data[at - 1] == _DOT):
                    last = _ipv4(data, at, end, kinds, private)
                    if last > at and _numbered(data, begin, at, kinds):
                        last = at
                if last == at and data[at] != _PLUS and data[at] != _OPEN:
                    last = _ipv6(data, at, end, kinds)
                kind = np.int64(IP)
                if last == at and data[at] != _COLON:
                    last = _phone(data, at, end, kinds)
                    kind = np.int64(PHONE)
                if last > at and _joined(data, begin, last, end, table):
                    last = at
            if last == first:
                at += 1
                continue
            for i in range(written, first):
                out[to] = data[i]
                to += 1
            for i in range(mask_bounds[kind], mask_bounds[kind + 1]):
                out[to] = masks[i]
                to += 1
            found[kind, text] += 1
            at, written = last, last
        for i in range(written, end):
            out[to] = data[i]
            to += 1
        ends[text + 1] = to
