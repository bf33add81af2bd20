"""The kernels of the fast encoder: cut a text, look its chunks up, merge those that are new.

All that may change is in this file, since Numba's cache does not notice a change in another one. Texts are valid UTF-8
as uint8; tables are described where they are made, in `tokenizer/encode.py`.

A text is encoded a block at a time in four passes: find the cuts, ask the table for every chunk, take its answers, write
the ids. Hardly a branch depends on the text, and memory is asked for long before it is read, so nothing waits for it.
"""

from __future__ import annotations

import heapq
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from corpus.kernel import kernel, prefetch
from tokenizer.merges import BLANK

KEY_BYTES = 31
"""The most bytes of a chunk that is remembered. The last byte of a key, the 16th or the 32nd, is their number."""
SHORT_BITS, WIDE_BITS = 18, 16
"""Rows of the tables of chunks under 16 bytes and of others, as powers of two. A row has room for two chunks: a new one
pushes the older out."""
SHORT_ROW, WIDE_ROW = 8, 16
"""Words of a row. Half of a chunk's are its key, the others hold three ids each, the first also their number."""
BLOCK = 2048
"""Bytes of text that are cut at a time."""
LONGEST = 0x7FFFFFFE
"""The most bytes of a chunk: the places of its symbols are numbers of 32 bits."""
JOIN_BITS = 21
_FEW, _BLANK = 40, ord(BLANK)
_M1, _M2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_HIGH, _ID = np.uint64(0x8080808080808080), np.uint64(0xFFFFF)
_1, _2, _3, _4, _5, _8, _20, _40 = (np.uint64(number) for number in (1, 2, 3, 4, 5, 8, 20, 40))
_NO_PAIR, _NO_RANK = np.int64(0x7FFFFFFFFFFFFFFF), np.int32(0x7FFFFFFF)

Array = npt.NDArray[Any]
_U8 = nb.types.Array(nb.uint8, 1, "C", readonly=True)
_I32, _I64, _U64 = (nb.types.Array(kind, 1, "C", readonly=True) for kind in (nb.int32, nb.int64, nb.uint64))
_WORDS_OF = nb.types.Array(nb.uint64, 1, "A", readonly=True, aligned=False)
_MEMO, _KNOWN, _INT = nb.uint64[::1], nb.uint64[:, ::1], nb.int64


@kernel(_INT(nb.uint64, _U64), forceinline=True)
def _slot(key: Any, pairs: Any) -> Any:
    """Where in the table of merges a pair of symbols is, or the empty place where it would be."""
    mask = pairs.size - 1
    place = np.int64((key * _M1) >> np.uint64(38)) & mask
    while pairs[place] != 0 and pairs[place] & ~_ID != key:
        place = (place + 1) & mask
    return place


@kernel(nb.uint64(_INT, _INT), forceinline=True)
def _pair(left: Any, right: Any) -> Any:
    """The key of a pair: 22 bits for each symbol, and room for the id of what they make."""
    return (np.uint64(left) << np.uint64(42)) | (np.uint64(right + 1) << np.uint64(20))


@kernel(nb.void(_I64, _I64, _I64, nb.uint64[::1]))
def fill_pairs(left: Any, right: Any, merged: Any, pairs: Any) -> None:
    """Make the table of merges."""
    for row in range(left.size):
        key = _pair(left[row], right[row])
        pairs[_slot(key, pairs)] = key | np.uint64(merged[row])


@kernel(_INT(_INT, _INT), forceinline=True)
def join_bit(before: Any, after: Any) -> Any:
    """The bit for two neighbouring code points. Two pairs may share one: then a cut is missed, never made wrongly."""
    return np.int64((np.uint64((before << 21) | after) * _M1) >> np.uint64(64 - JOIN_BITS))


@kernel(_INT(_U8, _INT, _INT), forceinline=True)
def _character(text: Any, at: Any, end: Any) -> Any:
    """The code point at `at` (upper part) and its length in bytes (lowest three bits); the text is valid UTF-8."""
    first = np.int64(text[at])
    if first < 0x80 or at + 1 >= end:
        return (first << 3) | 1
    second = np.int64(text[at + 1]) & 0x3F
    if first < 0xE0 or at + 2 >= end:
        return ((((first & 0x1F) << 6) | second) << 3) | 2
    third = np.int64(text[at + 2]) & 0x3F
    if first < 0xF0 or at + 3 >= end:
        return ((((first & 0x0F) << 12) | (second << 6) | third) << 3) | 3
    fourth = np.int64(text[at + 3]) & 0x3F
    return ((((first & 0x07) << 18) | (second << 12) | (third << 6) | fourth) << 3) | 4


@kernel(_INT(_U8, _WORDS_OF, _INT, _INT, _INT, _U8, _U8, nb.int64[::1]))
def _cuts(text: Any, words: Any, start: Any, stop: Any, end: Any, plain: Any, bits: Any, cuts: Any) -> Any:
    """Write into `cuts` the places that no piece can span, from `start`, which is one of them, to `stop`; returns their
    number. The `end` of the text is a cut. Where there is none up to `stop`, it goes on until there is one."""
    read = _character(text, start, end)
    point, at, count = read >> 3, start + (read & 7), 0
    point = np.int64(32) if point == _BLANK else point
    while at < stop or (count == 0 and at < end):
        if at + 8 <= stop and point < 128 and words[at] & _HIGH == 0:
            word = words[at]
            for step in range(8):
                after = np.int64(word & np.uint64(0x7F))
                cuts[count] = at + step
                count += 1 - plain[(point << 7) | after]
                point = after
                word >>= np.uint64(8)
            at += 8
            continue
        read = _character(text, at, end)
        after = np.int64(32) if read >> 3 == _BLANK else read >> 3
        cuts[count] = at
        if (point | after) < 128:
            count += 1 - plain[(point << 7) | after]
        else:
            bit = join_bit(point, after)
            count += 1 - ((bits[bit >> 3] >> np.uint8(bit & 7)) & 1)
        point = after
        at += read & 7
    if at >= end:
        cuts[count] = end
        count += 1
    return count


@kernel(_INT(_U8, _INT, _INT, _I64, _U8))
def _user_symbol(text: Any, at: Any, end: Any, user: Any, data: Any) -> Any:
    """Where in `user` the longest user-defined symbol that stands at `at` is described, or -1."""
    for row in range(user[text[at]], user[np.int64(text[at]) + 1], 3):
        start, length = user[row], user[row + 1]
        if at + length > end:
            continue
        same = 1
        while same < length and data[start + same] == text[at + same]:
            same += 1
        if same == length:
            return np.int64(row)
    return np.int64(-1)


@kernel(_INT(_U8, _INT, _INT, _I32, _I64, _U8, nb.int32[::1], nb.int32[::1]), forceinline=True)
def _split(text: Any, start: Any, end: Any, characters: Any, user: Any, data: Any, symbols: Any, places: Any) -> Any:
    """The first symbols of a chunk and at which of its bytes each begins; returns their number. A user-defined symbol,
    which is never merged, is written as -2 - id."""
    at, count = start, 0
    while at < end:
        places[count] = at - start
        row = _user_symbol(text, at, end, user, data) if data.size else np.int64(-1)
        if row >= 0:
            symbols[count] = -2 - user[row + 2]
            at += user[row + 1]
        else:
            read = _character(text, at, end)
            symbols[count] = characters[read >> 3]
            at += read & 7
        count += 1
    places[count] = end - start
    return count


@kernel(_INT(_INT, _INT, _U64, _I32), forceinline=True)
def _merge(left: Any, right: Any, pairs: Any, ranks: Any) -> Any:
    """Rank (upper half) and id (lower half) of the piece that two symbols make, or `_NO_PAIR`."""
    if (left | right) < 0:
        return _NO_PAIR
    found = pairs[_slot(_pair(left, right), pairs)]
    merged = np.int64(found & _ID)
    return (np.int64(ranks[merged]) << 32) | merged if found else _NO_PAIR


@kernel(_INT(_INT, nb.int32[::1], nb.int32[::1], nb.int64[::1], _U64, _I32), forceinline=True)
def _merge_few(count: Any, symbols: Any, places: Any, found: Any, pairs: Any, ranks: Any) -> Any:
    """Merge up to `_FEW` symbols, looking through all pairs each time; returns how many are left, in order."""
    for i in range(count - 1):
        found[i] = _merge(symbols[i], symbols[i + 1], pairs, ranks)
    while True:
        best, rank = -1, np.int64(0x7FFFFFFF)
        for i in range(count - 1):
            if found[i] >> 32 < rank:
                best, rank = i, found[i] >> 32
        if best < 0:
            return count
        symbols[best] = found[best] & 0xFFFFFFFF
        for i in range(best + 1, count - 1):
            symbols[i], places[i], found[i - 1] = symbols[i + 1], places[i + 1], found[i]
        places[count - 1] = places[count]
        count -= 1
        if best > 0:
            found[best - 1] = _merge(symbols[best - 1], symbols[best], pairs, ranks)
        if best < count - 1:
            found[best] = _merge(symbols[best], symbols[best + 1], pairs, ranks)


@kernel(nb.void(_INT, _INT, nb.int32[::1], nb.int32[::1], nb.types.List(nb.int64), _U64, _I32), forceinline=True)
def _offer(left: Any, right: Any, symbols: Any, rank: Any, heap: Any, pairs: Any, ranks: Any) -> None:
    """Note the rank of a pair of neighbours, and put it into the heap if it makes a piece."""
    found = _merge(symbols[left], symbols[right], pairs, ranks)
    rank[left] = found >> 32
    if found != _NO_PAIR:
        heapq.heappush(heap, (found & ~0xFFFFFFFF) | left)


@kernel(_INT(_INT, nb.int32[::1], nb.int32[::1], _U64, _I32))
def _merge_many(count: Any, symbols: Any, places: Any, pairs: Any, ranks: Any) -> Any:
    """Merge any number of symbols with a heap of rank and place; returns how many are left, in order."""
    after, before = np.empty(count, dtype=np.int32), np.empty(count, dtype=np.int32)
    rank = np.full(count, _NO_RANK, dtype=np.int32)
    heap = [np.int64(0) for _ in range(0)]
    for i in range(count):
        after[i], before[i] = i + 1, i - 1
        if i + 1 < count:
            _offer(i, i + 1, symbols, rank, heap, pairs, ranks)
    while heap:
        key = heapq.heappop(heap)
        left = key & 0xFFFFFFFF
        # a key is stale when its symbol is gone or has another right neighbour by now
        if rank[left] != key >> 32:
            continue
        right, near = np.int64(after[left]), np.int64(before[left])
        symbols[left] = _merge(symbols[left], symbols[right], pairs, ranks) & 0xFFFFFFFF
        rank[right] = rank[left] = _NO_RANK
        right = np.int64(after[right])
        after[left] = right
        if right < count:
            before[right] = left
            _offer(left, right, symbols, rank, heap, pairs, ranks)
        if near >= 0:
            _offer(near, left, symbols, rank, heap, pairs, ranks)
    left, rest = np.int64(0), np.int64(0)
    while rest < count:
        symbols[left], places[left] = symbols[rest], places[rest]
        left += 1
        rest = np.int64(after[rest])
    places[left] = places[count]
    return left


@kernel(
    _INT(_U8, _INT, _INT, _I32, _I32, _U64, _I32, _I64, _U8, _INT, nb.int32[:, ::1], nb.int64[::1], nb.uint32[::1], _INT)
)  # fmt: skip
def _encode_chunk(
    text: Any, start: Any, end: Any, characters: Any, byte_ids: Any, pairs: Any, ranks: Any, user: Any, data: Any,
    pieces: Any, scratch: Any, found: Any, out: Any, at: Any,
) -> Any:  # fmt: skip
    """Encode a chunk by the model's rules into `out` from `at` on; returns the new end."""
    symbols, places = scratch[0], scratch[1]
    count = _split(text, start, end, characters, user, data, symbols, places)
    if end - start > _FEW:
        count = _merge_many(count, symbols, places, pairs, ranks)
    else:
        count = _merge_few(count, symbols, places, found, pairs, ranks)
    for i in range(count):
        if symbols[i] <= -2 or 0 <= symbols[i] < pieces:
            out[at] = max(symbols[i], -2 - symbols[i])
            at += 1
        else:
            for place in range(places[i], places[i + 1]):
                out[at] = byte_ids[text[start + place]]
                at += 1
    return at


@kernel(_INT(nb.uint64, nb.uint64, nb.uint64, nb.uint64, _INT), forceinline=True)
def _row(first: Any, second: Any, third: Any, fourth: Any, bits: Any) -> Any:
    """The number of the row of a key, of so many bits."""
    mixed = ((first ^ (third * _M2)) * _M1) ^ ((second ^ (fourth * _M1)) * _M2)
    mixed ^= mixed >> np.uint64(32)
    return np.int64((mixed * _M1) >> np.uint64(64 - bits))


@kernel(nb.uint64(_WORDS_OF, _INT, _INT, _INT, _U64), forceinline=True)
def _key(words: Any, start: Any, length: Any, word: Any, masks: Any) -> Any:
    """A word of the key of the chunk of `length` bytes, at most `KEY_BYTES`, at `start`, without the length."""
    # unsigned: else every index is looked at for being counted from the end
    return words[np.uint64(start + 8 * word)] & masks[np.uint64(24 + length - 8 * word)]


@kernel(nb.void(_WORDS_OF, _INT, _INT, nb.int64[::1], _U64, _MEMO, _MEMO, _KNOWN, _MEMO))
def _ask(words: Any, start: Any, count: Any, cuts: Any, masks: Any, short: Any, wide: Any, known: Any, rows: Any) -> None:  # fmt: skip
    """For each of the chunks between `start` and the `cuts`, write its key into `known` and its row into `rows`, and set
    that row's memory on its way."""
    for chunk in range(count):
        length = cuts[chunk] - start
        size = np.uint64(length) << np.uint64(56)
        if length < 16:
            a, b = _key(words, start, length, 0, masks), _key(words, start, length, 1, masks) | size
            row = _row(a, b, np.uint64(0), np.uint64(0), SHORT_BITS) * SHORT_ROW
            prefetch(short, row)
            known[chunk, 0], known[chunk, 1], rows[chunk] = a, b, row
        elif length <= KEY_BYTES:
            a, b = words[np.uint64(start)], words[np.uint64(start + 8)]
            c, d = _key(words, start, length, 2, masks), _key(words, start, length, 3, masks) | size
            row = _row(a, b, c, d, WIDE_BITS) * WIDE_ROW
            prefetch(wide, row)
            prefetch(wide, row + 8)
            known[chunk, 0], known[chunk, 1], known[chunk, 2], known[chunk, 3], rows[chunk] = a, b, c, d, row
        start = cuts[chunk]


@kernel(nb.uint64(nb.uint64), forceinline=True)
def _differs(bits: Any) -> Any:
    """1 where any bit is set, else 0, which the compiler makes no branch of."""
    return (bits | (np.uint64(0) - bits)) >> np.uint64(63)


@kernel(nb.void(_INT, _INT, nb.int64[::1], _MEMO, _MEMO, _KNOWN, _MEMO, _MEMO))
def _answer(start: Any, count: Any, cuts: Any, short: Any, wide: Any, known: Any, rows: Any, missed: Any) -> None:
    """Put the words of the ids of each chunk that was asked for in the place of its key, two under 16 bytes, else four;
    `missed` gets 1 where it is not in its table. A branch on what a table holds would be guessed wrongly again and again,
    each time after a wait for memory, so there is none."""
    for chunk in range(count):
        start, length = cuts[chunk], cuts[chunk] - start
        row, a, b, missed[chunk] = rows[chunk], known[chunk, 0], known[chunk, 1], np.uint64(1)
        if length < 16:
            newer = _differs((short[row] ^ a) | (short[row + _1] ^ b))
            older = _differs((short[row + _4] ^ a) | (short[row + _5] ^ b))
            place = row + _2 + (newer << _2)
            known[chunk, 0], known[chunk, 1] = short[place], short[place + _1]
            missed[chunk] = newer & older
        elif length <= KEY_BYTES:
            c, d = known[chunk, 2], known[chunk, 3]
            newer = _differs((wide[row] ^ a) | (wide[row + _1] ^ b) | (wide[row + _2] ^ c) | (wide[row + _3] ^ d))
            row += _8
            older = _differs((wide[row] ^ a) | (wide[row + _1] ^ b) | (wide[row + _2] ^ c) | (wide[row + _3] ^ d))
            place = row - _4 + (newer << _3)
            for word in range(4):
                known[chunk, word] = wide[place + np.uint64(word)]
            missed[chunk] = newer & older


@kernel(nb.void(_MEMO, _INT, nb.uint64, _MEMO, _MEMO, nb.uint32[::1], _INT, _INT))
def _remember(key: Any, length: Any, row: Any, short: Any, wide: Any, out: Any, at: Any, count: Any) -> None:
    """Put a chunk and its `count` ids into its table, where they fit."""
    table, half = (short, 2) if length < 16 else (wide, 4)
    if length > KEY_BYTES or count > 3 * half:
        return
    for word in range(2 * half):
        table[row + np.uint64(2 * half + word)] = table[row + np.uint64(word)]
    ids = row + np.uint64(half)
    for word in range(half):
        table[row + np.uint64(word)], table[ids + np.uint64(word)] = key[word], np.uint64(0)
    for which in range(count):
        table[ids + np.uint64(which // 3)] |= np.uint64(out[at + which]) << np.uint64(20 * (which % 3))
    table[ids] |= np.uint64(count) << np.uint64(60)


@kernel(
    _INT(
        _U8, _WORDS_OF, _I64, _INT, _INT, _I32, _I32, _U64, _I32, _U8, _U8, _I64, _U8, _U64,
        _MEMO, _MEMO, nb.int64[::1], nb.uint32[::1], nb.int64[::1],
    )
)  # fmt: skip
def encode_texts(
    text: Any, words: Any, starts: Any, free: Any, pieces: Any, characters: Any, byte_ids: Any, pairs: Any, ranks: Any,
    plain: Any, bits: Any, user: Any, data: Any, masks: Any, short: Any, wide: Any, state: Any, out: Any, ends: Any,
) -> Any:  # fmt: skip
    """Encode the texts between `starts` into `out`; `ends` gets the end of each one's ids and of the `free` places after them.
    Returns the last end, or -1 where a chunk is over `LONGEST`. `short` and `wide` hold what has been met; `state` counts chunks and those merged."""
    cuts = np.empty(BLOCK + 8, dtype=np.int64)
    known = np.empty((BLOCK + 8, 4), dtype=np.uint64)
    rows, missed = np.empty(BLOCK + 8, dtype=np.uint64), np.empty(BLOCK + 8, dtype=np.uint64)
    scratch, pair = np.empty((2, _FEW + 1), dtype=np.int32), np.empty(_FEW, dtype=np.int64)
    at: Any = np.int64(0)
    for number in range(starts.size - 1):
        place, end = starts[number], starts[number + 1]
        while place < end:
            count = _cuts(text, words, place, min(end, place + BLOCK), end, plain, bits, cuts)
            _ask(words, place, count, cuts, masks, short, wide, known, rows)
            _answer(place, count, cuts, short, wide, known, rows, missed)
            state[0] += count
            for chunk in range(count):
                start, place = place, cuts[chunk]
                length, this = place - start, slice(chunk, chunk + 1)
                if missed[chunk] and length <= KEY_BYTES:  # it may have come in since
                    _ask(words, start, 1, cuts[this], masks, short, wide, known[this], rows[this])
                    _answer(start, 1, cuts[this], short, wide, known[this], rows[this], missed[this])
                if not missed[chunk]:
                    size = np.int64(known[chunk, 0] >> np.uint64(60))
                    for word in range((size + 2) // 3):
                        three, to = known[chunk, word], np.uint64(at + 3 * word)
                        out[to], out[to + _1], out[to + _2] = three & _ID, (three >> _20) & _ID, (three >> _40) & _ID
                    at += size
                    continue
                if length > LONGEST:
                    return np.int64(-1)
                model = text, start, place, characters, byte_ids, pairs, ranks, user, data, pieces
                room = scratch if length <= _FEW else np.empty((2, length + 1), dtype=np.int32)
                end_of_ids = _encode_chunk(*model, room, pair, out, at)
                state[1] += 1
                _ask(words, start, 1, cuts[this], masks, short, wide, known[this], rows[this])
                _remember(known[chunk], length, rows[chunk], short, wide, out, at, end_of_ids - at)
                at = end_of_ids
        at += free
        ends[number] = at
    return at
