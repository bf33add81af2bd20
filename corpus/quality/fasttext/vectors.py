"""The kernels from texts to vectors: cut a text into words, add the rows of each word and its n-grams up.

All that may change is in this file, since Numba's cache does not notice a change in another one. Positions are unsigned
where it matters: every signed one would be looked at for being counted from the end.

A word's sum is made once and remembered, in a table of a fixed size in which a new word takes the place of an old one. The
sum of a word is of float32, its rows in fastText's order; a text's is of float64, its words in order. So what is
remembered changes no bit of an answer. fastText itself adds all rows of a text in float32, n-grams of words last: its
vectors differ from these in the last bits.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from corpus.kernel import kernel, ones, prefetch, trailing_zeros

KEY_BYTES = 32
"""The most bytes of a word that is remembered. Its key is the word, which holds no zero byte, with zeros after it."""
VECTOR_AT = 5
"""Where in a row of the memory the vector begins, after the key and a word of fastText's hash and the number of rows."""
WINDOW = 128
"""Characters of a word whose n-grams are taken at a time."""
BLOCK = 512
"""Rows that are asked for before they are read."""
STAGED = 64
"""Words that are cut off, and whose rows of the memory are asked for, before they are looked up."""
NOTHING = -1
"""The number of rows of a token that is taken for a label: it is as if it was not there."""
MINN, MAXN, BUCKET, INVERSE, SHIFT, WORD_NGRAMS, WORDS, NGRAMS, END_ID, DIM, WIDTH, SETTINGS = range(12)
"""Places in `settings`. NGRAMS: -1 every n-gram has its row, 0 none has one, 1 those with a bit in `bits`. A hash times
INVERSE, without its lowest SHIFT bits, is how often BUCKET is in it, or one more."""
_OFFSET, _PRIME, _LOW, _NGRAM_PRIME = (np.uint64(n) for n in (2166136261, 16777619, 0xFFFFFFFF, 116049371))
_BELOW, _HIGH = np.uint64(0x2121212121212121), np.uint64(0x8080808080808080)
_M1, _M2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_0, _1, _3, _8, _16, _24, _32, _63 = (np.uint64(number) for number in (0, 1, 3, 8, 16, 24, 32, 63))
_END, _LABEL = (np.uint64(int.from_bytes(text, "little")) for text in (b"</s>", b"__label_"))
_END_HASH = np.uint64(3617362777)

_U8 = nb.types.Array(nb.uint8, 1, "C", readonly=True)
_I32, _I64, _U32 = (nb.types.Array(kind, 1, "C", readonly=True) for kind in (nb.int32, nb.int64, nb.uint32))
_U64, _F32 = (nb.types.Array(kind, 1, "C", readonly=True) for kind in (nb.uint64, nb.float32))
_WORDS_OF = nb.types.Array(nb.uint64, 1, "A", readonly=True, aligned=False)
_VALUES = nb.types.Array(nb.float32, 1, "C", readonly=True, aligned=False)
_CODES = nb.types.Array(nb.uint8, 2, "C", readonly=True, aligned=False)
_TEXT, _INT, _PLACE = nb.uint8[::1], nb.int64, nb.uint64
_PARTS = (_I64, _U8, _I64, _I64, _U8, _I32, _U64, _U32, _VALUES, _CODES, _F32, _F32)
"""Of a model: its settings; of the dictionary the bytes, the starts, ends and kinds of the entries, and their slots; bits
of the n-grams that have rows, and how many are set before each word of them; of the matrix the values, or the codes,
centroids and scales."""
_MEMO = (nb.uint64[:, ::1], nb.float32[:, ::1])
"""The memory as words and as floats."""
_SCRATCH = (nb.uint64[::1], nb.uint32[::1], nb.int64[::1], nb.float32[::1], nb.uint64[::1], nb.float64[::1])
"""Marks of characters, hashes of n-grams, rows that are wanted, the sum of a word, hashes of word n-grams, the sum of a
text."""
_STAGED = (nb.uint64[::1], nb.uint64[:, ::1], nb.uint64[::1], nb.uint64[:, ::1])
"""The text that is left, the spans of the next words, their rows in the memory, and their keys."""
_MODEL, _ROOM, _NEXT = nb.types.Tuple(_PARTS), nb.types.Tuple(_SCRATCH), nb.types.Tuple(_STAGED)
_INLINE: Any = {"forceinline": True, "_nrt": False}
"""Numba counts the references of arrays that a function is given, which takes longer than what is done here: a kernel
that makes no array does without."""


@kernel(nb.boolean(nb.uint8), **_INLINE)
def _separates(byte: Any) -> Any:
    """Whether a byte stands between words: space, tab, line feed, vertical tab, form feed, return, zero."""
    return byte == 32 or (byte - 9) & 0xFF < 5 or byte == 0


@kernel(nb.uint64(nb.uint64, nb.uint8), **_INLINE)
def _step(hash: Any, byte: Any) -> Any:
    """fastText's hash with one more byte: FNV-1a of 32 bits, of bytes that are taken for signed."""
    return ((hash ^ np.uint64(np.int64(np.int8(byte)))) * _PRIME) & _LOW


@kernel(nb.uint64(nb.uint64, nb.uint64, nb.uint64, nb.uint64), **_INLINE)
def _modulo(hash: Any, buckets: Any, inverse: Any, shift: Any) -> Any:
    """A hash of 32 bits modulo the number of buckets."""
    left = hash - ((hash * inverse) >> shift) * buckets
    return left + (buckets & (_0 - (left >> _63)))


@kernel(nb.void(nb.int64[::1], _INT, _INT, _MODEL), **_INLINE)
def _find_rows(wanted: Any, first: Any, count: Any, model: Any) -> None:
    """Put the rows of n-grams in the place of their buckets, and set the memory of the rows on its way."""
    settings, _, _, _, _, _, bits, before, values, _, _, _ = model
    for which in range(np.uint64(first), np.uint64(count)):
        bucket = np.uint64(wanted[which])
        row = bucket
        if settings[NGRAMS] >= 0:
            word = bucket >> np.uint64(6)
            row = np.uint64(before[word]) + ones(bits[word] & ((_1 << (bucket & _63)) - _1))
        row += np.uint64(settings[WORDS])
        wanted[which] = np.int64(row)
        prefetch(values, row * np.uint64(settings[DIM]))


@kernel(_INT(nb.int64[::1], _INT, _MODEL, nb.float32[::1]), **_INLINE)
def _add_rows(wanted: Any, count: Any, model: Any, sum: Any) -> Any:
    """Add rows of the matrix to a sum, in order; returns their number."""
    settings, _, _, _, _, _, _, _, values, codes, centroids, scales = model
    columns, width = np.uint64(sum.size), settings[WIDTH]
    for which in range(np.uint64(count)):
        row = np.uint64(wanted[which])
        if values.size:
            begin = row * columns
            for column in range(columns):
                sum[column] += values[begin + column]
            continue
        for part in range(codes.shape[1]):
            here = min(width, np.int64(columns) - part * width)
            begin = np.uint64(part * 256 * width + codes[row, part] * here)
            for column in range(here):
                sum[part * width + column] += scales[row] * centroids[begin + np.uint64(column)]
    return count


@kernel(nb.uint64(_TEXT, _PLACE, _PLACE), **_INLINE)
def _hash(text: Any, start: Any, end: Any) -> Any:
    """fastText's hash of a word."""
    hash = _OFFSET
    for place in range(start, end):
        hash = _step(hash, text[place])
    return hash


@kernel(_INT(_TEXT, _PLACE, _PLACE, nb.uint64, _MODEL), **_INLINE)
def _entry(text: Any, start: Any, end: Any, hash: Any, model: Any) -> Any:
    """The number of a word in the dictionary, or -1."""
    _, data, starts, ends, _, slots, _, _, _, _, _, _ = model
    mask, length = np.uint64(slots.size - 1), end - start
    slot = hash & mask
    while slots[slot] >= 0:
        entry = np.uint64(slots[slot])
        begin = np.uint64(starts[entry])
        if np.uint64(ends[entry]) - begin == length:
            same = _0
            while same < length and data[begin + same] == text[start + same]:
                same += _1
            if same == length:
                return np.int64(entry)
        slot = (slot + _1) & mask
    return np.int64(-1)


@kernel(_INT(_TEXT, _PLACE, _PLACE, _INT, nb.uint64[::1]), **_INLINE)
def _characters(text: Any, at: Any, end: Any, most: Any, marks: Any) -> Any:
    """Where the first characters of a word begin, at most so many, and where the last of them ends; returns their number.
    A byte that goes on with a character belongs to what is before it, whatever that is."""
    count = _0
    while at < end and count < most:
        marks[count] = at
        count += _1
        at += _1
        while at < end and text[at] & 0xC0 == 0x80:
            at += _1
    marks[count] = at
    return np.int64(count)


@kernel(nb.void(_TEXT, nb.uint64[::1], nb.uint64, nb.uint64, nb.boolean, nb.uint32[::1]), **_INLINE)
def _extend(text: Any, marks: Any, some: Any, behind: Any, bytes_alone: Any, hashes: Any) -> None:
    """Take one more character, `behind` the one each begins with, into the hashes of some n-grams."""
    if bytes_alone:
        first = marks[0] + behind
        for which in range(some):
            byte = np.uint32(np.int32(np.int8(text[first + which])))
            hashes[which] = (hashes[which] ^ byte) * np.uint32(16777619)
        return
    for which in range(some):
        hash = np.uint64(hashes[which])
        for at in range(marks[which + behind], marks[which + behind + _1]):
            hash = _step(hash, text[at])
        hashes[which] = hash


@kernel(_INT(_TEXT, _PLACE, _PLACE, _INT, _MODEL, _ROOM), **_INLINE)
def _add_ngrams(text: Any, first: Any, last: Any, count: Any, model: Any, scratch: Any) -> Any:
    """Add the rows of the n-grams of a word, which is between < and >, to the sum, after `count` rows that are wanted
    already; returns how many were added. The shortest n-grams go first, in order; a long word has one `WINDOW` after the
    other."""
    settings, _, _, _, _, _, bits, _, _, _, _, _ = model
    marks, hashes, wanted, sum, _, _ = scratch
    minn, maxn, every = settings[MINN], settings[MAXN], np.uint64(settings[NGRAMS] < 0)
    buckets, inverse, shift = np.uint64(settings[BUCKET]), np.uint64(settings[INVERSE]), np.uint64(settings[SHIFT])
    total, place = np.int64(0), first
    while place < last:
        characters = _characters(text, place, last, WINDOW + maxn, marks)
        here = min(characters, WINDOW)
        bytes_alone = marks[np.uint64(characters)] - place == np.uint64(characters)
        for which in range(np.uint64(here)):
            hashes[which] = _OFFSET
        for n in range(1, maxn + 1):
            some = np.uint64(max(min(here, characters - n + 1), 0))
            _extend(text, marks, some, np.uint64(n - 1), bytes_alone, hashes)
            if n < minn:
                continue
            since, begin = count, np.uint64(n == 1 and place == first)
            if n == 1 and marks[some] == last:
                some -= _1
            for which in range(begin, some):
                bucket = _modulo(np.uint64(hashes[which]), buckets, inverse, shift)
                wanted[np.uint64(count)] = np.int64(bucket)
                # whether it has a row is as good as random, so no branch depends on it
                count += np.int64(((bits[bucket >> np.uint64(6)] >> (bucket & _63)) & _1) | every)
            _find_rows(wanted, since, count, model)
            if count > BLOCK - WINDOW:
                total += _add_rows(wanted, count, model, sum)
                count = np.int64(0)
        place = marks[np.uint64(here)]
    return total + _add_rows(wanted, count, model, sum)


@kernel(_INT(_TEXT, _PLACE, _PLACE, nb.uint64, _MODEL, _ROOM), **_INLINE)
def _word(text: Any, start: Any, end: Any, hash: Any, model: Any, scratch: Any) -> Any:
    """Make the sum of the rows of a word and its n-grams; returns their number, or `NOTHING` for a label."""
    settings, _, _, _, kinds, _, _, _, values, _, _, _ = model
    _, _, wanted, sum, _, _ = scratch
    sum[:] = np.float32(0)
    entry = _entry(text, start, end, hash, model)
    if entry >= 0:
        if kinds[entry]:
            return np.int64(NOTHING)
        wanted[0] = entry
        prefetch(values, np.uint64(entry * sum.size))
    elif end - start >= 9 and text[start] == 95:  # __label__
        head = _0
        for place in range(_8):
            head |= np.uint64(text[start + place]) << (_8 * place)
        if head == _LABEL and text[start + _8] == 95:
            return np.int64(NOTHING)
    count = np.int64(entry >= 0)
    if settings[MAXN] <= 0 or settings[NGRAMS] == 0:
        return _add_rows(wanted, count, model, sum)
    left, right = text[start - _1], text[end]
    text[start - _1], text[end] = 60, 62
    count = _add_ngrams(text, start - _1, end + _1, count, model, scratch)
    text[start - _1], text[end] = left, right
    return count


@kernel(_INT(nb.uint64, _INT, _MODEL, _ROOM), _nrt=False)
def _word_ngrams(hash: Any, met: Any, model: Any, scratch: Any) -> Any:
    """Add the sum of the rows of the n-grams of words that end with this one, after `met` others, to that of the text;
    returns their number."""
    settings, _, _, _, _, _, bits, _, _, _, _, _ = model
    _, _, wanted, sum, chains, total = scratch  # the chains are hashes of n-grams that begin with one of the last words
    sum[:] = np.float32(0)
    grams, count = chains.size, np.int64(0)
    signed = np.uint64(np.int64(np.int32(hash)))
    for first in range(max(met - grams, 0), met):
        chain = chains[first % grams] * _NGRAM_PRIME + signed
        chains[first % grams] = chain
        bucket = chain % np.uint64(settings[BUCKET])
        wanted[count] = np.int64(bucket)
        count += np.int64((bits[bucket >> np.uint64(6)] >> (bucket & _63)) & _1) | np.int64(settings[NGRAMS] < 0)
    chains[met % grams] = signed
    _find_rows(wanted, 0, count, model)
    _add_rows(wanted, count, model, sum)
    for column in range(sum.size):
        total[column] += sum[column]
    return count


@kernel(_PLACE(_TEXT, _WORDS_OF, _PLACE), **_INLINE)
def _word_end(text: Any, words: Any, at: Any) -> Any:
    """The end of the word that begins at `at`; a separator follows every text."""
    while True:
        word = words[at]
        low = (word - _BELOW) & ~word & _HIGH  # the first bit is of the first byte below 33
        if not low:
            at += _8
            continue
        at += trailing_zeros(low) >> _3
        if _separates(text[at]):
            return at
        at += _1


@kernel(nb.boolean(nb.uint64[:, ::1], _PLACE, _PLACE, _PLACE, _PLACE, _PLACE), **_INLINE)
def _is(memo: Any, row: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Whether a row of the memory has this key."""
    return ((memo[row, 0] ^ a) | (memo[row, 1] ^ b) | (memo[row, 2] ^ c) | (memo[row, 3] ^ d)) == 0


@kernel(_INT(_TEXT, _WORDS_OF, _U64, nb.uint64[:, ::1], _NEXT), _nrt=False)
def _cut(text: Any, words: Any, masks: Any, memo: Any, staged: Any) -> Any:
    """Cut the next words off the text in `span`, whose begin moves on: their spans, the row where the memory has each if
    it has it, and their keys, 0 for those that are too long. The memory of the rows is set on its way. Returns the number
    of words; where a word ends the text, none after it are left in the span."""
    span, spans, places, keys = staged
    at, end, count = span[0], span[1], _0
    pairs = np.uint64(memo.shape[0] // 2 - 1)  # the last pair is for words that are too long to be remembered
    while count < spans.shape[0]:
        while at < end and _separates(text[at]):
            at += _1
        if at >= end:
            break
        start = at
        at = _word_end(text, words, at)
        length = at - start
        if length == 4 and words[start] & _LOW == _END:
            at = end
            break
        spans[count, 0], spans[count, 1] = start, at
        row = pairs << _1
        a = b = c = d = _0
        if length <= KEY_BYTES:
            a, b = words[start] & masks[_24 + length], words[start + _8] & masks[_16 + length]
            c, d = words[start + _16] & masks[_8 + length], words[start + _24] & masks[length]
            mixed = ((a ^ (c * _M2)) * _M1) ^ ((b ^ (d * _M1)) * _M2)
            mixed ^= mixed >> _32
            row = ((((mixed * _M1) >> _32) * pairs) >> _32) << _1
        keys[count, 0], keys[count, 1], keys[count, 2], keys[count, 3] = a, b, c, d
        places[count] = row
        for line in range(0, 2 * memo.shape[1], 8):
            prefetch(memo, row * np.uint64(memo.shape[1]) + np.uint64(line))
        count += _1
    span[0] = at
    return np.int64(count)


@kernel(nb.void(_TEXT, _PLACE, _PLACE, _PLACE, *_MEMO, _MODEL, _ROOM), **_INLINE)
def _learn(text: Any, start: Any, end: Any, row: Any, memo: Any, memo_floats: Any, model: Any, scratch: Any) -> None:
    """Make the sum of a word and put it into its row of the memory, all but its key. What was there goes to the other row
    of the pair, so that a new word pushes out the older of two."""
    hash = _hash(text, start, end)
    found = _word(text, start, end, hash, model, scratch)
    sum = scratch[3]
    for word in range(memo.shape[1]):
        memo[row | _1, word] = memo[row, word]
    memo[row, 4] = hash << _32 | np.uint64(found) & _LOW
    for column in range(np.uint64(sum.size)):
        memo_floats[row, np.uint64(2 * VECTOR_AT) + column] = sum[column]


@kernel(
    nb.void(
        _TEXT, _WORDS_OF, _I64, _U64, *_PARTS, *_MEMO, *_SCRATCH, *_STAGED, _F32, nb.int64[::1],
        nb.float32[:, ::1], nb.int64[::1],
    ),
    _nrt=False,
)  # fmt: skip
def sum_texts(
    text: Any, words: Any, bounds: Any, masks: Any, settings: Any, data: Any, starts: Any, ends: Any, kinds: Any,
    slots: Any, bits: Any, before: Any, values: Any, codes: Any, centroids: Any, scales: Any, memo: Any, memo_floats: Any,
    marks: Any, hashes: Any, wanted: Any, sum: Any, chains: Any, total: Any, span: Any, spans: Any, places: Any, keys: Any,
    of_end: Any, state: Any, hidden: Any, counts: Any,
) -> None:  # fmt: skip
    """The mean of the rows of each text into `hidden`, and how many they are into `counts`.

    text: what `layout.lay_out` made, with 40 bytes after it; words: the eight bytes from each position on; masks: to keep
    the first bytes of such; of_end: the row of the token that ends texts; `state` counts words and those whose sum had to
    be made.
    """
    model = settings, data, starts, ends, kinds, slots, bits, before, values, codes, centroids, scales
    scratch, staged = (marks, hashes, wanted, sum, chains, total), (span, spans, places, keys)
    columns, grams = np.uint64(hidden.shape[1]), settings[WORD_NGRAMS] > 1
    for number in range(bounds.size - 1):
        span[0], span[1] = np.uint64(bounds[number]), np.uint64(bounds[number + 1] - 1)
        count, met = np.int64(0), np.int64(0)
        total[:] = 0
        while span[0] < span[1]:
            cut = _cut(text, words, masks, memo, staged)
            state[0] += cut
            for which in range(np.uint64(cut)):
                row, a, b, c, d = places[which], keys[which, 0], keys[which, 1], keys[which, 2], keys[which, 3]
                if not _is(memo, row, a, b, c, d):
                    if _is(memo, row | _1, a, b, c, d):
                        row |= _1
                    else:
                        state[1] += 1
                        _learn(text, spans[which, 0], spans[which, 1], row, memo, memo_floats, model, scratch)
                        memo[row, 0], memo[row, 1], memo[row, 2], memo[row, 3] = a if a else ~_0, b, c, d
                for column in range(columns):
                    total[column] += memo_floats[row, np.uint64(2 * VECTOR_AT) + column]
                found = np.int64(np.int32(memo[row, 4] & _LOW))
                if found != NOTHING:
                    count += found
                    if grams:
                        count += _word_ngrams(memo[row, 4] >> _32, met, model, scratch)
                    met += 1
        # every text ends as with a line feed
        count += np.int64(settings[END_ID] >= 0)
        for column in range(columns):
            total[column] += of_end[column]
        if grams:
            count += _word_ngrams(_END_HASH, met, model, scratch)
        counts[number] = count
        for column in range(columns):
            hidden[number, column] = np.float32(total[column] / count) if count else np.float32(0)
