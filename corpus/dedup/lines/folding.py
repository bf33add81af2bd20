"""`folded` text: what lines and books are compared by when case, accents, punctuation and spacing do not matter.

`folded` is the definition, character by character, and `fold_texts` the same over UTF-8 buffers: a kernel with one
table for all planes. The tables are those of the running interpreter's Unicode.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import Any

import numpy as np
from numba import types

from corpus.data.buffers import Array
from corpus.kernel import kernel

PLANES = 0x20000
"""Characters below have an entry in the table; of those above only the ones in `RANGES` change (a test proves it)."""
RANGES = ((0x2F800, 0x2FA20), (0xE0000, 0xE1000))
"""CJK compatibility ideographs; tags and variation selectors."""
_SPACE = -1
_SAME = -2
_SIZE_BITS = 6
_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_I32 = types.Array(types.int32, 1, "C", readonly=True)
_I64 = types.Array(types.int64, 1, "C", readonly=True)


def folded(text: str) -> str:
    """The folded form of `text`: its words, folded and joined by single spaces.

    White space (Python's `str.isspace`) separates words. Every other character is decomposed (NFKD), freed of accents,
    case-folded and decomposed again; of the result go accents, punctuation, symbols, white space, control and format
    characters, and decimal digits become `0`. Marks that spell (vowel signs, viramas, voicing marks) are no accents.
    """
    words = "".join(" " if char.isspace() else fold_character(char) for char in text).split(" ")
    return " ".join(word for word in words if word)


def fold_character(char: str) -> str:
    """What becomes of one character that is no white space."""
    plain = "".join(part for part in unicodedata.normalize("NFKD", char) if not is_accent(part))
    plain = unicodedata.normalize("NFKD", plain.casefold())
    return "".join("0" if part.isdecimal() else part for part in plain if not (is_accent(part) or _is_mark_up(part)))


def is_accent(char: str) -> bool:
    """Whether a character is an accent: an overlay (combining class 1), a Hebrew or Arabic point (10 to 36), anything
    attached, above or below (200 and more), or a variation selector."""
    group = unicodedata.combining(char)
    selector = (
        "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef" or char in "\u034f\u180b\u180c\u180d"
    )
    return group == 1 or 10 <= group <= 36 or group >= 200 or selector


def _is_mark_up(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] in "PSZ" or category in ("Cc", "Cf")


@functools.cache
def fold_table() -> tuple[Array[np.int32], Array[np.uint8]]:
    """int32[entries]: white space, unchanged, or a place and size (6 bits) in the second array, the UTF-8 bytes of what
    characters become."""
    codes = [*range(PLANES), *(code for low, high in RANGES for code in range(low, high))]
    table = np.full(len(codes), _SAME, dtype=np.int32)
    known: dict[bytes, int] = {}
    forms = bytearray()
    for place, code in enumerate(codes):
        char = chr(code)
        if char.isspace():
            table[place] = _SPACE
            continue
        if 0xD800 <= code < 0xE000 or (form := fold_character(char)) == char:
            continue
        form_bytes = form.encode()
        assert len(form_bytes) < 1 << _SIZE_BITS
        if form_bytes not in known:
            known[form_bytes] = len(forms) << _SIZE_BITS | len(form_bytes)
            forms += form_bytes
        table[place] = known[form_bytes]
    table.flags.writeable = False
    return table, np.frombuffer(bytes(forms), dtype=np.uint8)


@kernel(types.UniTuple(types.int64, 2)(_U8, types.int64, types.int64))
def _decode(data: Any, at: Any, end: Any) -> Any:
    """Code point and size at `at`; a sequence cut short is one byte of no character."""
    lead = np.int64(data[at])
    if lead < 0x80:
        return lead, np.int64(1)
    if lead < 0xE0 and at + 2 <= end:
        return (lead & 31) << 6 | (np.int64(data[at + 1]) & 63), np.int64(2)
    if lead < 0xF0 and at + 3 <= end:
        return (lead & 15) << 12 | (np.int64(data[at + 1]) & 63) << 6 | (np.int64(data[at + 2]) & 63), np.int64(3)
    if at + 4 <= end:
        high = (lead & 7) << 18 | (np.int64(data[at + 1]) & 63) << 12
        return high | (np.int64(data[at + 2]) & 63) << 6 | (np.int64(data[at + 3]) & 63), np.int64(4)
    return np.int64(0x1FFFFF), np.int64(1)


@kernel(types.int64(_I32, types.int64))
def _entry(table: Any, code: Any) -> Any:
    if code < PLANES:
        return np.int64(table[code])
    base = np.int64(PLANES)
    for low, high in RANGES:
        if low <= code < high:
            return np.int64(table[base + code - low])
        base += high - low
    return np.int64(_SAME)


@kernel(types.int64(_U8, _I64, _I32, _U8, types.boolean, types.uint8[::1], types.int64[::1]))
def _fold(data: Any, offsets: Any, table: Any, forms: Any, lines: Any, out: Any, bounds: Any) -> Any:
    """Write the folded texts to `out` as long as it has room for another character, and count all their bytes."""
    at = np.int64(0)
    room = np.int64(out.size - 64)
    bounds[0] = 0
    for text in range(offsets.size - 1):
        i, end = offsets[text], offsets[text + 1]
        apart = begun = False
        while i < end:
            code, size = _decode(data, i, end)
            entry = np.int64(table[code]) if code < PLANES else _entry(table, code)
            if lines and code == 10:
                if at <= room:
                    out[at] = 10
                at += 1
                apart = begun = False
            elif entry == _SPACE:
                apart = begun
            elif entry & 63:
                if apart:
                    if at <= room:
                        out[at] = 32
                    at += 1
                begun, apart = True, False
                if entry == _SAME:
                    if at <= room:
                        for j in range(size):
                            out[at + j] = data[i + j]
                    at += size
                else:
                    start, length = entry >> 6, entry & 63
                    if at <= room:
                        for j in range(length):
                            out[at + j] = forms[start + j]
                    at += length
            i += size
        bounds[text + 1] = at
    return at


def fold_texts(
    data: Array[np.uint8], offsets: Array[np.int64], lines: bool = False
) -> tuple[Array[np.uint8], Array[np.int64]]:
    """The folded form of each text, as bytes and int64[n + 1] bounds; data and offsets as from `text_buffers`.

    With `lines` each line is folded alone and the line feeds stay.
    """
    table, forms = fold_table()
    bounds = np.empty(len(offsets), dtype=np.int64)
    out = np.empty(int(offsets[-1] - offsets[0]) + 64, dtype=np.uint8)
    size = _fold(data, offsets, table, forms, lines, out, bounds)
    if size > out.size - 64:
        out = np.empty(size + 64, dtype=np.uint8)
        _fold(data, offsets, table, forms, lines, out, bounds)
    return out[:size], bounds
