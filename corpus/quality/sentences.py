"""The lines of pages that look like sentences, as C4 keeps them (Raffel et al. 2020, arXiv 1910.10683, section 2.2, and
TensorFlow Datasets' `c4_utils.py`). Lines end where `str.splitlines` ends them and are stripped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numba import types

from corpus.data.buffers import Array, text_buffers, text_column
from corpus.kernel import kernel, load_lane
from corpus.quality.characters import DECIMAL, character_table
from corpus.quality.cut import I64, U8

KEPT, LOREM_IPSUM, CURLY_BRACKET = 0, 1, 2
"""What lines say of their page."""
_BYTES = types.uint8[::1]

_SPACES = np.uint64(0x2020202020202020)
_HIGH = np.uint64(0x8080808080808080)
_OPEN, _CLOSE = 0x5B, 0x5D
_LONG_CITATIONS = np.frombuffer(b"[edit][citation needed]", dtype=np.uint8)

_PHRASES = (
    ("lorem ipsum", "p"),
    ("javascript", "j"),
    ("terms of use", "f"),
    ("privacy policy", "v"),
    ("cookie policy", "k"),
    ("uses cookies", "k"),
    ("use of cookies", "k"),
    ("use cookies", "k"),
)
"""What is looked for in lower case, each with a rare letter of it where the comparison begins."""
_TEXT = np.frombuffer("".join(phrase for phrase, _ in _PHRASES).encode(), dtype=np.uint8)
_BOUNDS = np.cumsum([0, *(len(phrase) for phrase, _ in _PHRASES)], dtype=np.int64)
_ANCHORS = np.array([phrase.index(letter) for phrase, letter in _PHRASES], dtype=np.int64)


def _rare() -> Array[np.uint8]:
    """uint8[256]: 1 for the letters at which a phrase can be, and for `{`."""
    table = np.zeros(256, dtype=np.uint8)
    table[[ord(letter) for _, letter in _PHRASES] + [ord("{")]] = 1
    table.flags.writeable = False
    return table


_RARE = _rare()


@dataclass(frozen=True)
class Sentences:
    """What C4's rules leave of some texts."""

    text: pa.Array
    """large_string: the lines that stay, joined by line feeds."""
    verdicts: Array[np.int64]
    """int64[texts]: `KEPT`, or why the page goes, by the first line that says so."""
    characters: Array[np.int64]
    """Characters of what is left."""
    lines: Array[np.int64]
    """Lines that stay."""


def sentence_lines(text: pa.Array, min_words: int, max_word: int, whole_page: bool) -> Sentences:
    """The lines with `min_words` words, none of them over `max_word` characters, that end as sentences do.

    `whole_page`: `{` and lorem ipsum count anywhere on the page, not only in lines that passed so far.
    """
    data, bounds = text_buffers(text)
    out = np.empty(int(bounds[-1] - bounds[0]) + len(bounds), dtype=np.uint8)
    folded = np.empty(int((bounds[1:] - bounds[:-1]).max(initial=0)) + 1, dtype=np.uint8)
    ends = np.zeros(len(bounds), dtype=np.int64)
    figures = np.zeros((3, len(bounds) - 1), dtype=np.int64)
    settings = np.array([min_words, max_word, whole_page], dtype=np.int64)
    _pages(data, bounds, character_table(), settings, out, folded, ends, figures)
    return Sentences(text_column(out, ends), *figures)


@kernel(types.int64(U8, types.int64, types.int64))
def _blank(data: Any, at: Any, end: Any) -> Any:
    """The bytes of the white space character at `at`; 0 where there is none."""
    first = data[at]
    if first < 0x80:
        return 1 if first == 0x20 or 9 <= first <= 13 or 0x1C <= first <= 0x1F else 0
    if first == 0xC2:
        return 2 if at + 1 < end and (data[at + 1] == 0x85 or data[at + 1] == 0xA0) else 0
    if at + 2 >= end:
        return 0
    second, third = data[at + 1], data[at + 2]
    if first == 0xE2 and second == 0x80:
        return 3 if third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF else 0
    if first == 0xE2:
        return 3 if second == 0x81 and third == 0x9F else 0
    if first == 0xE1:
        return 3 if second == 0x9A and third == 0x80 else 0
    return 3 if first == 0xE3 and second == 0x80 and third == 0x80 else 0


@kernel(types.UniTuple(types.int64, 2)(U8, types.int64, types.int64))
def _line_end(data: Any, at: Any, end: Any) -> Any:
    """Where a line that begins at `at` ends, and where the next begins."""
    while at < end:
        if at + 8 <= end:
            value = load_lane(data, at)
            if ((value - _SPACES) | value) & _HIGH == 0:  # no control character, nothing beyond ASCII
                at += 8
                continue
        code = data[at]
        if code == 13:
            return at, at + 2 if at + 1 < end and data[at + 1] == 10 else at + 1
        if 10 <= code <= 12 or 0x1C <= code <= 0x1E:
            return at, at + 1
        if code == 0xC2 and at + 1 < end and data[at + 1] == 0x85:
            return at, at + 2
        if code == 0xE2 and at + 2 < end and data[at + 1] == 0x80 and (data[at + 2] == 0xA8 or data[at + 2] == 0xA9):
            return at, at + 3
        at += 1
    return end, end


@kernel(types.UniTuple(types.int64, 2)(U8, types.int64, types.int64))
def _stripped(data: Any, begin: Any, end: Any) -> Any:
    """A stretch without the white space at its ends."""
    while begin < end:
        size = _blank(data, begin, end)
        if size == 0:
            break
        begin += size
    while begin < end:
        size = np.int64(1)
        while size < 4 and end - size > begin and (data[end - size] & 0xC0) == 0x80:
            size += 1
        if _blank(data, end - size, end) != size:
            break
        end -= size
    return begin, end


@kernel(types.int64(U8, types.int64, types.int64, U8))
def _citation(data: Any, at: Any, end: Any, table: Any) -> Any:
    """The bytes of the citation mark at the bracket `at`; 0 where there is none."""
    place = at + 1
    while place < end and data[place] != _CLOSE:
        code = np.int64(data[place])
        place += 1
        if code >= 0xC0:
            size = 2 if code < 0xE0 else (3 if code < 0xF0 else 4)
            code &= 0x1F if size == 2 else (0x0F if size == 3 else 0x07)
            for _ in range(1, size):
                if place < end:
                    code = (code << 6) | (np.int64(data[place]) & 0x3F)
                    place += 1
        if code >= table.size or not table[code] & DECIMAL:
            break
        if place == end:
            return 0
    if (
        place < end
        and data[place] == _CLOSE
        and (place == at + 1 or data[place - 1] >= 0x80 or 48 <= data[place - 1] <= 57)
    ):
        return place + 1 - at
    for first, last in ((0, 6), (6, 23)):
        if at + last - first <= end:
            equal = True
            for i in range(last - first):
                equal &= data[at + i] == _LONG_CITATIONS[first + i]
            if equal:
                return last - first
    return 0


@kernel(types.int64(U8, types.int64, U8))
def _phrases(line: Any, size: Any, rare: Any) -> Any:
    """Which phrases are in a line in lower case, a bit each, and bit 8 for `{`."""
    found = np.int64(0)
    for at in range(size):
        code = line[at]
        if not rare[code]:
            continue
        if code == 0x7B:
            found |= 256
            continue
        for phrase in range(_ANCHORS.size):
            first, length = _BOUNDS[phrase], _BOUNDS[phrase + 1] - _BOUNDS[phrase]
            begin = at - _ANCHORS[phrase]
            if _TEXT[first + _ANCHORS[phrase]] != code or begin < 0 or begin + length > size:
                continue
            i = np.int64(0)
            while i < length and line[begin + i] == _TEXT[first + i]:
                i += 1
            if i == length:
                found |= 1 << phrase
    return found


@kernel(types.UniTuple(types.int64, 4)(U8, types.int64, types.int64, U8, types.int64, _BYTES, types.int64, _BYTES))
def _cleaned(data: Any, at: Any, end: Any, table: Any, max_word: Any, out: Any, begin: Any, folded: Any) -> Any:
    """Write a line without its citation marks to `out` from `begin` on, and in lower case to `folded`.

    Gives where it ends in `out`, how long it is in `folded`, its words and characters; words are -1 where one was too long.
    """
    to, low = begin, np.int64(0)
    words, characters, longest, run = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    inside = False
    while at < end:
        code = data[at]
        size = np.int64(0)
        if code <= 0x20 or code >= 0xC2:
            size = _blank(data, at, end)
        cited = np.int64(0)
        if code == _OPEN:
            cited = _citation(data, at, end, table)
        if size > 0:
            inside = False
            longest, run = max(longest, run), np.int64(0)
        elif cited > 0:
            if cited == 17:  # [citation needed] is two words
                longest, run = max(longest, run + 9), np.int64(7)
            else:
                for i in range(at, at + cited):
                    run += (data[i] & 0xC0) != 0x80
            at += cited
            continue
        else:
            size = np.int64(1)
            while at + size < end and (data[at + size] & 0xC0) == 0x80:
                size += 1
            run += 1
            words += np.int64(not inside)
            inside = True
        characters += 1
        kelvin = size == 3 and code == 0xE2 and data[at + 1] == 0x84 and data[at + 2] == 0xAA
        if kelvin:
            folded[low] = 0x6B  # it is a k in lower case
            low += 1
        for i in range(at, at + size):
            out[to] = data[i]
            to += 1
            if not kelvin:
                folded[low] = data[i] | 0x20 if 0x41 <= data[i] <= 0x5A else data[i]
                low += 1
        at += size
    if max(longest, run) > max_word:
        words = np.int64(-1)
    return to, low, words, characters


@kernel(types.int64(U8, types.int64, types.int64, _BYTES, U8))
def _whole_page(data: Any, begin: Any, end: Any, folded: Any, rare: Any) -> Any:
    """What a page is for its text as it is."""
    for at in range(begin, end):
        folded[at - begin] = data[at] | 0x20 if 0x41 <= data[at] <= 0x5A else data[at]
    found = _phrases(folded, end - begin, rare)
    return LOREM_IPSUM if found & 1 else (CURLY_BRACKET if found & 256 else KEPT)


@kernel(types.void(U8, I64, U8, I64, _BYTES, _BYTES, types.int64[::1], types.int64[:, ::1]))
def _pages(data: Any, bounds: Any, table: Any, settings: Any, out: Any, folded: Any, ends: Any, figures: Any) -> None:
    """Write what is left of each page to `out` up to `ends[text + 1]`; settings are min_words, max_word and whole_page.
    The rows of `figures` are the verdict, characters and lines. Of a page that goes the text is empty."""
    to = np.int64(0)
    for text in range(bounds.size - 1):
        begin, end = bounds[text], bounds[text + 1]
        first, verdict = to, np.int64(KEPT)
        characters, lines = np.int64(0), np.int64(0)
        if settings[2]:
            verdict = _whole_page(data, begin, end, folded, _RARE)
        while begin < end and verdict == KEPT:
            line_end, following = _line_end(data, begin, end)
            line, last = _stripped(data, begin, line_end)
            begin = following
            mark = data[last - 1] if line < last else 0
            if mark != 0x2E and mark != 0x3F and mark != 0x21 and mark != 0x22 and mark != _CLOSE:
                continue
            at = to + (lines > 0)
            stop, low, words, size = _cleaned(data, line, last, table, settings[1], out, at, folded)
            mark = out[stop - 1] if stop > at else 0
            if words < settings[0] or (mark != 0x2E and mark != 0x3F and mark != 0x21 and mark != 0x22):
                continue
            if stop - at >= 3 and out[stop - 1] == 0x2E and out[stop - 2] == 0x2E and out[stop - 3] == 0x2E:
                continue
            found = _phrases(folded, low, _RARE)
            if found & 1:
                verdict = np.int64(LOREM_IPSUM)
            elif found & 2:
                continue
            elif found & 256:
                verdict = np.int64(CURLY_BRACKET)
            elif found == 0:
                if lines > 0:
                    out[to] = 10
                    characters += 1
                to = stop
                lines += 1
                characters += size
        if verdict != KEPT:
            to = first
        ends[text + 1] = to
        figures[0, text], figures[1, text], figures[2, text] = verdict, characters, lines
