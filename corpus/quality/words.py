"""What the words and lines of texts are made of: letters, symbols, bullets, stop words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numba import types

from corpus.data.buffers import Array
from corpus.kernel import kernel
from corpus.quality.characters import ALPHANUMERIC, LETTER, character_table
from corpus.quality.cut import I64, U8, Cut, cut_texts

I32 = types.Array(types.int32, 1, "C", readonly=True)
U64 = types.Array(types.uint64, 1, "C", readonly=True)
_OUT = types.int64[:, ::1]

_DOT, _HASH, _ELLIPSIS = 0x2E, 0x23, 0x2026


@dataclass(frozen=True)
class WordFigures:
    """Figures of some texts, int64[texts] each."""

    characters: Array[np.int64]
    """Characters of all words."""
    lettered: Array[np.int64]
    """Words with a letter (`str.isalpha`)."""
    alphanumeric: Array[np.int64]
    """Characters that are letters or numbers (`str.isalnum`)."""
    hashes: Array[np.int64]
    """Hash signs."""
    ellipses: Array[np.int64]
    """`...`, none counted twice, and `…`."""


def word_figures(cut: Cut) -> WordFigures:
    """Count over all words, each different one looked at once."""
    figures = np.zeros((5, len(cut.begins)), dtype=np.int64)
    _words(
        cut.data, cut.different_from, cut.different_to, cut.word_begins, cut.word_ends, cut.word_characters,
        cut.occurrences, character_table(), figures,
    )  # fmt: skip
    return WordFigures(*figures)


def line_ends(cut: Cut, bullets: Sequence[str]) -> tuple[Array[np.int64], Array[np.int64]]:
    """int64[texts] each: lines that begin with one of the single characters `bullets`, and lines that end with `...` or
    `…`; white space at either end of a line does not count."""
    figures = np.zeros((2, len(cut.begins)), dtype=np.int64)
    codes = np.array(sorted(map(ord, bullets)), dtype=np.int64)
    _line_ends(cut.data, cut.lines_from, cut.lines_to, cut.line_text_begins, cut.line_text_ends, codes, figures)
    return figures[0], figures[1]


def stop_words_in(cut: Cut, stop_words: Sequence[str]) -> Array[np.int64]:
    """int64[texts]: how many of the stop words occur as words, as they are, capitalized or in capitals."""
    forms = [(form, at) for at, word in enumerate(stop_words) for form in {word, word.capitalize(), word.upper()}]
    forms = [(form, at) for form, at in forms if form.split() == [form]]
    table = cut_texts(pa.array([form for form, _ in forms], pa.large_string()))
    of = np.array([at for _, at in forms], dtype=np.int64)
    slots = np.zeros(1 << (4 * len(forms)).bit_length(), dtype=np.int32)
    marks = np.zeros(len(stop_words), dtype=np.int64)
    found = np.zeros(len(cut.begins), dtype=np.int64)
    _stop_words(
        cut.data, cut.different_from, cut.different_to, cut.word_begins, cut.word_ends, cut.keys,
        table.data, table.word_begins, table.word_ends, table.keys, of, slots, marks, found,
    )  # fmt: skip
    return found


@kernel(types.UniTuple(types.int64, 2)(U8, types.int64, types.int64), forceinline=True)
def _character(data: Any, at: Any, end: Any) -> Any:
    """The code point at `at`, beyond ASCII, and where the next begins; what is cut short is read as zeros."""
    first = np.int64(data[at])
    size = 2 if first < 0xE0 else (3 if first < 0xF0 else 4)
    code = first & (0x1F if size == 2 else (0x0F if size == 3 else 0x07))
    for i in range(1, size):
        code = (code << 6) | (np.int64(data[at + i]) & 0x3F if at + i < end else np.int64(0))
    return code, min(at + size, end)


@kernel(types.void(U8, I64, I64, I64, I64, I32, I32, U8, _OUT))
def _words(
    data: Any, first: Any, last: Any, begins: Any, ends: Any, characters: Any, occurrences: Any, table: Any, out: Any
) -> None:
    """Fill the rows of `out`, in the order of the fields of `WordFigures`."""
    for text in range(first.size):
        size, lettered, numbered = np.int64(0), np.int64(0), np.int64(0)
        hashes, ellipses = np.int64(0), np.int64(0)
        for word in range(first[text], last[text]):
            times = np.int64(occurrences[word])
            size += times * characters[word]
            at, end = begins[word], ends[word]
            bits, dots, alphanumeric = np.uint8(0), np.int64(0), np.int64(0)
            while at < end:
                code = np.int64(data[at])
                at += 1
                if code == _DOT:
                    dots += 1
                    continue
                if dots > 2:
                    ellipses += times * (dots // 3)
                dots = np.int64(0)
                if code >= 0x80:
                    code, at = _character(data, at - 1, end)
                    if code >= table.size:
                        continue
                    if code == _ELLIPSIS:
                        ellipses += times
                elif code == _HASH:
                    hashes += times
                bits |= table[code]
                alphanumeric += (table[code] & ALPHANUMERIC) != 0
            ellipses += times * (dots // 3)
            numbered += times * alphanumeric
            if bits & LETTER:
                lettered += times
        out[0, text], out[1, text], out[2, text], out[3, text], out[4, text] = (
            size,
            lettered,
            numbered,
            hashes,
            ellipses,
        )


@kernel(types.void(U8, I64, I64, I64, I64, I64, _OUT))
def _line_ends(data: Any, first: Any, last: Any, begins: Any, ends: Any, bullets: Any, out: Any) -> None:
    for text in range(first.size):
        for line in range(first[text], last[text]):
            begin, end = begins[line], ends[line]
            code = np.int64(data[begin])
            if code >= 0x80:
                code, _ = _character(data, begin, end)
            for bullet in bullets:
                if bullet == code:
                    out[0, text] += 1
                    break
            if end - begin >= 3:
                dots = data[end - 1] == _DOT and data[end - 2] == _DOT and data[end - 3] == _DOT
                sign = data[end - 1] == 0xA6 and data[end - 2] == 0x80 and data[end - 3] == 0xE2
                out[1, text] += dots or sign


@kernel(
    types.void(
        U8, I64, I64, I64, I64, U64, U8, I64, I64, U64, I64, types.int32[::1], types.int64[::1], types.int64[::1]
    )
)
def _stop_words(
    data: Any, first: Any, last: Any, begins: Any, ends: Any, keys: Any, form_data: Any, form_begins: Any,
    form_ends: Any, form_keys: Any, of: Any, slots: Any, marks: Any, out: Any,
) -> None:  # fmt: skip
    """Count into `out`; slots and marks (text + 1 where a stop word was met) begin with 0."""
    mask = np.uint64(slots.size - 1)
    factor, high = np.uint64(0x9E3779B185EBCA87), np.uint64(32)
    for form in range(form_keys.size):
        slot = np.int64(((form_keys[form] * factor) >> high) & mask)
        while slots[slot] != 0:
            slot = (slot + 1) & np.int64(mask)
        slots[slot] = form + 1
    for text in range(first.size):
        for word in range(first[text], last[text]):
            slot = np.int64(((keys[word] * factor) >> high) & mask)
            while slots[slot] != 0:
                form = slots[slot] - 1
                slot = (slot + 1) & np.int64(mask)
                size = ends[word] - begins[word]
                if keys[word] != form_keys[form] or size != form_ends[form] - form_begins[form]:
                    continue
                equal = True
                for i in range(size):
                    equal &= data[begins[word] + i] == form_data[form_begins[form] + i]
                if equal and marks[of[form]] != text + 1:
                    marks[of[form]] = text + 1
                    out[text] += 1


def short_lines(cut: Cut, most: int) -> Array[np.int64]:
    """int64[texts]: lines of at most `most` characters."""
    sums = np.concatenate([[0], np.cumsum(cut.line_characters <= most)]).astype(np.int64)
    return np.asarray(sums[cut.lines_to] - sums[cut.lines_from], dtype=np.int64)


def last_characters(cut: Cut, characters: Collection[str]) -> Array[np.int64]:
    """int64[texts]: lines whose last character, white space counted, is one of `characters`."""
    codes = np.array(sorted(map(ord, characters)), dtype=np.int64)
    found = np.zeros(len(cut.begins), dtype=np.int64)
    _last_characters(cut.data, cut.lines_from, cut.lines_to, cut.line_begins, cut.line_ends, codes, found)
    return found


@kernel(types.void(U8, I64, I64, I64, I64, I64, types.int64[::1]))
def _last_characters(data: Any, first: Any, last: Any, begins: Any, ends: Any, codes: Any, out: Any) -> None:
    for text in range(first.size):
        for line in range(first[text], last[text]):
            at = ends[line] - 1
            while at > begins[line] and (data[at] & 0xC0) == 0x80:
                at -= 1
            code = np.int64(data[at])
            if code >= 0x80:
                code, _ = _character(data, at, ends[line])
            place = np.searchsorted(codes, code)
            out[text] += place < codes.size and codes[place] == code
