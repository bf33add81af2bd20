"""Texts cut into lines and words, once for all rules of a chain: arrays of positions and numbers, no Python strings.

A word is what `str.split` gives: characters between white space (`str.isspace`). In texts of languages without blanks
between words (`UNSPACED_LANGUAGES`) each ideograph, kana or letter of their scripts is a word of its own, with the marks and
punctuation that follow it, and what is between such words is one. A line is what is between line feeds
and is not all white space. Equal words of a text have equal numbers: a word of up to seven bytes is its own key, a
longer one is found by a hash and compared byte by byte, so that no collision can decide anything.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import types

from corpus.data.buffers import Array, count_breaks, text_buffers
from corpus.kernel import kernel, load_lane
from corpus.quality.characters import ALPHANUMERIC, UNSPACED, character_table

U8 = types.Array(types.uint8, 1, "C", readonly=True)
I64 = types.Array(types.int64, 1, "C", readonly=True)
_I64 = types.int64[::1]
_I32 = types.int32[::1]
_U64 = types.uint64[::1]

_PLAIN, _CONTINUATION, _LEAD, _BLANK, _FEED, _MAYBE = range(6)
_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_B7, _B29, _B32, _B56 = np.uint64(7), np.uint64(29), np.uint64(32), np.uint64(56)
_ABOVE_BLANK = np.uint64(0x2121212121212121)
_HIGH = np.uint64(0x8080808080808080)
_BYTE_OF = np.uint64(0x0001020304050607)
_LONG = np.uint64(0xFF00000000000000)
_ONE = np.uint64(1)
_FIRST_SLOTS = 1024

UNSPACED_LANGUAGES = ("ja", "km", "lo", "my", "th", "wuu", "yue", "zh")
"""Languages, as lid.176 calls them, that are written without blanks between words."""


def _kinds() -> Array[np.uint8]:
    """uint8[256]: what a byte can be at a position where a character is read."""
    kinds = np.full(256, _PLAIN, dtype=np.uint8)
    kinds[0x80:0xC0] = _CONTINUATION
    kinds[0xC0:] = _LEAD
    kinds[[0xC2, 0xE1, 0xE2, 0xE3]] = _MAYBE  # leads of characters, some of which are blanks
    for code in range(128):
        if chr(code).isspace():
            kinds[code] = _BLANK
    kinds[10] = _FEED
    kinds.flags.writeable = False
    return kinds


_KINDS = _kinds()


@dataclass(frozen=True)
class Cut:
    """The lines and words of some texts. Of text t: bytes `begins[t]:ends[t]` of `data`, its characters, and the ranges
    `words_from[t]:words_to[t]` and so on in the arrays of words, of its different words, and of lines."""

    data: Array[np.uint8]
    begins: Array[np.int64]
    ends: Array[np.int64]
    characters: Array[np.int64]
    words_from: Array[np.int64]
    words_to: Array[np.int64]
    different_from: Array[np.int64]
    different_to: Array[np.int64]
    lines_from: Array[np.int64]
    lines_to: Array[np.int64]
    ids: Array[np.int32]
    """Of each word its number among the different words of its text, by first occurrence."""
    word_begins: Array[np.int64]
    """Of each different word the first byte of its first occurrence."""
    word_ends: Array[np.int64]
    word_characters: Array[np.int32]
    occurrences: Array[np.int32]
    """How often each different word occurs in its text."""
    keys: Array[np.uint64]
    """Of each different word what `word_key` gives."""
    line_begins: Array[np.int64]
    line_ends: Array[np.int64]
    line_characters: Array[np.int64]
    line_text_begins: Array[np.int64]
    """Where the first word of each line begins."""
    line_text_ends: Array[np.int64]
    """Where the last word of each line ends."""

    unspaced: Array[np.bool_]
    """bool[texts]: whether words were cut as in languages without blanks."""

    def filter(self, stays: Array[np.bool_]) -> Cut:
        """The cut of the texts that stay."""
        by_text = [*[entry.name for entry in fields(self)][1:10], "unspaced"]
        return replace(self, **{name: getattr(self, name)[stays] for name in by_text})

    @property
    def words(self) -> Array[np.int64]:
        """int64[texts]: words."""
        return self.words_to - self.words_from

    @property
    def lines(self) -> Array[np.int64]:
        """int64[texts]: lines."""
        return self.lines_to - self.lines_from


def cut_documents(rows: pa.RecordBatch) -> Cut:
    """Cut the texts of documents, by their languages."""
    text = rows.column("text")
    if "language" not in rows.schema.names:
        return cut_texts(text)
    languages = rows.column("language").cast(pa.string())
    known: Any = pc.is_in(languages, pa.array(UNSPACED_LANGUAGES)).to_numpy(zero_copy_only=False)
    return cut_texts(text, np.asarray(known, dtype=np.bool_))


def cut_texts(text: pa.Array, unspaced: Array[np.bool_] | None = None) -> Cut:
    """Cut a string column; `unspaced` (bool[texts], none by default): which are of languages without blanks."""
    data, bounds = text_buffers(text)
    number = len(bounds) - 1
    if unspaced is None:
        unspaced = np.zeros(number, dtype=np.bool_)
    most = int(bounds[-1] - bounds[0]) // 2 + number
    longest = int((bounds[1:] - bounds[:-1]).max(initial=0))
    slots = np.empty(max(_FIRST_SLOTS, 1 << (2 * longest).bit_length()), dtype=np.int32)
    texts = np.zeros((4, number + 1), dtype=np.int64)
    ids = np.empty(most, dtype=np.int32)
    places = np.empty((2, most), dtype=np.int64)
    sizes = np.empty((2, most), dtype=np.int32)
    keys = np.empty(most, dtype=np.uint64)
    lines = np.empty((5, count_breaks(data[bounds[0] : bounds[-1]]) + number), dtype=np.int64)
    split = unspaced.astype(np.uint8)
    _cut(data, bounds, _KINDS, character_table(), split, slots, texts, ids, places, sizes, keys, lines)
    words, different, kept = (int(texts[row, number]) for row in (1, 2, 3))
    return Cut(
        data=data,
        begins=bounds[:-1],
        ends=bounds[1:],
        characters=texts[0, :-1],
        words_from=texts[1, :-1],
        words_to=texts[1, 1:],
        different_from=texts[2, :-1],
        different_to=texts[2, 1:],
        lines_from=texts[3, :-1],
        lines_to=texts[3, 1:],
        ids=ids[:words],
        word_begins=places[0, :different],
        word_ends=places[1, :different],
        word_characters=sizes[0, :different],
        occurrences=sizes[1, :different],
        keys=keys[:different],
        line_begins=lines[0, :kept],
        line_ends=lines[1, :kept],
        line_characters=lines[2, :kept],
        line_text_begins=lines[3, :kept],
        line_text_ends=lines[4, :kept],
        unspaced=unspaced,
    )


@kernel(types.int64(U8, types.int64, types.int64))
def blank_size(data: Any, at: Any, end: Any) -> Any:
    """The bytes of the white space character beyond ASCII at `at`; 0 where there is none."""
    first = data[at]
    if first == 0xC2:
        return 2 if at + 1 < end and (data[at + 1] == 0x85 or data[at + 1] == 0xA0) else 0
    if at + 2 >= end:
        return 0
    second, third = data[at + 1], data[at + 2]
    if first == 0xE2:
        if second == 0x80:
            return 3 if third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF else 0
        return 3 if second == 0x81 and third == 0x9F else 0
    if first == 0xE1:
        return 3 if second == 0x9A and third == 0x80 else 0
    return 3 if first == 0xE3 and second == 0x80 and third == 0x80 else 0


@kernel(types.uint64(U8, types.int64, types.int64), forceinline=True)
def lane(data: Any, at: Any, end: Any) -> Any:
    """Up to eight bytes from `at`, before `end`, as a number; zero bytes follow."""
    left = end - at
    if at + 8 <= data.size:
        value = load_lane(data, at)
        if left >= 8:
            return value
        return value & ((_ONE << np.uint64(8 * left)) - _ONE)
    value = np.uint64(0)
    for i in range(min(left, 8)):
        value |= np.uint64(data[at + i]) << np.uint64(8 * i)
    return value


@kernel(types.boolean(U8, types.int64, types.int64, types.int64, types.int64))
def same(data: Any, begin: Any, end: Any, other: Any, other_end: Any) -> Any:
    """Whether two stretches are the same bytes."""
    if end - begin != other_end - other:
        return False
    while begin < end:
        if lane(data, begin, end) != lane(data, other, other_end):
            return False
        begin += 8
        other += 8
    return True


@kernel(types.uint64(U8, types.int64, types.int64), forceinline=True)
def word_key(data: Any, begin: Any, end: Any) -> Any:
    """A word of up to seven bytes itself, with its size in the upper byte; of a longer one a hash whose upper byte is 255."""
    size = end - begin
    if size < 8:
        return lane(data, begin, end) | (np.uint64(size) << _B56)
    value = np.uint64(size)
    at = begin
    while at < end:
        value = (value ^ lane(data, at, end)) * _P1
        value ^= value >> _B29
        at += 8
    return value | _LONG


@kernel(types.int64(types.uint64, types.int64), forceinline=True)
def _slot_of(key: Any, table: Any) -> Any:
    return np.int64(((((key ^ (key >> _B29)) * _P1) ^ key) * _P2) >> _B32) & (table - 1)


@kernel(types.void(_I32, types.int64, types.int64, _U64, types.int64))
def _refill(slots: Any, table: Any, count: Any, keys: Any, base: Any) -> None:
    """Put the different words of a text into a table of the first `table` slots."""
    slots[:table] = 0
    for number in range(count):
        slot = _slot_of(keys[base + number], table)
        while slots[slot] != 0:
            slot = (slot + 1) & (table - 1)
        slots[slot] = number + 1


@kernel(types.UniTuple(types.int64, 2)(U8, U8, types.int64, types.int64), forceinline=True)
def _read_word(data: Any, kinds: Any, at: Any, end: Any) -> Any:
    """Where the word that begins at `at` ends, and its characters."""
    characters = np.int64(0)
    while at < end:
        if at + 8 <= data.size:
            value = load_lane(data, at)
            stop = ((value - _ABOVE_BLANK) | value) & _HIGH  # the lowest bit is at the first byte not from 33 to 127
            plain = np.int64(8)
            if stop != 0:
                plain = np.int64((((stop & (~stop + _ONE)) >> _B7) * _BYTE_OF) >> _B56)
            if at + plain >= end:
                return end, characters + end - at
            at += plain
            characters += plain
            if plain == 8:
                continue
        while at < end:  # what is no plain ASCII, up to the next that is
            kind = kinds[data[at]]
            if kind == _PLAIN:
                at += 1
                characters += 1
                break
            if kind in (_BLANK, _FEED) or (kind == _MAYBE and blank_size(data, at, end) > 0):
                return at, characters
            if kind != _CONTINUATION:
                characters += 1
            at += 1
    return end, characters


@kernel(types.UniTuple(types.int64, 2)(U8, types.int64, types.int64))
def _character(data: Any, at: Any, end: Any) -> Any:
    """The code point at `at` and where the next begins; what is cut short is read as zeros."""
    code = np.int64(data[at])
    size = np.int64(1)
    if code >= 0xC0:
        size = np.int64(2) if code < 0xE0 else (np.int64(3) if code < 0xF0 else np.int64(4))
        code &= 0x1F if size == 2 else (0x0F if size == 3 else 0x07)
        for i in range(1, size):
            code = (code << 6) | (np.int64(data[at + i]) & 0x3F if at + i < end else np.int64(0))
    return code, min(at + size, end)


@kernel(types.UniTuple(types.int64, 2)(U8, U8, U8, types.int64, types.int64))
def _read_unspaced(data: Any, table: Any, kinds: Any, at: Any, end: Any) -> Any:
    """`_read_word` in a text of a language without blanks."""
    code, at = _character(data, at, end)
    alone = code < table.size and (table[code] & UNSPACED) != 0
    characters = np.int64(1)
    while at < end:
        kind = kinds[data[at]]
        if kind in (_BLANK, _FEED) or (kind == _MAYBE and blank_size(data, at, end) > 0):
            break
        code, following = _character(data, at, end)
        bits = table[code] if code < table.size else np.uint8(0)
        if bits & UNSPACED or (alone and bits & ALPHANUMERIC):
            break
        at = following
        characters += 1
    return at, characters


@kernel(
    types.void(
        U8, I64, U8, U8, U8, _I32, types.int64[:, ::1], _I32, types.int64[:, ::1], types.int32[:, ::1], _U64, types.int64[:, ::1]
    )
)  # fmt: skip
def _cut(
    data: Any,
    bounds: Any,
    kinds: Any,
    table_of: Any,
    split: Any,
    slots: Any,
    texts: Any,
    ids: Any,
    places: Any,
    sizes: Any,
    keys: Any,
    lines: Any,
) -> None:
    """Fill the arrays of a `Cut`.

    texts (characters, and the first of words, different words and lines) begins with 0 and has a column more than there
    are texts; places, sizes and keys are those of different words. Words are looked up in place: a function that is given
    the arrays would count their references for every word.
    """
    words, base, line = np.int64(0), np.int64(0), np.int64(0)
    for text in range(bounds.size - 1):
        at, end = bounds[text], bounds[text + 1]
        count, length, table = np.int64(0), np.int64(0), np.int64(_FIRST_SLOTS)
        slots[:table] = 0
        line_begin, line_length, text_begin, text_end = at, np.int64(0), np.int64(-1), at
        while at <= end:
            kind = kinds[data[at]] if at < end else _FEED
            if kind == _FEED:
                if text_begin >= 0:
                    lines[0, line], lines[1, line], lines[2, line] = line_begin, at, length - line_length
                    lines[3, line], lines[4, line] = text_begin, text_end
                    line += 1
                at += 1
                length += 1
                line_begin, line_length, text_begin = at, length, np.int64(-1)
                continue
            blank = blank_size(data, at, end) if kind == _MAYBE else np.int64(kind == _BLANK)
            if blank > 0:
                length += 1
                at += blank
                continue
            begin = at
            if split[text]:
                at, read = _read_unspaced(data, table_of, kinds, at, end)
            else:
                at, read = _read_word(data, kinds, at, end)
            length += read
            text_begin, text_end = begin if text_begin < 0 else text_begin, at
            key = word_key(data, begin, at)
            slot = _slot_of(key, table)
            number = np.int64(slots[slot]) - 1
            while number >= 0 and not (
                keys[base + number] == key
                and (key < _LONG or same(data, begin, at, places[0, base + number], places[1, base + number]))
            ):
                slot = (slot + 1) & (table - 1)
                number = np.int64(slots[slot]) - 1
            if number < 0:
                number = count
                count += 1
                slots[slot] = count
                places[0, base + number], places[1, base + number] = begin, at
                sizes[0, base + number], sizes[1, base + number], keys[base + number] = read, 0, key
                if 2 * count > table:
                    table *= 2
                    _refill(slots, table, count, keys, base)
            sizes[1, base + number] += 1
            ids[words] = number
            words += 1
        base += count
        texts[0, text] = length - 1
        texts[1, text + 1], texts[2, text + 1], texts[3, text + 1] = words, base, line
