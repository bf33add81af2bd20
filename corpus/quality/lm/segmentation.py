"""Kernels that segment words into the pieces of a unigram model: the best segmentation of a word, and by how much it
leads; and the pieces of sentences as SentencePiece finds them, with sums in single precision from the sentence's start.

An entry of a word is int64[FIELDS]: place and size of its key in a store of bytes, place and size of its normalised form
there, place and number of its pieces, and the hash of its key. Its lead is float64[2]: by how much the best segmentation
leads (negative: the word is not remembered), and minus the logarithm of the best.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from corpus.data.buffers import Array
from corpus.kernel import kernel

FIELDS, NORM, NORM_LENGTH = 8, 2, 3
LONGEST = 255
"""Bytes of the longest normalised words that are remembered."""
UNKNOWN_PIECE = -1
"""A run of characters that the model does not know."""
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_NUMBERS = types.Array(types.int64, 1, "C", readonly=True)
_SMALL = types.Array(types.int32, 1, "C", readonly=True)
_FLOATS = types.Array(types.float32, 1, "C", readonly=True)
_ENTRIES = (types.int64[:, ::1], types.float64[:, ::1], _BYTES)
_MODEL = (_NUMBERS, _SMALL, _SMALL, _FLOATS, types.float32)
"""Keys, nodes and leaves of the trie of pieces, their scores, and the score of an unknown character."""
_PLACES = types.int64[::1]


@kernel(types.int64(*_MODEL[:2], types.int64, types.int64))
def _child(keys: Any, nodes: Any, node: Any, byte: Any) -> Any:
    """The node below another for a byte; -1 where there is none. A slot that is free has a key of -1."""
    key = (node << 8) | byte
    mask = np.int64(keys.size - 1)
    at = ((key * np.int64(0x9E3779B97F4A7C15 - (1 << 64))) >> 20) & mask
    while keys[at] != key:
        if keys[at] < 0:
            return np.int64(-1)
        at = (at + 1) & mask
    return np.int64(nodes[at])


@kernel(types.int64(_BYTES, _NUMBERS, types.int64[::1], types.int32[::1], types.int32[::1]))
def build_trie(data: Any, bounds: Any, keys: Any, nodes: Any, leaves: Any) -> Any:
    """Enter pieces (byte strings, empty ones left out) into a trie whose arrays are filled with -1; how many nodes."""
    mask = np.int64(keys.size - 1)
    count = np.int64(1)
    for piece in range(bounds.size - 1):
        node = np.int64(0)
        for i in range(bounds[piece], bounds[piece + 1]):
            key = (node << 8) | np.int64(data[i])
            at = ((key * np.int64(0x9E3779B97F4A7C15 - (1 << 64))) >> 20) & mask
            while keys[at] != key and keys[at] >= 0:
                at = (at + 1) & mask
            if keys[at] < 0:
                keys[at] = key
                nodes[at] = count
                count += 1
            node = np.int64(nodes[at])
        if bounds[piece] < bounds[piece + 1]:
            leaves[node] = piece
    return count


@kernel(types.int64(types.uint8))
def _character_bytes(first: Any) -> Any:
    if first < 0xC0:
        return np.int64(1)
    return np.int64(2) if first < 0xE0 else (np.int64(3) if first < 0xF0 else np.int64(4))


@kernel(types.void(*[types.float64[::1]] * 2, *[types.int64[::1]] * 2, *[types.int64] * 3, types.float64))
def _offer(best: Any, second: Any, start: Any, piece: Any, at: Any, end: Any, found: Any, score: Any) -> None:
    """Take the paths to `end` over a piece from `at` into account: the best one there, and the second best."""
    value = best[at] + score
    rival = second[at] + score
    if value > best[end]:
        second[end] = max(best[end], rival)
        best[end], start[end], piece[end] = value, at, found
    else:
        second[end] = max(second[end], value)


@kernel(types.int64(types.int64, types.int64, *_ENTRIES, *_MODEL, types.int32[::1], types.int32[::1], types.int64))
def solve(
    first: Any, count: Any, entries: Any, leads: Any, store: Any, keys: Any, nodes: Any, leaves: Any, scores: Any,
    unknown: Any, pieces: Any, lengths: Any, used: Any,
) -> Any:  # fmt: skip
    """Find the best segmentations of new entries and by how much they lead the second best, in double precision; how many
    places of `pieces` and `lengths` are then used."""
    best, second = np.empty(LONGEST + 1, np.float64), np.empty(LONGEST + 1, np.float64)
    start, piece = np.empty(LONGEST + 1, np.int64), np.empty(LONGEST + 1, np.int64)
    for entry in range(first, count):
        base, length = entries[entry, 2], entries[entry, 3]
        leads[entry, 0], leads[entry, 1] = -1.0, 0.0
        if base < 0 or length == 0 or length > LONGEST:
            continue
        best[: length + 1] = -np.inf
        second[: length + 1] = -np.inf
        best[0] = 0.0
        at = np.int64(0)
        while at < length:
            width = min(_character_bytes(store[base + at]), length - at)
            node, single = np.int64(0), False
            for end in range(at + 1, length + 1):
                node = _child(keys, nodes, node, np.int64(store[base + end - 1]))
                if node < 0:
                    break
                found = np.int64(leaves[node])
                if found >= 0:
                    single = single or end - at == width
                    _offer(best, second, start, piece, at, end, found, np.float64(scores[found]))
            if not single:
                _offer(best, second, start, piece, at, at + width, np.int64(UNKNOWN_PIECE), np.float64(unknown))
            at += width
        steps = np.int64(0)
        at = length
        while at > 0:
            steps += 1
            at = start[at]
        at = length
        for step in range(steps - 1, -1, -1):
            pieces[used + step] = piece[at]
            lengths[used + step] = at - start[at]
            at = start[at]
        entries[entry, 4], entries[entry, 5] = used, steps
        leads[entry, 0], leads[entry, 1] = best[length] - second[length], -best[length]
        used += steps
    return used


@kernel(
    types.float32(
        *(types.float32, _BYTES, types.int64, types.int64, *_MODEL, types.float32),
        *(types.float32[::1], types.int64[::1], types.int32[::1]),
    )
)
def _segment(
    total: Any, store: Any, base: Any, length: Any, keys: Any, nodes: Any, leaves: Any, scores: Any, unknown: Any,
    reset: Any, score: Any, start: Any, piece: Any,
) -> Any:  # fmt: skip
    """Segment a word as the library does, whose sum up to it is `total`; the sum after it. From each place the best path
    goes back to `start` by `piece`."""
    start[: length + 1] = -1
    score[0] = total
    at, frontier = np.int64(0), np.int64(0)
    while at < length:
        width = min(_character_bytes(store[base + at]), length - at)
        here = score[at]
        if here < reset:
            for i in range(at, frontier + 1):
                if i == at or start[i] >= 0:
                    score[i] -= here
            here = np.float32(0)
        node, single = np.int64(0), False
        for end in range(at + 1, length + 1):
            node = _child(keys, nodes, node, np.int64(store[base + end - 1]))
            if node < 0:
                break
            found = leaves[node]
            if found < 0:
                continue
            single = single or end - at == width
            frontier = max(frontier, np.int64(end))
            value = scores[found] + here
            if start[end] < 0 or value > score[end]:
                score[end], start[end], piece[end] = value, at, found
        if not single:
            end = at + width
            frontier = max(frontier, end)
            value = unknown + here
            if start[end] < 0 or value > score[end]:
                score[end], start[end], piece[end] = value, at, np.int32(UNKNOWN_PIECE)
        at += width
    return score[length]


@kernel(
    types.int64(
        *(types.int64, types.int64, _NUMBERS, _SMALL, types.int64),
        *(types.int32[::1], types.int64[::1], types.int32[::1]),
    )
)
def _walk_back(base: Any, length: Any, start: Any, piece: Any, number: Any, out: Any, places: Any, sizes: Any) -> Any:
    """Write the pieces of a segmented word from `number` on, unknown ones that follow each other as one; the number
    after them."""
    first = number
    at = length
    before = np.int32(0)
    while at > 0:
        if number > first and piece[at] < 0 and before < 0:
            places[number - 1] = base + start[at]
            sizes[number - 1] += at - start[at]
        else:
            out[number], places[number], sizes[number] = piece[at], base + start[at], at - start[at]
            number += 1
        before = piece[at]
        at = start[at]
    i, j = first, number - 1
    while i < j:
        out[i], out[j] = out[j], out[i]
        places[i], places[j] = places[j], places[i]
        sizes[i], sizes[j] = sizes[j], sizes[i]
        i += 1
        j -= 1
    return number


@kernel(
    types.int64(
        *(_SMALL, _NUMBERS, *_ENTRIES, *_MODEL, types.float32, _SMALL, _SMALL, types.int64),
        *(types.int32[::1], types.int64[::1], types.int32[::1], types.int64[::1]),
    )
)
def emit(
    words: Any, sentences: Any, entries: Any, leads: Any, store: Any, keys: Any, nodes: Any, leaves: Any, scores: Any,
    unknown: Any, reset: Any, pieces: Any, lengths: Any, longest: Any, out: Any, places: Any, sizes: Any, ends: Any,
) -> Any:  # fmt: skip
    """Write the pieces of sentences, which end in `words` where `sentences` says: their numbers, their places in `store`,
    sizes in bytes, and where each sentence ends. How many pieces there are.

    reset: a sum below it is taken off all sums, as the library does at the beginning of any character.
    """
    score, start = np.empty(longest + 1, np.float32), np.empty(longest + 1, np.int64)
    piece = np.empty(longest + 1, np.int32)
    number, word = np.int64(0), np.int64(0)
    for sentence in range(sentences.size):
        total = np.float32(0)
        while word < sentences[sentence]:
            entry = np.int64(words[word])
            word += 1
            base, length = entries[entry, 2], entries[entry, 3]
            # a sum of at most `length` terms is off by at most length * 2^-24 of the greatest one on the way
            lead, size = leads[entry, 0], leads[entry, 1]
            rounding = np.float64(length + 1) * (np.float64(-total) + size + lead) * 2.0**-23
            certain = lead == np.inf or lead > rounding
            if lead > 0 and certain and np.float64(total) - size > reset - (LONGEST + 1) * np.float64(unknown):
                at, before = base, np.int32(0)
                for i in range(entries[entry, 4], entries[entry, 4] + entries[entry, 5]):
                    found = pieces[i]
                    total += unknown if found < 0 else scores[found]
                    if found < 0 and before < 0:
                        sizes[number - 1] += lengths[i]
                    else:
                        out[number], places[number], sizes[number] = found, at, lengths[i]
                        number += 1
                    before = found
                    at += lengths[i]
            elif length > 0:
                total = _segment(
                    total, store, base, length, keys, nodes, leaves, scores, unknown, reset, score, start, piece
                )
                number = _walk_back(base, length, start, piece, number, out, places, sizes)
        ends[sentence] = number
    return number


def trie_of(pieces: tuple[bytes, ...]) -> tuple[Array[np.int64], Array[np.int32], Array[np.int32]]:
    """Keys and nodes of its edges, and the piece that ends at each node (-1: none)."""
    data = np.frombuffer(b"".join(pieces), np.uint8)
    bounds = np.concatenate(([0], np.cumsum([len(piece) for piece in pieces]))).astype(np.int64)
    size = 1 << (2 * len(data) + 1).bit_length()
    keys, nodes = np.full(size, -1, np.int64), np.full(size, -1, np.int32)
    leaves: Array[np.int32] = np.full(len(data) + 1, -1, np.int32)
    count = build_trie(data, bounds, keys, nodes, leaves)
    return keys, nodes, leaves[:count].copy()
