"""The kernels of the fast encoder: cut a text, look its chunks up, merge those that are new.

Everything that is compiled is in this file, since Numba's cache does not notice a change in another one. Texts are
valid UTF-8 as uint8; tables are described where they are made, in `tokenizer/encode.py`.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from corpus.kernel import kernel
from tokenizer.merges import BLANK

MEMO_BITS = 18
"""Slots of the table of chunks, as a power of two. A slot has 64 bytes: four words of key, four of ids."""
KEY_BYTES = 31
"""The most bytes of a chunk that is remembered; the 32nd byte of its key is their number."""
SLOT = 8
_MOST_IDS = 9
JOIN_BITS = 21
_FEW = 40
_BLANK = ord(BLANK)
_M1, _M2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_NO_PAIR = np.int64(0x7FFFFFFFFFFFFFFF)

Array = npt.NDArray[Any]
_U8 = nb.types.Array(nb.uint8, 1, "C", readonly=True)
_I32 = nb.types.Array(nb.int32, 1, "C", readonly=True)
_I64 = nb.types.Array(nb.int64, 1, "C", readonly=True)
_WORDS_OF = nb.types.Array(nb.uint64, 1, "A", readonly=True, aligned=False)
_INT = nb.int64


@kernel(_INT(_INT, _INT, _I64))
def _slot(left: Any, right: Any, pairs: Any) -> Any:
    """The place of a pair of symbols in the table of merges: where it is, or the empty one where it would be."""
    key = (left << 32) | (right + 1)
    mask = (pairs.size >> 1) - 1
    place = np.int64((np.uint64(key) * _M1) >> np.uint64(32)) & mask
    while pairs[2 * place] != 0 and pairs[2 * place] != key:
        place = (place + 1) & mask
    return 2 * place


@kernel(nb.void(_I64, _I64, _I64, _I32, nb.int64[::1]))
def fill_pairs(left: Any, right: Any, merged: Any, ranks: Any, pairs: Any) -> None:
    """Make the table of merges: the key of the pair, then rank and id of what the two make."""
    for row in range(left.size):
        place = _slot(left[row], right[row], pairs)
        pairs[place] = (left[row] << 32) | (right[row] + 1)
        pairs[place + 1] = (np.int64(ranks[merged[row]]) << 32) | merged[row]


@kernel(_INT(_INT, _INT, _I64))
def _merge(left: Any, right: Any, pairs: Any) -> Any:
    """Rank (upper half) and id (lower half) of the piece that two symbols make, or `_NO_PAIR`."""
    if left < 0 or right < 0:
        return _NO_PAIR
    place = _slot(left, right, pairs)
    return pairs[place + 1] if pairs[place] != 0 else _NO_PAIR


@kernel(_INT(_INT, _INT))
def _join_bit(before: Any, after: Any) -> Any:
    """The bit for two neighbouring code points. Two pairs may share one: then a cut is missed, never made wrongly."""
    return np.int64((np.uint64((before << 21) | after) * _M1) >> np.uint64(64 - JOIN_BITS))


@kernel(nb.void(_I64, _I64, nb.uint8[::1], nb.uint8[::1]))
def fill_joins(before: Any, after: Any, plain: Any, bits: Any) -> None:
    """Mark the neighbours within pieces: both ASCII in `plain`, one byte a pair, the others in `bits`."""
    for row in range(before.size):
        if before[row] < 128 and after[row] < 128:
            plain[before[row] * 128 + after[row]] = 1
        else:
            bit = _join_bit(before[row], after[row])
            bits[bit >> 3] |= np.uint8(1 << (bit & 7))


@kernel(_INT(_U8, _INT, _INT))
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


@kernel(_INT(_U8, _INT, _INT, _U8, _U8))
def _chunk_end(text: Any, start: Any, end: Any, plain: Any, bits: Any) -> Any:
    """The end of the chunk that begins at `start`: the first place that no piece can span."""
    read = _character(text, start, end)
    point, at = read >> 3, start + (read & 7)
    if point == _BLANK:
        point = 32
    while at < end:
        after, length = np.int64(text[at]), np.int64(1)
        if (point | after) < 128:
            if plain[point * 128 + after] == 0:
                break
        else:
            read = _character(text, at, end)
            after, length = read >> 3, read & 7
            if after == _BLANK:
                after = np.int64(32)
            if (point | after) < 128:
                if plain[point * 128 + after] == 0:
                    break
            else:
                bit = _join_bit(point, after)
                if (bits[bit >> 3] >> np.uint8(bit & 7)) & 1 == 0:
                    break
        point = after
        at += length
    return at


@kernel(_INT(_U8, _INT, _INT, _I64, _U8))
def _user_symbol(text: Any, at: Any, end: Any, user: Any, data: Any) -> Any:
    """The row of the longest user-defined symbol that stands at `at`, or -1. `user` has three numbers a row: where the
    symbol begins in `data`, its length, its id; the longest come first."""
    for row in range(user.size // 3):
        start, length = user[3 * row], user[3 * row + 1]
        if at + length > end:
            continue
        same = 0
        while same < length and data[start + same] == text[at + same]:
            same += 1
        if same == length:
            return np.int64(row)
    return np.int64(-1)


@kernel(_INT(_U8, _INT, _INT, _I32, _I64, _U8, nb.int64[::1], nb.int64[::1]))
def _split(text: Any, start: Any, end: Any, characters: Any, user: Any, data: Any, symbols: Any, places: Any) -> Any:
    """The first symbols of a chunk and where each begins; returns their number. A user-defined symbol, which is never
    merged, is written as -2 - id."""
    at, count = start, 0
    while at < end:
        places[count] = at
        row = _user_symbol(text, at, end, user, data) if user.size else np.int64(-1)
        if row >= 0:
            symbols[count] = -2 - user[3 * row + 2]
            at += user[3 * row + 1]
        else:
            read = _character(text, at, end)
            symbols[count] = characters[read >> 3]
            at += read & 7
        count += 1
    places[count] = end
    return count


@kernel(_INT(_INT, nb.int64[::1], nb.int64[::1], _I64))
def _merge_few(count: Any, symbols: Any, places: Any, pairs: Any) -> Any:
    """Merge up to `_FEW` symbols, looking through all pairs each time; returns how many are left, in order."""
    found = np.empty(_FEW, dtype=np.int64)
    for i in range(count - 1):
        found[i] = _merge(symbols[i], symbols[i + 1], pairs)
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
            found[best - 1] = _merge(symbols[best - 1], symbols[best], pairs)
        if best < count - 1:
            found[best] = _merge(symbols[best], symbols[best + 1], pairs)


@kernel(_INT(nb.int64[::1], _INT, _INT))
def _push(heap: Any, size: Any, key: Any) -> Any:
    """Add to a heap whose smallest key is first; returns its new size."""
    at = size
    while at > 0 and heap[(at - 1) >> 1] > key:
        heap[at] = heap[(at - 1) >> 1]
        at = (at - 1) >> 1
    heap[at] = key
    return size + 1


@kernel(_INT(nb.int64[::1], _INT))
def _pop(heap: Any, size: Any) -> Any:
    """Remove the first key; returns the new size."""
    size -= 1
    key, at = heap[size], 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= key:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = key
    return size


@kernel(_INT(_INT, nb.int64[::1], nb.int64[::1], _I64))
def _merge_many(count: Any, symbols: Any, places: Any, pairs: Any) -> Any:
    """Merge any number of symbols with a heap of rank and place; returns how many are left, in order."""
    after = np.arange(1, count + 1).astype(np.int32)
    before = np.arange(-1, count - 1).astype(np.int32)
    found = np.full(count, _NO_PAIR, dtype=np.int64)
    heap = np.empty(3 * count, dtype=np.int64)
    size: Any = np.int64(0)
    for i in range(count - 1):
        found[i] = _merge(symbols[i], symbols[i + 1], pairs)
        if found[i] != _NO_PAIR:
            size = _push(heap, size, (found[i] & ~0xFFFFFFFF) | i)
    while size:
        key = heap[0]
        size = _pop(heap, size)
        left = key & 0xFFFFFFFF
        # a key is stale when its symbol is gone or has another right neighbour by now
        if found[left] >> 32 != key >> 32:
            continue
        right = after[left]
        symbols[left] = found[left] & 0xFFFFFFFF
        after[left] = after[right]
        found[right] = found[left] = _NO_PAIR
        if after[left] < count:
            before[after[left]] = left
            found[left] = _merge(symbols[left], symbols[after[left]], pairs)
            if found[left] != _NO_PAIR:
                size = _push(heap, size, (found[left] & ~0xFFFFFFFF) | left)
        near = np.int64(before[left])
        if near >= 0:
            found[near] = _merge(symbols[near], symbols[left], pairs)
            if found[near] != _NO_PAIR:
                size = _push(heap, size, (found[near] & ~0xFFFFFFFF) | near)
    left, rest = np.int64(0), np.int64(0)
    while rest < count:
        symbols[left], places[left] = symbols[rest], places[rest]
        left += 1
        rest = np.int64(after[rest])
    places[left] = places[count]
    return left


@kernel(_INT(_U8, _INT, _INT, _I32, _I32, _I64, _I64, _U8, _INT, nb.uint32[::1], _INT))
def _encode_chunk(
    text: Any, start: Any, end: Any, characters: Any, byte_ids: Any, pairs: Any, user: Any, data: Any, pieces: Any,
    out: Any, at: Any,
) -> Any:  # fmt: skip
    """Encode one chunk by the model's rules into `out` from `at` on; returns the new end."""
    symbols = np.empty(end - start, dtype=np.int64)
    places = np.empty(end - start + 1, dtype=np.int64)
    count = _split(text, start, end, characters, user, data, symbols, places)
    count = _merge_few(count, symbols, places, pairs) if count <= _FEW else _merge_many(count, symbols, places, pairs)
    for i in range(count):
        if symbols[i] <= -2 or 0 <= symbols[i] < pieces:
            out[at] = max(symbols[i], -2 - symbols[i])
            at += 1
        else:
            for place in range(places[i], places[i + 1]):
                out[at] = byte_ids[text[place]]
                at += 1
    return at


@kernel(nb.uint64(_WORDS_OF, _INT, _INT))
def _word(words: Any, start: Any, length: Any) -> Any:
    """`length` bytes from `start` on as a number, at most eight; for less than eight they are its upper bytes."""
    return words[start] << np.uint64(64 - 8 * length) if length < 8 else words[start]


@kernel(_INT(_WORDS_OF, _INT, _INT, nb.uint64[::1], nb.uint32[::1], _INT))
def _recall(words: Any, start: Any, length: Any, memo: Any, out: Any, at: Any) -> Any:
    """Write the ids of a remembered chunk and return the new end of `out`, or -1 - slot, where it may be put."""
    first, second, third, fourth = _word(words, start, length), np.uint64(0), np.uint64(0), np.uint64(length)
    if length > 8:
        second = _word(words, start + 8, length - 8)
        if length > 16:
            third = _word(words, start + 16, length - 16)
            if length > 24:
                fourth |= _word(words, start + 24, length - 24)
    mixed = (first ^ (third * _M2)) * _M1 + (second ^ (fourth * _M1)) * _M2
    mixed ^= mixed >> np.uint64(32)
    slot = np.int64((mixed * _M1) >> np.uint64(64 - MEMO_BITS)) * SLOT
    while memo[slot + 3] != 0:
        if memo[slot] == first and memo[slot + 3] == fourth and memo[slot + 1] == second and memo[slot + 2] == third:
            ids = memo[slot + 4]
            out[at] = ids & np.uint64(0xFFFFF)
            count = np.int64(memo[slot + 7])
            if count > 1:
                out[at + 1] = (ids >> np.uint64(20)) & np.uint64(0xFFFFF)
                out[at + 2] = ids >> np.uint64(40)
                for which in range(3, count):
                    out[at + which] = (memo[slot + 4 + which // 3] >> np.uint64(20 * (which % 3))) & np.uint64(0xFFFFF)
            return at + count
        slot = (slot + SLOT) & (memo.size - 1)
    return -1 - slot


@kernel(nb.void(_WORDS_OF, _INT, _INT, nb.uint64[::1], _INT, nb.uint32[::1], _INT, _INT))
def _remember(words: Any, start: Any, length: Any, memo: Any, slot: Any, out: Any, at: Any, count: Any) -> None:
    """Put a chunk and its `count` ids, at most `_MOST_IDS`, into an empty slot."""
    memo[slot : slot + SLOT] = np.uint64(0)
    for word in range(4):
        if length > 8 * word:
            memo[slot + word] = _word(words, start + 8 * word, length - 8 * word)
    memo[slot + 3] |= np.uint64(length)
    for which in range(count):
        memo[slot + 4 + which // 3] |= np.uint64(out[at + which]) << np.uint64(20 * (which % 3))
    memo[slot + 7] = np.uint64(count)


@kernel(
    _INT(
        _U8, _WORDS_OF, _I64, _INT, _INT, _INT, _I32, _I32, _I32, _I64, _U8, _U8, _I64, _U8,
        nb.uint64[::1], nb.int64[::1], nb.uint32[::1], nb.int64[::1],
    )
)  # fmt: skip
def encode_texts(
    text: Any, words: Any, offsets: Any, prefix: Any, eod: Any, pieces: Any, characters: Any, byte_ids: Any,
    singles: Any, pairs: Any, plain: Any, bits: Any, user: Any, data: Any, memo: Any, state: Any, out: Any, ends: Any,
) -> Any:  # fmt: skip
    """Encode the texts between `offsets` into `out`; `ends` gets where each one's ids end. Returns the last end. `memo`
    holds what has been met; `state` counts its entries, the chunks and those that had to be merged."""
    at = chunks = misses = np.int64(0)
    for number in range(offsets.size - 1):
        place, end = offsets[number], offsets[number + 1]
        if prefix and place < end:
            cut = _chunk_end(text, place, end, plain, bits)
            begin = np.empty(cut - place + 1, dtype=np.uint8)
            begin[0] = 32
            begin[1:] = text[place:cut]
            if _chunk_end(begin, 0, begin.size, plain, bits) == 1:
                out[at] = singles[32]
                at += 1
            else:
                at = _encode_chunk(begin, 0, begin.size, characters, byte_ids, pairs, user, data, pieces, out, at)
                place = cut
        while place < end:
            start, point = place, np.int64(text[place])
            if point < 128:
                place += 1
                while place < end:
                    after = np.int64(text[place])
                    if after >= 128 or plain[(point << 7) | after] == 0:
                        break
                    point = after
                    place += 1
            if point >= 128 or (place < end and text[place] >= 128):
                place = _chunk_end(text, max(start, place - 1), end, plain, bits)
            length = place - start
            chunks += 1
            if length == 1:
                out[at] = singles[point]
                at += 1
                continue
            found = _recall(words, start, length, memo, out, at) if length <= KEY_BYTES else np.int64(-1)
            if found >= 0:
                at = found
                continue
            new = _encode_chunk(text, start, place, characters, byte_ids, pairs, user, data, pieces, out, at)
            misses += 1
            if length <= KEY_BYTES and new - at <= _MOST_IDS:
                if state[0] < memo.size // (2 * SLOT):
                    _remember(words, start, length, memo, -1 - found, out, at, new - at)
                    state[0] += 1
                else:
                    memo[:] = np.uint64(0)
                    state[0] = 0
            at = new
        if eod >= 0:
            out[at] = eod
            at += 1
        ends[number] = at
    state[1], state[2] = state[1] + chunks, state[2] + misses
    return at
