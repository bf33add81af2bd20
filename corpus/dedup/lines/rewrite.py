"""Which lines stay, and the texts made of them: kernels over keys and UTF-8 buffers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numba import types

from corpus.data.buffers import Array, text_buffers
from corpus.dedup.lines.folding import fold_texts
from corpus.dedup.lines.metadata import Kept
from corpus.dedup.lines.normalize import (
    BLANK,
    REPEATED,
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
REPEAT = 3
"""What becomes of a line: it stays, is in other documents, is blank (and stays only between lines that stay), or stood
before in its own document."""

_EACH = np.uint64(0x0101010101010101)
_HIGH = np.uint64(0x8080808080808080)
_PAIRS = np.uint64(0x00FF00FF00FF00FF)
_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_I64 = types.Array(types.int64, 1, "C", readonly=True)
_U64 = types.Array(types.uint64, 2, "C", readonly=True)


def line_keys(text: pa.Array, normalize: str, blank_is_key: bool, words: int = 1) -> Array[np.uint64]:
    """The key (uint64[lines, words]) of every line of every text: `BLANK`, `REPEATED` inside its document, or that of its
    content. The line of an empty text is `BLANK` in any case: CCNet lets such a document go and does not count it."""
    data, offsets = text_buffers(text)
    empty = offsets[1:] == offsets[:-1]
    if normalize == "folded":
        data, offsets = fold_texts(data, offsets, lines=True)
    keys = np.empty((count_lines(data, offsets), words), dtype=np.uint64)
    first_line = np.empty(len(offsets), dtype=np.int64)
    table, strip = folding("exact" if normalize == "folded" else normalize), normalize in ("ccnet", "lower")
    hash_lines(data, offsets, table, sigma_classes(), strip, blank_is_key, keys, first_line)
    keys[first_line[:-1][empty]] = BLANK
    repeats_in_document(keys, first_line)
    return keys


@dataclass(frozen=True)
class KeySet:
    """Sorted distinct keys with an index of their leading bits: `starts[b]` is where those with leading bits b begin."""

    keys: Array[np.uint64]
    starts: Array[np.int64]
    bits: int

    @classmethod
    def of(cls, keys: Array[np.uint64]) -> KeySet:
        """Index `keys` (uint64[n, words], sorted, distinct)."""
        bits = max(1, min(24, int(len(keys) // 4).bit_length()))
        bounds = np.arange(1, 1 << bits, dtype=np.uint64) << np.uint64(64 - bits)
        starts = np.concatenate(([0], np.searchsorted(keys[:, 0], bounds), [len(keys)])).astype(np.int64)
        return cls(keys, starts, bits)


@kernel(types.int64(_U64, _I64, types.uint64, _U64, types.int64))
def _find(keys: Any, starts: Any, shift: Any, lines: Any, line: Any) -> Any:
    """The position of the key of `line`, or -1."""
    bucket = lines[line, 0] >> shift
    for i in range(starts[bucket], starts[bucket + np.uint64(1)]):
        if keys[i, 0] == lines[line, 0] and keys[i, -1] == lines[line, -1]:
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
    for line in range(lines.shape[0]):
        key = lines[line, 0]
        if key == blank:
            state[line] = EMPTY
        elif key == repeated:
            state[line] = REPEAT
        elif keys.shape[0]:
            found = _find(keys, starts, shift, lines, line)
            if found >= 0:
                if met[found] or not keep_first:
                    state[line] = DUPLICATE
                met[found] = True


def mark(
    lines: Array[np.uint64], listed: KeySet, met: Array[np.bool_], keep_first: bool, state: Array[np.uint8]
) -> None:
    """Set the state of each unit: EMPTY, REPEAT, DUPLICATE, or as it was.

    lines: uint64[n, words] as from `repeats_in_document`; listed: the keys that go; with `keep_first` the first unit of
    each of them stays. met: bool[keys], carried from call to call, says which were met; state: uint8[n], changed.
    """
    blank, repeated = np.uint64(BLANK), np.uint64(REPEATED)
    _mark(lines, blank, repeated, listed.keys, listed.starts, np.uint64(64 - listed.bits), keep_first, met, state)


@dataclass(frozen=True)
class Rewritten:
    """The texts made of the kept lines of a batch of n documents.

    data and bounds: their bytes and int64[n + 1] bounds; kept: the kept lines; removed: int64[4, 2], by the state of a
    line (`DUPLICATE`, `EMPTY`, `REPEAT`) how many lines are gone and their bytes with their line feeds, which add up to
    what the texts lost.
    """

    data: Array[np.uint8]
    bounds: Array[np.int64]
    kept: Kept
    removed: Array[np.int64]


@kernel(types.uint64(_U8, types.int64))
def _load8(data: Any, at: Any) -> Any:
    """Eight bytes, the first one lowest; the compiler makes one load of it."""
    word = np.uint64(0)
    for i in range(8):
        word |= np.uint64(data[np.uint64(at + i)]) << np.uint64(8 * i)
    return word


@kernel(types.int64(_U8, types.int64, types.int64))
def _line_end(data: Any, i: Any, end: Any) -> Any:
    """Where the line at `i` ends: at its line feed or at `end`."""
    while i + 8 <= end:
        word = _load8(data, i) ^ (np.uint64(10) * _EACH)
        if (word - _EACH) & ~word & _HIGH:
            break
        i += 8
    while i < end and data[i] != 10:
        i += 1
    return i


@kernel(types.int64(_U8, types.int64, types.int64, types.uint8[::1], types.int64))
def _copy(data: Any, start: Any, stop: Any, out: Any, at: Any) -> Any:
    """Copy bytes; the end in `out`. Unsigned positions: signed ones could be negative, and are copied one by one."""
    source, target = np.uint64(start), np.uint64(at)
    for j in range(np.uint64(stop - start)):
        out[target + j] = data[source + j]
    return at + stop - start


@kernel(types.int64(_U8, types.int64, types.int64))
def _characters(data: Any, start: Any, stop: Any) -> Any:
    """Bytes that begin a character: all but those 10xxxxxx."""
    count = stop - start
    i = start
    while i + 8 <= stop:
        lanes = np.uint64(0)
        most = min(stop, i + 8 * 255) - 8
        while i <= most:
            word = _load8(data, i)
            lanes += (word >> np.uint64(7)) & ~(word >> np.uint64(6)) & _EACH
            i += 8
        pairs = (lanes & _PAIRS) + ((lanes >> np.uint64(8)) & _PAIRS)
        count -= np.int64((pairs * np.uint64(0x0001000100010001)) >> np.uint64(48))
    while i < stop:
        count -= (data[i] & 0xC0) == 0x80
        i += 1
    return count


@kernel(
    types.void(
        _U8,
        _I64,
        types.Array(types.uint8, 1, "C", readonly=True),
        types.uint8[::1],
        types.int64[::1],
        types.int32[::1],
        types.int64[::1],
        types.int64[:, ::1],
        types.int64[:, ::1],
    ),
)
def _rewrite(
    data: Any,
    offsets: Any,
    state: Any,
    out: Any,
    bounds: Any,
    numbers: Any,
    number_bounds: Any,
    sizes: Any,
    removed: Any,
) -> None:
    line = at = ids = np.int64(0)
    bounds[0] = number_bounds[0] = 0
    for text in range(offsets.size - 1):
        i, end = offsets[text], offsets[text + 1]
        begin, first, number = at, ids, np.int64(0)
        run = np.int64(-1)  # where the kept lines not yet copied begin
        blank_from = blank_to = blank_number = np.int64(-1)
        while i <= end:
            start = i
            i = _line_end(data, i, end)
            fate = state[line]
            if fate == KEPT:
                if run < 0:
                    if ids > first:
                        out[at] = 10
                        at += 1
                    if blank_from >= 0 and ids > first:
                        at = _copy(data, blank_from, blank_to, out, at)
                        out[at] = 10
                        at += 1
                        numbers[ids] = blank_number
                        ids += 1
                        removed[EMPTY, 0] -= 1
                        removed[EMPTY, 1] -= blank_to - blank_from + 1
                    blank_from = np.int64(-1)
                    run = start
                numbers[ids] = number
                ids += 1
            else:
                if run >= 0:
                    at = _copy(data, run, start - 1, out, at)
                    run = np.int64(-1)
                removed[fate, 0] += 1
                removed[fate, 1] += i - start + 1
                if fate == EMPTY and blank_from < 0:
                    blank_from, blank_to, blank_number = start, i, number
            i += 1
            line += 1
            number += 1
        if run >= 0:
            at = _copy(data, run, end, out, at)
        if ids == first:
            removed[state[line - 1], 1] -= 1  # a text has one line feed less than lines
        bounds[text + 1] = at
        number_bounds[text + 1] = ids
        sizes[text, 0], sizes[text, 2] = _characters(out, begin, at), ids - first
        sizes[text, 3], sizes[text, 4] = _characters(data, offsets[text], end), number


def rewrite(data: Array[np.uint8], offsets: Array[np.int64], state: Array[np.uint8]) -> Rewritten:
    """Join the kept lines of each text by line feeds; a run of blank lines between kept ones is its first line.

    data and offsets as from `text_buffers`; state: uint8[lines] of all the texts' lines in order.
    """
    texts = len(offsets) - 1
    out = np.empty(int(offsets[-1] - offsets[0]), dtype=np.uint8)
    bounds, number_bounds = np.empty(texts + 1, dtype=np.int64), np.empty(texts + 1, dtype=np.int64)
    numbers = np.empty(len(state), dtype=np.int32)
    sizes = np.zeros((texts, 5), dtype=np.int64)
    removed = np.zeros((4, 2), dtype=np.int64)
    _rewrite(data, offsets, state, out, bounds, numbers, number_bounds, sizes, removed)
    kept = Kept(numbers[: number_bounds[-1]], number_bounds, sizes)
    return Rewritten(out[: bounds[-1]], bounds, kept, removed)


@kernel(types.void(_U64, _U64, types.boolean[::1], types.int64[::1]))
def _first_places(keys: Any, wanted: Any, likely: Any, places: Any) -> None:
    for line in range(keys.shape[0]):
        if not likely[keys[line, 0] >> np.uint64(52)]:
            continue
        for i in range(wanted.shape[0]):
            if wanted[i, 0] == keys[line, 0] and wanted[i, -1] == keys[line, -1]:
                places[i] = min(places[i], line)


def first_places(keys: Array[np.uint64], wanted: Array[np.uint64]) -> Array[np.int64]:
    """int64[m]: where each of the few `wanted` keys (uint64[m, words]) stands first in `keys`, else -1."""
    likely = np.zeros(1 << 12, dtype=np.bool_)
    likely[wanted[:, 0] >> np.uint64(52)] = True
    places = np.full(len(wanted), len(keys), dtype=np.int64)
    _first_places(keys, wanted, likely, places)
    places[places == len(keys)] = -1
    return places
