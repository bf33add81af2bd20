"""Sentences of English lines, counted by the rules of Punkt (Kiss and Strunk 2006, as in NLTK) without its trained model.

A sentence ends at `.`, `?` or `!`, perhaps with closing quotes or brackets, before white space and more text, unless a full
stop belongs to an abbreviation of a list, to an initial before a letter, or to a number before a lower-case letter, or unless it
is an ellipsis. What is left of the line is a sentence. NLTK differs in this: its trained model knows other abbreviations,
words that begin sentences and words that go together; each mark of `?!` ends a sentence of its own; a mark right before a
bracket or colon ends one, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numba import types

from corpus.data.buffers import Array, text_buffers
from corpus.kernel import kernel
from corpus.quality.characters import LETTER, character_table
from corpus.quality.cut import I64, U8

ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st jr sr rev hon gen col maj capt lt sgt cpl adm gov sen rep pres supt insp messrs mme mlle"
    " inc corp co ltd llc bros assn dept univ vs etc e.g i.e al cf viz approx vol pp eds trans"
    " jan feb apr jun jul aug sep sept oct nov dec mon tue tues thu thur thurs fri"
    " u.s u.k u.n e.u d.c n.y l.a n.j n.h n.c s.c u.s.a u.s.s.r a.m p.m b.c a.d ph.d m.d b.a m.a m.s b.s j.d r.n"
    " ariz calif colo conn fla ga mich minn mont neb nev okla penn tenn va wis wyo md vt ky kan ave blvd rd ft mt hwy".split()
)
"""Words after which a full stop ends no sentence: English abbreviations that are no other words, lower case, at most eight
bytes."""
_ABBREVIATIONS = np.sort(np.array([int.from_bytes(word.encode(), "little") for word in ABBREVIATIONS], dtype=np.uint64))
_NO_WORD = np.zeros(128 + 128, dtype=np.uint8)
_NO_WORD[[ord(char) for char in ")\";}]*:@'({[!?"]] = 1
"""Bytes that no word has in it, by Punkt."""


def sentences_in(text: pa.Array) -> Array[np.int64]:
    """int64[texts]: the sentences of the lines of a string column; an empty line has none."""
    data, bounds = text_buffers(text)
    found = np.zeros(len(bounds) - 1, dtype=np.int64)
    _count(data, bounds, character_table(), found)
    return found


@kernel(types.int64(U8, types.int64, types.int64))
def _blank(data: Any, at: Any, end: Any) -> Any:
    """The bytes of the white space character at `at`; 0 where there is none."""
    first = data[at]
    if first < 0x80:
        return 1 if first == 0x20 or 9 <= first <= 13 or 0x1C <= first <= 0x1F else 0
    if first == 0xC2:
        return 2 if at + 1 < end and (data[at + 1] == 0x85 or data[at + 1] == 0xA0) else 0
    if at + 2 >= end:
        return 0
    second, third = data[at + 1], data[at + 2]
    if first == 0xE2 and second == 0x80:
        return 3 if third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF else 0
    if first == 0xE2:
        return 3 if second == 0x81 and third == 0x9F else 0
    if first == 0xE1:
        return 3 if second == 0x9A and third == 0x80 else 0
    return 3 if first == 0xE3 and second == 0x80 and third == 0x80 else 0


@kernel(types.UniTuple(types.int64, 2)(U8, types.int64, types.int64))
def _character(data: Any, at: Any, end: Any) -> Any:
    """The code point at `at` and where the next begins; -1 at the end."""
    if at >= end:
        return np.int64(-1), end
    code = np.int64(data[at])
    size = 1
    if code >= 0xC0:
        size = 2 if code < 0xE0 else (3 if code < 0xF0 else 4)
        code &= 0x1F if size == 2 else (0x0F if size == 3 else 0x07)
        for i in range(1, size):
            code = (code << 6) | (np.int64(data[at + i]) & 0x3F if at + i < end else np.int64(0))
    return code, min(at + size, end)


@kernel(types.UniTuple(types.int64, 2)(U8, types.int64, types.int64))
def _word_before(data: Any, begin: Any, stop: Any) -> Any:
    """Where the word that ends at `stop` begins, and where its last part after a hyphen does."""
    first, part = stop, np.int64(-1)
    while first > begin:
        at = first - 1
        while at > begin and (data[at] & 0xC0) == 0x80:
            at -= 1
        if data[at] == 0x27:  # it begins the next word, as in Taylor's
            first = at
            break
        if _NO_WORD[data[at]] or _blank(data, at, stop) > 0:
            break
        if data[at] == 0x2D and part < 0:
            part = first
        first = at
    return first, first if part < 0 else part


@kernel(types.boolean(U8, types.int64, types.int64))
def _abbreviated(data: Any, begin: Any, stop: Any) -> Any:
    """Whether a word is an abbreviation, in any case."""
    if not 0 < stop - begin <= 8:
        return False
    key = np.uint64(0)
    for i in range(begin, stop):
        code = data[i] | 0x20 if 0x41 <= data[i] <= 0x5A else data[i]
        key |= np.uint64(code) << np.uint64(8 * (i - begin))
    place = np.searchsorted(_ABBREVIATIONS, key)
    return place < _ABBREVIATIONS.size and _ABBREVIATIONS[place] == key


@kernel(types.boolean(U8, types.int64, types.int64, types.int64, types.int64, U8))
def _goes_on(data: Any, begin: Any, stop: Any, after: Any, end: Any, table: Any) -> Any:
    """Whether the sentence goes on after the full stop at `stop`; `after` is where closing marks end, and text follows."""
    first, part = _word_before(data, begin, stop)
    if _abbreviated(data, first, stop) or _abbreviated(data, part, stop):
        return True
    if after != stop + 1:
        return False
    at = after
    while at < end and _blank(data, at, end) > 0:
        at += _blank(data, at, end)
    following, _ = _character(data, at, end)
    code, past = _character(data, first, stop)
    if past == stop and 0 <= code < table.size and table[code] & LETTER:
        return 0 <= following < table.size and (table[following] & LETTER) != 0
    number = False
    for i in range(first, stop):
        digit = 0x30 <= data[i] <= 0x39
        number |= digit
        if not (digit or data[i] == 0x2C or data[i] == 0x2E or data[i] == 0x2D):
            return False
    return number and 0x61 <= following <= 0x7A


@kernel(types.int64(U8, types.int64, types.int64))
def _closing(data: Any, at: Any, end: Any) -> Any:
    """The bytes of the closing quote or bracket at `at`; 0 where there is none."""
    code = data[at]
    if code == 0x22 or code == 0x27 or code == 0x29 or code == 0x5D or code == 0x7D:
        return 1
    if code == 0xC2:
        return 2 if at + 1 < end and (data[at + 1] == 0xAB or data[at + 1] == 0xBB) else 0
    if code != 0xE2 or at + 2 >= end or data[at + 1] != 0x80:
        return 0
    last = data[at + 2]
    return 3 if last == 0x98 or last == 0x99 or last == 0x9C or last == 0x9D else 0


@kernel(types.int64(U8, types.int64, types.int64, U8))
def _sentences(data: Any, begin: Any, end: Any, table: Any) -> Any:
    """The sentences of a line that is not empty."""
    found, at = np.int64(1), begin
    while at < end:
        if data[at] != 0x2E and data[at] != 0x3F and data[at] != 0x21:
            at += 1
            continue
        mark, dots = at, True
        while at < end and (data[at] == 0x2E or data[at] == 0x3F or data[at] == 0x21):
            dots &= data[at] == 0x2E
            at += 1
        stops = at - mark
        while at < end and _closing(data, at, end) > 0:
            at += _closing(data, at, end)
        if at == end or _blank(data, at, end) == 0 or (dots and stops > 1):
            continue
        if not dots or not _goes_on(data, begin, mark, at, end, table):
            found += 1
    return found


@kernel(types.void(U8, I64, U8, types.int64[::1]))
def _count(data: Any, bounds: Any, table: Any, out: Any) -> None:
    for text in range(bounds.size - 1):
        begin = bounds[text]
        for at in range(bounds[text], bounds[text + 1] + 1):
            if at == bounds[text + 1] or data[at] == 10:
                if at > begin:
                    out[text] += _sentences(data, begin, at, table)
                begin = at + 1
