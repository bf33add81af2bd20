"""How much of a text repeats: lines, paragraphs and n-grams of words (Rae et al. 2021, arXiv 2112.11446, table A1).

Everything is exact. Lines and paragraphs that have the same hash are compared. An n-gram is found as the pair of the
(n-1)-grams it begins and ends with, each of which has a number, so that its key says everything; where one of the two
does not occur twice the n-gram does not either, and is never looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import types

from corpus.data.buffers import Array
from corpus.kernel import kernel, load_lane
from corpus.quality.cut import I64, U8, Cut

I32 = types.Array(types.int32, 1, "C", readonly=True)
_OUT = types.int64[::1]
_SLOTS = types.int32[::1]

TOP = (2, 3, 4)
DUPLICATE = (5, 6, 7, 8, 9, 10)
_FIGURES = 5 + len(TOP) + len(DUPLICATE)
_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_B29, _B32 = np.uint64(29), np.uint64(32)


@dataclass(frozen=True)
class Repetition:
    """Figures of some texts, int64[texts] each. A repeat is a part that occurred before in the text; sizes are in
    characters."""

    duplicate_lines: Array[np.int64]
    """Lines that are repeats."""
    duplicate_line_characters: Array[np.int64]
    paragraphs: Array[np.int64]
    """Parts of the text between two or more line feeds, white space around the text left out."""
    duplicate_paragraphs: Array[np.int64]
    duplicate_paragraph_characters: Array[np.int64]
    top_ngrams: Mapping[int, Array[np.int64]]
    """Of n: occurrences of the most frequent n-gram (of several the first) times its size, single spaces included."""
    duplicate_ngrams: Mapping[int, Array[np.int64]]
    """Of n: size of the words in n-grams that occurred before, scanned from the left, none counted twice."""


def repetition(cut: Cut) -> Repetition:
    """What repeats in some texts."""
    figures = np.zeros((_FIGURES, len(cut.begins)), dtype=np.int64)
    longest = int((cut.ends - cut.begins).max(initial=0))
    words = int(cut.words.max(initial=0))
    parts = np.empty((2, longest // 2 + 2), dtype=np.int64)
    slots = np.empty(1 << max(longest + 4, 2 * words).bit_length(), dtype=np.int32)
    ngrams = np.empty((5, words + 1), dtype=np.int32)
    keys = np.empty(words + 1, dtype=np.uint64)
    _measure(
        cut.data, cut.words_from, cut.words_to, cut.different_from, cut.lines_from, cut.lines_to, cut.ids,
        cut.word_characters, cut.occurrences, cut.line_begins, cut.line_ends, cut.line_text_begins, cut.line_text_ends,
        parts, slots, ngrams, keys, figures,
    )  # fmt: skip
    top = dict(zip(TOP, figures[5:], strict=False))
    duplicate = dict(zip(DUPLICATE, figures[5 + len(TOP) :], strict=False))
    lines, line_characters, paragraphs, duplicates, characters = figures[:5]
    return Repetition(lines, line_characters, paragraphs, duplicates, characters, top, duplicate)


@kernel(types.int64(U8, types.int64, types.int64))
def _hash(data: Any, at: Any, end: Any) -> Any:
    """A number below 2³¹ of some bytes."""
    value = np.uint64(end - at)
    while at + 8 <= end:
        value = (value ^ load_lane(data, at)) * _P1
        value ^= value >> _B29
        at += 8
    last = np.uint64(0)
    while at < end:
        last = (last << np.uint64(8)) | np.uint64(data[at])
        at += 1
    value = (value ^ last) * _P2
    return np.int64(value >> np.uint64(33))


@kernel(types.boolean(U8, types.int64, types.int64, types.int64))
def _same(data: Any, one: Any, other: Any, size: Any) -> Any:
    i = np.int64(0)
    while i < size and data[one + i] == data[other + i]:
        i += 1
    return i == size


@kernel(types.UniTuple(types.int64, 2)(U8, I64, I64, types.int64, types.int64, _SLOTS))
def _repeats(data: Any, begins: Any, ends: Any, first: Any, last: Any, slots: Any) -> Any:
    """Of some stretches how many are repeats, and their characters."""
    table = np.int64(2)
    while table < 2 * (last - first):
        table *= 2
    slots[:table] = 0
    number, characters = np.int64(0), np.int64(0)
    for part in range(first, last):
        begin, end = begins[part], ends[part]
        slot = _hash(data, begin, end) & (table - 1)
        while slots[slot] != 0:
            other = first + slots[slot] - 1
            if ends[other] - begins[other] == end - begin and _same(data, begin, begins[other], end - begin):
                break
            slot = (slot + 1) & (table - 1)
        if slots[slot] == 0:
            slots[slot] = part - first + 1
            continue
        number += 1
        for i in range(begin, end):
            characters += (data[i] & 0xC0) != 0x80
    return number, characters


@kernel(types.int64(U8, I64, I64, I64, I64, types.int64, types.int64, types.int64[:, ::1]))
def _paragraphs(
    data: Any, begins: Any, ends: Any, text_begins: Any, text_ends: Any, first: Any, last: Any, parts: Any
) -> Any:
    """Fill `parts` with where the paragraphs of a text begin and end; their number."""
    number = np.int64(0)
    begin = text_begins[first]
    for line in range(first + 1, last):
        at, end = ends[line - 1], begins[line]
        while at < end:  # between the lines are line feeds and blank lines; `at` is at a feed
            feeds = at
            while feeds < end and data[feeds] == 10:
                feeds += 1
            if feeds - at >= 2:
                parts[0, number], parts[1, number] = begin, at
                number += 1
                begin = feeds
            at = feeds
            while at < end and data[at] != 10:
                at += 1
    parts[0, number], parts[1, number] = begin, text_ends[last - 1]
    return number + 1


@kernel(
    types.void(
        I32, types.int64, types.int64, I32, I32, types.int64, _SLOTS, types.int32[:, ::1], types.uint64[::1], _OUT
    )
)  # fmt: skip
def _ngrams(
    ids: Any, first: Any, last: Any, characters: Any, occurrences: Any, base: Any, slots: Any, ngrams: Any, keys: Any,
    out: Any,
) -> None:  # fmt: skip
    """Fill `out` with the figures of n-grams for n from 2 to 10. The rows of `ngrams` are: of each word the number of
    the (n-1)-gram that begins there if it occurs twice, else -1; where such begin; numbers; of each number how often it
    occurs and where first."""
    grams, places, numbers, counts, firsts = ngrams[0], ngrams[1], ngrams[2], ngrams[3], ngrams[4]
    words = last - first
    repeated = 0
    for at in range(words):
        grams[at] = -1
        if occurrences[base + ids[first + at]] > 1:
            grams[at] = ids[first + at]
            places[repeated] = at
            repeated += 1
    grams[words] = -1
    for n in range(2, 11):
        if n > words:
            break
        candidates = 0  # those whose two parts occur twice go to the front
        for i in range(repeated):
            if grams[places[i] + 1] >= 0:
                candidates += 1
        table = 2
        while table < 2 * candidates:
            table *= 2
        slots[:table] = 0
        different, done = 0, 0
        best, best_at = 1, 0
        for i in range(repeated):
            at = places[i]
            if grams[at + 1] < 0:
                grams[at] = -1  # no later place looks at this one
                continue
            key = (np.uint64(grams[at]) << _B32) | np.uint64(grams[at + 1])
            slot = np.int64(((key ^ (key >> _B29)) * _P1) >> _B32) & (table - 1)
            number = slots[slot] - 1
            while number >= 0 and keys[number] != key:
                slot = (slot + 1) & (table - 1)
                number = slots[slot] - 1
            if number < 0:
                number = different
                different += 1
                slots[slot] = different
                keys[number], counts[number], firsts[number] = key, 0, at
            counts[number] += 1
            places[done], numbers[done] = at, number
            done += 1
        repeated = 0
        for i in range(done):
            at, number = places[i], numbers[i]
            grams[at] = -1
            if counts[number] > 1:
                grams[at] = number
                places[repeated] = at
                repeated += 1
        for number in range(different):
            if counts[number] > best:
                best, best_at = counts[number], firsts[number]
        if n <= 4:
            size = n - 1
            for i in range(best_at, best_at + n):
                size += characters[base + ids[first + i]]
            out[n - 2] = size * best
            continue
        free = 0  # up to here words are counted
        for i in range(repeated):
            at = places[i]
            if at < free:
                continue
            if counts[grams[at]] > 0:
                counts[grams[at]] = 0  # seen
                continue
            for j in range(at, at + n):
                out[n - 2] += characters[base + ids[first + j]]
            free = at + n


@kernel(
    types.void(
        U8, I64, I64, I64, I64, I64, I32, I32, I32, I64, I64, I64, I64, types.int64[:, ::1], _SLOTS,
        types.int32[:, ::1], types.uint64[::1], types.int64[:, ::1],
    )
)  # fmt: skip
def _measure(
    data: Any, words_from: Any, words_to: Any, different_from: Any, lines_from: Any, lines_to: Any, ids: Any,
    characters: Any, occurrences: Any, begins: Any, ends: Any, text_begins: Any, text_ends: Any, parts: Any,
    slots: Any, ngrams: Any, keys: Any, figures: Any,
) -> None:  # fmt: skip
    """Fill the rows of `figures`, in the order of the fields of `Repetition`."""
    out = np.zeros(9, dtype=np.int64)
    for text in range(words_from.size):
        first, last = lines_from[text], lines_to[text]
        if first == last:
            continue
        figures[0, text], figures[1, text] = _repeats(data, begins, ends, first, last, slots)
        number = _paragraphs(data, begins, ends, text_begins, text_ends, first, last, parts)
        figures[2, text] = number
        figures[3, text], figures[4, text] = _repeats(data, parts[0], parts[1], 0, number, slots)
        out[:] = 0
        _ngrams(
            ids,
            words_from[text],
            words_to[text],
            characters,
            occurrences,
            different_from[text],
            slots,
            ngrams,
            keys,
            out,
        )
        figures[5:, text] = out


def repeated_lines(cut: Cut) -> tuple[Array[np.int64], Array[np.int64]]:
    """int64[texts] each: lines that are repeats, and their characters; no other figures."""
    figures = np.zeros((2, len(cut.begins)), dtype=np.int64)
    slots = np.empty(1 << (2 * int(cut.lines.max(initial=0))).bit_length(), dtype=np.int32)
    _repeated_lines(cut.data, cut.lines_from, cut.lines_to, cut.line_begins, cut.line_ends, slots, figures)
    return figures[0], figures[1]


@kernel(types.void(U8, I64, I64, I64, I64, _SLOTS, types.int64[:, ::1]))
def _repeated_lines(data: Any, first: Any, last: Any, begins: Any, ends: Any, slots: Any, out: Any) -> None:
    for text in range(first.size):
        out[0, text], out[1, text] = _repeats(data, begins, ends, first[text], last[text], slots)
