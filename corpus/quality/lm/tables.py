"""A language model in memory, read from an ARPA file: n-grams in hash tables, scored as KenLM does.

An n-gram is found from its last word back: the place of the shorter one that it ends with, and the word before that, are
its key, so that a key says exactly which n-gram it is. Where it lies follows from its words alone: all places of a word's
n-grams are known at once, and are fetched some words ahead. Sums are in single precision and in KenLM's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import types

from corpus.data.buffers import Array
from corpus.kernel import kernel, prefetch

_AHEAD = 4
"""How many words ahead n-grams are fetched."""
_ROOM = 1.5
"""Slots for each n-gram."""
_FREE = 0xFFFFFFFFFFFFFFFF
UNKNOWN_LOGARITHM = -100.0
"""What KenLM takes for `<unk>` where a model has none."""
_MULTIPLY = 0x9E3779B97F4A7C15
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_NUMBERS = types.Array(types.int64, 1, "C", readonly=True)
_SMALL = types.Array(types.int32, 1, "C", readonly=True)
_KEYS = types.Array(types.uint64, 1, "C", readonly=True)
_FLOATS = types.Array(types.float32, 1, "C", readonly=True)
DONE, _SHORT, _NUMBER, _WORD, _END, HOLE, _TWICE = 0, 1, 2, 3, 4, 5, 6
PROBLEMS = {
    _SHORT: "it ends before all of its n-grams",
    _NUMBER: "a line has no number where one is wanted",
    _WORD: "an n-gram has a word that is no 1-gram",
    _END: "a line has more, or fewer, words than its order",
    _TWICE: "a word or an n-gram is there twice",
}


@kernel(types.uint64(_BYTES, types.int64, types.int64))
def _word_hash(data: Any, begin: Any, end: Any) -> Any:
    key = np.uint64(0xCBF29CE484222325)
    for i in range(begin, end):
        key = (key ^ np.uint64(data[i])) * np.uint64(0x100000001B3)
    return key ^ (key >> np.uint64(31))


@kernel(types.int64(_BYTES, types.int64, types.int64, _BYTES, _NUMBERS, _SMALL))
def find_name(data: Any, begin: Any, end: Any, names: Any, bounds: Any, slots: Any) -> Any:
    """The number of a word, or -1 - (the free slot for it)."""
    mask = np.int64(slots.size - 1)
    slot = np.int64(_word_hash(data, begin, end) & np.uint64(mask))
    while slots[slot] >= 0:
        word = np.int64(slots[slot])
        first = bounds[word]
        same = bounds[word + 1] - first == end - begin
        if same:
            for i in range(end - begin):
                if names[first + i] != data[begin + i]:
                    same = False
                    break
        if same:
            return word
        slot = (slot + 1) & mask
    return -1 - slot


@kernel(types.uint64(types.uint64, types.int64))
def _mixed(key: Any, word: Any) -> Any:
    """The hash of an n-gram from that of the one without its first word, which is the word."""
    key = (key ^ (np.uint64(word) * np.uint64(_MULTIPLY))) * np.uint64(0xD6E8FEB86659FD93)
    return key ^ (key >> np.uint64(32))


@kernel(types.int64(types.uint64, types.int64))
def _slot(key: Any, size: Any) -> Any:
    return np.int64(((key >> np.uint64(32)) * np.uint64(size)) >> np.uint64(32))


@kernel(types.int64(_KEYS, types.int64, types.int64, types.uint64, types.uint64))
def _find(table: Any, begin: Any, size: Any, hashed: Any, key: Any) -> Any:
    """The slot (two words of `table` each: the key, and the bits of probability and backoff) of a key in the part of an
    order, or -1 - (the free slot for it)."""
    slot = _slot(hashed, size)
    while True:
        there = table[begin + 2 * slot]
        if there == key:
            return slot
        if there == np.uint64(_FREE):
            return -1 - slot
        slot += 1
        if slot == size:
            slot = np.int64(0)


@kernel(types.UniTuple(types.float64, 2)(_BYTES, types.int64))
def _read_number(data: Any, at: Any) -> Any:
    """A decimal number and the place after it; that place is negative where there is no number."""
    sign = 1.0
    if at < data.size and (data[at] == 45 or data[at] == 43):
        sign = -1.0 if data[at] == 45 else 1.0
        at += 1
    digits = 0.0
    places = np.int64(0)
    begin = at
    while at < data.size and 48 <= data[at] <= 57:
        digits = digits * 10.0 + (data[at] - 48)
        at += 1
    count = at - begin
    if at < data.size and data[at] == 46:
        at += 1
        begin = at
        while at < data.size and 48 <= data[at] <= 57:
            digits = digits * 10.0 + (data[at] - 48)
            at += 1
        places = at - begin
        count += places
    if count == 0:
        return 0.0, -1.0
    if at < data.size and (data[at] == 101 or data[at] == 69):
        at += 1
        below = False
        if at < data.size and (data[at] == 45 or data[at] == 43):
            below = data[at] == 45
            at += 1
        power = np.int64(0)
        begin = at
        while at < data.size and 48 <= data[at] <= 57 and power < 1000:
            power = power * 10 + (np.int64(data[at]) - 48)
            at += 1
        if at == begin:
            return 0.0, -1.0
        places += power if below else -power
    if places > 0:
        digits = digits / 10.0**places
    elif places < 0:
        digits = digits * 10.0**-places
    return sign * digits, np.float64(at)


@kernel(types.UniTuple(types.int64, 2)(_BYTES, types.int64))
def _word_span(data: Any, at: Any) -> Any:
    """Begin and end of the word after a blank; where there is none the begin is negative."""
    if at >= data.size or (data[at] != 9 and data[at] != 32):
        return np.int64(-1), np.int64(at)
    first = at + 1
    at = first
    while at < data.size and data[at] != 9 and data[at] != 32 and data[at] != 10 and data[at] != 13:
        at += 1
    return (first, at) if at > first else (np.int64(-1), at)


@kernel(types.Tuple((types.float64, types.int64, types.int64))(_BYTES, types.int64))
def _line_end(data: Any, at: Any) -> Any:
    """The backoff weight at the end of a line, 0 where there is none; the place after the line; what is wrong."""
    backoff, after = 0.0, np.float64(at)
    if at < data.size and (data[at] == 9 or data[at] == 32):
        backoff, after = _read_number(data, at + 1)
        if after < 0:
            return 0.0, at, np.int64(_END)
    place = np.int64(after)
    if place < data.size and data[place] == 13:
        place += 1
    if place >= data.size:
        return 0.0, place, np.int64(_SHORT)
    return backoff, place + 1, np.int64(DONE if data[place] == 10 else _END)


@kernel(types.int64(_BYTES, types.int64))
def _no_number(data: Any, at: Any) -> Any:
    """What is wrong where a line does not begin with a number."""
    return np.int64(_SHORT if at >= data.size or data[at] == 10 or data[at] == 13 or data[at] == 92 else _NUMBER)


_STATE = types.int64[::1]
"""The place in the file, and how many n-grams of the order are read."""
_VOCABULARY = (types.uint8[::1], types.int64[::1], types.int32[::1])


@kernel(types.int64(_BYTES, types.int64, *_VOCABULARY, types.float32[::1], types.float32[::1], _STATE))
def _read_words(
    data: Any, count: Any, names: Any, bounds: Any, slots: Any, probabilities: Any, backoffs: Any, state: Any
) -> Any:
    """Read the 1-grams; `DONE`, or what is wrong."""
    at = state[0]
    for number in range(count):
        state[1] = number
        probability, after = _read_number(data, at)
        if after < 0:
            return _no_number(data, at)
        first, last = _word_span(data, np.int64(after))
        if first < 0:
            return np.int64(_END)
        found = find_name(data, first, last, names, bounds, slots)
        if found >= 0:
            return np.int64(_TWICE)
        slots[-1 - found] = number
        for i in range(last - first):
            names[bounds[number] + i] = data[first + i]
        bounds[number + 1] = bounds[number] + last - first
        backoff, at, problem = _line_end(data, last)
        if problem != DONE:
            return problem
        probabilities[number] = min(0.0, probability)
        backoffs[number] = backoff
    state[0] = at
    return np.int64(DONE)


@kernel(
    types.int64(
        *(_BYTES, types.int64, types.int64, _BYTES, _NUMBERS, _SMALL),
        *(types.uint64[::1], types.float32[::1], _NUMBERS, _STATE),
    )
)
def _read_ngrams(
    data: Any, n: Any, count: Any, names: Any, bounds: Any, slots: Any, table: Any, values: Any, parts: Any, state: Any
) -> Any:
    """Read the n-grams of an order above 1; `DONE`, or what is wrong."""
    words = np.empty(n, np.int64)
    at = state[0]
    for number in range(count):
        state[1] = number
        probability, after = _read_number(data, at)
        if after < 0:
            return _no_number(data, at)
        last = np.int64(after)
        for j in range(n):
            first, last = _word_span(data, last)
            if first < 0:
                return np.int64(_END)
            words[j] = find_name(data, first, last, names, bounds, slots)
            if words[j] < 0:
                return np.int64(_WORD)
        backoff, at, problem = _line_end(data, last)
        if problem != DONE:
            return problem
        hashed, place = np.uint64(words[n - 1]), words[n - 1]
        key = np.uint64(0)
        for k in range(2, n + 1):
            hashed = _mixed(hashed, words[n - k])
            key = (np.uint64(place) << np.uint64(28)) | np.uint64(words[n - k])
            place = _find(table, 2 * parts[k], parts[k + 1] - parts[k], hashed, key)
            if place < 0 and k < n:
                return np.int64(HOLE)
        if place >= 0:
            return np.int64(_TWICE)
        slot = 2 * (parts[n] - 1 - place)
        table[slot] = key
        values[2 * slot + 2] = min(0.0, probability)
        values[2 * slot + 3] = backoff
    state[0] = at
    return np.int64(DONE)


@kernel(types.void(_SMALL, _BYTES, _NUMBERS, _SMALL, _SMALL, types.int64, _BYTES, _NUMBERS, _SMALL, types.int32[::1]))
def _resolve(
    pieces: Any, store: Any, places: Any, sizes: Any, known: Any, unknown: Any, names: Any, bounds: Any, slots: Any,
    words: Any,
) -> Any:  # fmt: skip
    """The words of pieces: `known` of those with a number, others by their bytes; `unknown` where there is none."""
    for i in range(pieces.size):
        if pieces[i] >= 0:
            words[i] = known[pieces[i]]
        else:
            found = find_name(store, places[i], places[i] + sizes[i], names, bounds, slots)
            words[i] = found if found >= 0 else unknown


@kernel(
    types.void(
        *(_SMALL, _NUMBERS, types.int64, types.int64, _FLOATS, _FLOATS, _KEYS, _FLOATS, _NUMBERS, types.int64),
        types.float32[::1],
    )
)
def _score(
    words: Any, ends: Any, begin_word: Any, end_word: Any, probabilities: Any, backoffs: Any, table: Any, values: Any,
    parts: Any, order: Any, out: Any,
) -> Any:  # fmt: skip
    """The logarithm of each sentence."""
    context = np.empty(order, np.int64)
    weights = np.empty(order, np.float32)
    found = np.empty(order, np.float32)
    at = np.int64(0)
    for sentence in range(ends.size):
        end = ends[sentence]
        total = np.float32(0)
        context[0] = begin_word
        weights[0] = backoffs[begin_word]
        length = np.int64(1)
        while at <= end:
            ahead = at + _AHEAD
            if ahead < end:
                hashed = np.uint64(words[ahead])
                for k in range(2, order + 1):
                    back = ahead - (k - 1)
                    if back < 0:
                        break
                    hashed = _mixed(hashed, np.int64(words[back]))
                    prefetch(table, 2 * (parts[k] + _slot(hashed, parts[k + 1] - parts[k])))
            word = np.int64(words[at]) if at < end else end_word
            value = probabilities[word]
            found[0] = backoffs[word]
            matched = np.int64(1)
            hashed = np.uint64(word)
            place = word
            for k in range(2, min(length + 1, order) + 1):
                back = context[k - 2]
                hashed = _mixed(hashed, back)
                key = (np.uint64(place) << np.uint64(28)) | np.uint64(back)
                place = _find(table, 2 * parts[k], parts[k + 1] - parts[k], hashed, key)
                if place < 0:
                    break
                slot = 2 * (2 * (parts[k] + place)) + 2
                value = values[slot]
                found[k - 1] = values[slot + 1]
                matched = np.int64(k)
            for k in range(matched - 1, length):
                value += weights[k]
            total += value
            length = min(matched, order - 1)
            for k in range(length - 1, 0, -1):
                context[k] = context[k - 1]
            context[0] = word
            for k in range(length):
                weights[k] = found[k]
            at += 1
        at = end
        out[sentence] = total


class Tables:
    """A model in memory. Words have numbers in the order of the file; there is room for one more, `<unk>`."""

    def __init__(self, counts: Sequence[int], name_bytes: int) -> None:
        """Empty tables for so many n-grams of each order, and so many bytes of words."""
        sizes = [int(count * _ROOM) + 1 for count in counts[1:]]
        self.order = len(counts)
        self.unknown = self._begin = self._end = -1
        self._count = counts[0]
        self._parts: Array[np.int64] = np.concatenate(([0, 0, 0], np.cumsum(sizes))).astype(np.int64)
        self._table: Array[np.uint64] = np.full(2 * sum(sizes), np.uint64(_FREE))
        self._names: Array[np.uint8] = np.empty(name_bytes, np.uint8)
        self._bounds: Array[np.int64] = np.zeros(counts[0] + 1, np.int64)
        self._slots: Array[np.int32] = np.full(1 << (2 * counts[0] + 2).bit_length(), -1, np.int32)
        self._probabilities: Array[np.float32] = np.zeros(counts[0] + 1, np.float32)
        self._backoffs: Array[np.float32] = np.zeros(counts[0] + 1, np.float32)

    def read(self, data: Array[np.uint8], n: int, count: int, at: int) -> tuple[int, int, int]:
        """Read the n-grams of an order from their first line on: `DONE` or what is wrong, the place after them (or where
        it is wrong), and the number of the last one."""
        state: Array[np.int64] = np.array([at, 0], np.int64)
        vocabulary = (self._names, self._bounds, self._slots)
        if n == 1:
            problem = _read_words(data, count, *vocabulary, self._probabilities, self._backoffs, state)
            self._names = self._names[: self._bounds[-1]].copy()
        else:
            values = self._table.view(np.float32)
            problem = _read_ngrams(data, n, count, *vocabulary, self._table, values, self._parts, state)
        return int(problem), int(state[0]), int(state[1])

    def close(self) -> str:
        """Find the special words once all is read; the one that is missing. Without `<unk>` KenLM's logarithm is taken."""
        self.unknown = max(self._number(b"<unk>"), self._number(b"<UNK>"))
        self._begin, self._end = self._number(b"<s>"), self._number(b"</s>")
        if self.unknown < 0:
            self.unknown = self._count
            self._probabilities[self.unknown] = UNKNOWN_LOGARITHM
        return "<s>" if self._begin < 0 else "</s>" if self._end < 0 else ""

    def _number(self, name: bytes) -> int:
        found = find_name(np.frombuffer(name, np.uint8), 0, len(name), self._names, self._bounds, self._slots)
        return max(-1, int(found))

    def word(self, name: bytes) -> int:
        """The number of a word, that of `<unk>` where there is none."""
        found = self._number(name)
        return found if found >= 0 else self.unknown

    def words(self, pieces: Array[np.int32], stored: tuple[Any, Any, Any], known: Array[np.int32]) -> Array[np.int32]:
        """The words of pieces, which are `stored` as in `Encoded`; `known`: the word of each of the model's pieces."""
        words: Array[np.int32] = np.empty(len(pieces), np.int32)
        _resolve(pieces, *stored, known, self.unknown, self._names, self._bounds, self._slots, words)
        return words

    def score(self, words: Array[np.int32], ends: Array[np.int64]) -> Array[np.float32]:
        """The base 10 logarithm of the probability of each sentence, its end included, as `kenlm.Model.score`.

        ends: where each sentence ends in the words; a sentence without words has its end alone.
        """
        out: Array[np.float32] = np.empty(len(ends), np.float32)
        _score(
            *(words, ends, self._begin, self._end, self._probabilities, self._backoffs),
            *(self._table, self._table.view(np.float32), self._parts, self.order, out),
        )
        return out
