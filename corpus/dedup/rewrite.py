"""Which lines stay, and the texts made of them: kernels over keys and UTF-8 buffers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numba import types

from corpus.dedup.buffers import text_buffers
from corpus.dedup.normalize import (
    BLANK,
    REPEATED,
    Array,
    count_lines,
    folding,
    hash_lines,
    repeats_in_document,
    sigma_classes,
)
from corpus.kernel import kernel

KEPT = 0
DUPLICATE = 1
EMPTY = 2
"""What becomes of a line: it stays, is a duplicate, or is blank (and stays only between lines that stay)."""

_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_I64 = types.Array(types.int64, 1, "C", readonly=True)
_U64 = types.Array(types.uint64, 1, "C", readonly=True)


def line_keys(text: pa.Array, normalize: str, blank_is_key: bool) -> Array[np.uint64]:
    """The uint64 key of every line of every text: `BLANK`, `REPEATED` inside its document, or that of its content."""
    data, offsets = text_buffers(text)
    keys = np.empty(count_lines(data, offsets), dtype=np.uint64)
    first_line = np.empty(len(offsets), dtype=np.int64)
    table, strip = folding(normalize), normalize == "ccnet"
    hash_lines(data, offsets, table, sigma_classes(), strip, blank_is_key, keys, first_line)
    repeats_in_document(keys, first_line)
    return keys


def count_units(text: pa.Array, lines: bool) -> int:
    """The number of lines of all texts, or of texts."""
    return count_lines(*text_buffers(text)) if lines else len(text)


@dataclass(frozen=True)
class KeySet:
    """Sorted distinct keys with an index of their leading bits: `starts[b]` is where those with leading bits b begin."""

    keys: Array[np.uint64]
    starts: Array[np.int64]
    bits: int

    @classmethod
    def of(cls, keys: Array[np.uint64]) -> KeySet:
        """Index `keys` (uint64, sorted, distinct)."""
        bits = max(1, min(24, int(keys.size // 4).bit_length()))
        bounds = np.arange(1, 1 << bits, dtype=np.uint64) << np.uint64(64 - bits)
        starts = np.concatenate(([0], np.searchsorted(keys, bounds), [keys.size])).astype(np.int64)
        return cls(keys, starts, bits)


@kernel(types.int64(_U64, _I64, types.uint64, types.uint64))
def _find(keys: Any, starts: Any, shift: Any, key: Any) -> Any:
    """The position of `key`, or -1."""
    bucket = key >> shift
    for i in range(starts[bucket], starts[bucket + np.uint64(1)]):
        if keys[i] == key:
            return i
    return np.int64(-1)


@kernel(
    types.void(
        _U64, types.uint64, types.uint64, _U64, _I64, types.uint64, types.boolean, types.boolean[::1], types.uint8[::1]
    ),
)
def _mark(
    lines: Any, blank: Any, repeated: Any, keys: Any, starts: Any, shift: Any, keep_first: bool, met: Any, state: Any
) -> None:
    for line in range(lines.size):
        key = lines[line]
        if key == blank:
            state[line] = EMPTY
        elif key == repeated:
            state[line] = DUPLICATE
        elif keys.size:
            found = _find(keys, starts, shift, key)
            if found >= 0:
                if met[found] or not keep_first:
                    state[line] = DUPLICATE
                met[found] = True


def mark(
    lines: Array[np.uint64], listed: KeySet, met: Array[np.bool_], keep_first: bool, state: Array[np.uint8]
) -> None:
    """Set the state of each line: EMPTY, DUPLICATE, or as it was.

    lines: uint64[n] as from `repeats_in_document`; listed: the keys that go; with `keep_first` the first line of each
    of them stays. met: bool[keys], carried from call to call, says which were met; state: uint8[n], changed.
    """
    blank, repeated = np.uint64(BLANK), np.uint64(REPEATED)
    _mark(lines, blank, repeated, listed.keys, listed.starts, np.uint64(64 - listed.bits), keep_first, met, state)


@dataclass(frozen=True)
class Rewritten:
    """The texts made of the kept lines of a batch of n documents.

    data and bounds: their bytes and int64[n + 1] bounds; lines and length: int64[n], kept lines and characters;
    line_ids: int32, the numbers of the kept lines of one document after the other.
    """

    data: Array[np.uint8]
    bounds: Array[np.int64]
    lines: Array[np.int64]
    length: Array[np.int64]
    line_ids: Array[np.int32]


@kernel(
    types.int64(
        _U8, _I64, _U8, types.uint8[::1], types.int64[::1], types.int64[::1], types.int64[::1], types.int32[::1]
    ),
)
def _rewrite(data: Any, offsets: Any, state: Any, out: Any, bounds: Any, lines: Any, length: Any, line_ids: Any) -> Any:
    line = at = ids = np.int64(0)
    bounds[0] = 0
    for text in range(offsets.size - 1):
        i, end = offsets[text], offsets[text + 1]
        begin, first, number = at, ids, np.int64(0)
        blank_from = blank_to = np.int64(-1)
        blank_number = np.int64(0)
        while i <= end:
            start = i
            if state[line] == KEPT:
                if blank_from >= 0 and ids > first:
                    out[at] = 10
                    at += 1
                    for j in range(blank_from, blank_to):
                        out[at] = data[j]
                        at += 1
                    line_ids[ids] = blank_number
                    ids += 1
                blank_from = np.int64(-1)
                if ids > first:
                    out[at] = 10
                    at += 1
                while i < end and data[i] != 10:
                    out[at] = data[i]
                    at += 1
                    i += 1
                line_ids[ids] = number
                ids += 1
            else:
                while i < end and data[i] != 10:
                    i += 1
                if state[line] == EMPTY and blank_from < 0:
                    blank_from, blank_to, blank_number = start, i, number
            i += 1
            line += 1
            number += 1
        bounds[text + 1] = at
        lines[text] = ids - first
        characters = np.int64(0)
        for j in range(begin, at):
            characters += (out[j] & 0xC0) != 0x80
        length[text] = characters
    return ids


def rewrite(data: Array[np.uint8], offsets: Array[np.int64], state: Array[np.uint8]) -> Rewritten:
    """Join the kept lines of each text by line feeds; a run of blank lines between kept ones is its first line.

    data and offsets as from `text_buffers`; state: uint8[lines] of all the texts' lines in order.
    """
    texts = len(offsets) - 1
    out = np.empty(int(offsets[-1] - offsets[0]), dtype=np.uint8)
    bounds = np.empty(texts + 1, dtype=np.int64)
    lines, length = np.empty(texts, dtype=np.int64), np.empty(texts, dtype=np.int64)
    line_ids = np.empty(len(state), dtype=np.int32)
    kept = _rewrite(data, offsets, state, out, bounds, lines, length, line_ids)
    return Rewritten(out[: bounds[-1]], bounds, lines, length, line_ids[:kept])


@kernel(types.void(_U8, _I64, _U8, types.int64[:, ::1]))
def _original_sizes(data: Any, offsets: Any, state: Any, sizes: Any) -> None:
    line = np.int64(0)
    for text in range(offsets.size - 1):
        lines, characters, duplicates = np.int64(1), np.int64(0), np.int64(0)
        for i in range(offsets[text], offsets[text + 1]):
            characters += (data[i] & 0xC0) != 0x80
            lines += data[i] == 10
        for i in range(line, line + lines):
            duplicates += state[i] == DUPLICATE
        line += lines
        sizes[text, 0], sizes[text, 1], sizes[text, 2] = lines, characters, duplicates


def original_sizes(data: Array[np.uint8], offsets: Array[np.int64], state: Array[np.uint8]) -> Array[np.int64]:
    """int64[n, 3]: lines, characters and duplicate lines of each text."""
    sizes = np.empty((len(offsets) - 1, 3), dtype=np.int64)
    _original_sizes(data, offsets, state, sizes)
    return sizes


@kernel(types.int64(types.int32[::1], _I64, types.uint8[::1], types.int64[::1]))
def _format(numbers: Any, bounds: Any, out: Any, text_bounds: Any) -> Any:
    at = np.int64(0)
    text_bounds[0] = 0
    for row in range(bounds.size - 1):
        for i in range(bounds[row], bounds[row + 1]):
            if i > bounds[row]:
                out[at] = 44
                at += 1
            number = numbers[i]
            digits = np.int64(1)
            rest = number // 10
            while rest:
                rest //= 10
                digits += 1
            for j in range(digits):
                out[at + digits - 1 - j] = 48 + number % 10
                number //= 10
            at += digits
        text_bounds[row + 1] = at
    return at


def format_numbers(numbers: Array[np.int32], bounds: Array[np.int64]) -> list[str]:
    """Lists of non-negative numbers as text, such as `0,2,5`: one per pair of neighbours in int64[n + 1] `bounds`."""
    out = np.empty(11 * len(numbers), dtype=np.uint8)
    text_bounds = np.empty(len(bounds), dtype=np.int64)
    text = bytes(out[: _format(numbers, bounds, out, text_bounds)]).decode("ascii")
    return [text[a:b] for a, b in pairwise(text_bounds.tolist())]
