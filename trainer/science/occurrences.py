"""How often spans of tokens occur in the rows that a run was trained on: an exact index by a rolling hash.

All windows of a span's length are hashed in one pass over the rows; those whose hash is a span's are compared with it token
by token. Repeated epochs count as often as they were read; spans that two rows share were never seen in one piece and do
not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import types

from corpus.kernel import kernel
from trainer.data.rows import RowRange
from trainer.data.validation_sets import PackedRows

Ints = npt.NDArray[np.int64]
_ROWS = 2048
"""Rows hashed at once."""


@dataclass(frozen=True)
class Occurrences:
    """Of each span how often it occurs, and in how many documents: int64 [spans]."""

    counts: Ints
    documents: Ints


def count_occurrences(spans: Ints, data: PackedRows, ranges: Sequence[RowRange]) -> Occurrences:
    """The occurrences of `spans` [n, length] in some rows of a packed set. Equal spans have equal numbers."""
    unique, inverse = np.unique(spans, axis=0, return_inverse=True)
    counts = np.zeros(len(unique), np.int64)
    found: list[set[int]] = [set() for _ in unique]
    if len(unique):
        keys, heads, following = _table(unique)
        for start, tokens in _blocks(data, ranges):
            hits = _hits(tokens, unique, keys, heads, following)
            if not len(hits):
                continue
            counts += np.bincount(hits[:, 2], minlength=len(unique))
            _note_documents(data, start, hits, found)
    documents = np.array([len(each) for each in found], np.int64)
    place = inverse.reshape(-1)
    return Occurrences(counts[place], documents[place])


def _blocks(data: PackedRows, ranges: Sequence[RowRange]) -> Iterator[tuple[int, Ints]]:
    width = data.identity.sequence_length + 1
    for part in ranges:
        for start in range(part.start, part.stop, _ROWS):
            rows = slice(start, min(start + _ROWS, part.stop))
            tokens = np.empty((rows.stop - rows.start, width), np.int64)
            data.copy_into(rows, tokens)
            yield start, tokens


def _note_documents(data: PackedRows, start: int, hits: Ints, found: Sequence[set[int]]) -> None:
    """Add the documents of some hits (row in the block, position, span): those that hold the first token."""
    segments = {
        int(row): data.segments(slice(start + int(row), start + int(row) + 1))[0] for row in np.unique(hits[:, 0])
    }
    for row, position, span in hits:
        end = 0
        for segment in segments[int(row)]:
            end += segment.length
            if position < end:
                found[span].add(segment.document)
                break


def _table(spans: Ints) -> tuple[npt.NDArray[np.uint64], Ints, Ints]:
    """A hash table of spans: hashes by slot, the first span of each slot (-1: none), the next span of the same hash."""
    hashes = _hash_spans(spans)
    slots = 1 << max(4, int(4 * len(spans) - 1).bit_length())
    keys, heads = np.zeros(slots, np.uint64), np.full(slots, -1, np.int64)
    following = np.full(len(spans), -1, np.int64)
    _fill(hashes, keys, heads, following)
    return keys, heads, following


def _hits(tokens: Ints, spans: Ints, keys: npt.NDArray[np.uint64], heads: Ints, following: Ints) -> Ints:
    """Where spans occur in rows [n, width]: row, position and span of each, int64 [hits, 3]."""
    room = 1024
    while True:
        out = np.empty((room, 3), np.int64)
        number = int(_scan(tokens, spans, keys, heads, following, out))
        if number <= room:
            return out[:number]
        room = number


_U64, _ROWS2 = types.uint64[::1], types.int64[:, ::1]


@kernel(types.uint64[::1](_ROWS2))
def _hash_spans(spans):  # type: ignore[no-untyped-def]  # compiled
    """The polynomial hash of every span, modulo 2^64."""
    out = np.empty(spans.shape[0], np.uint64)
    base = np.uint64(0x9E3779B97F4A7C15)
    for i in range(spans.shape[0]):
        hashed = np.uint64(0)
        for j in range(spans.shape[1]):
            hashed = hashed * base + np.uint64(spans[i, j] + 1)
        out[i] = hashed
    return out


@kernel(types.void(_U64, _U64, types.int64[::1], types.int64[::1]))
def _fill(hashes, keys, heads, following):  # type: ignore[no-untyped-def]  # compiled
    """Put spans into an open table; those of one hash are chained."""
    last = np.uint64(len(keys) - 1)
    for i in range(len(hashes)):
        hashed = hashes[i]
        slot = (hashed ^ (hashed >> np.uint64(29))) & last
        while heads[np.int64(slot)] >= 0 and keys[np.int64(slot)] != hashed:
            slot = (slot + np.uint64(1)) & last
        following[i] = heads[np.int64(slot)]
        keys[np.int64(slot)] = hashed
        heads[np.int64(slot)] = i


@kernel(types.int64(_ROWS2, _ROWS2, _U64, types.int64[::1], types.int64[::1], _ROWS2))
def _scan(tokens, spans, keys, heads, following, out):  # type: ignore[no-untyped-def]  # compiled
    """Write row, position and span of every occurrence that there is room for; gives how many there are."""
    base = np.uint64(0x9E3779B97F4A7C15)
    length = spans.shape[1]
    last = np.uint64(len(keys) - 1)
    top = np.uint64(1)
    for _ in range(length):
        top = top * base
    number = 0
    for row in range(tokens.shape[0]):
        hashed = np.uint64(0)
        for j in range(tokens.shape[1]):
            hashed = hashed * base + np.uint64(tokens[row, j] + 1)
            if j >= length:
                hashed = hashed - top * np.uint64(tokens[row, j - length] + 1)
            if j < length - 1:
                continue
            slot = (hashed ^ (hashed >> np.uint64(29))) & last
            while heads[np.int64(slot)] >= 0 and keys[np.int64(slot)] != hashed:
                slot = (slot + np.uint64(1)) & last
            span = heads[np.int64(slot)]
            begin = j - length + 1
            while span >= 0:
                same = True
                for k in range(length):
                    if tokens[row, begin + k] != spans[span, k]:
                        same = False
                        break
                if same:
                    if number < out.shape[0]:
                        out[number, 0] = row
                        out[number, 1] = begin
                        out[number, 2] = span
                    number += 1
                span = following[span]
    return number
