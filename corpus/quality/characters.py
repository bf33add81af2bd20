"""What rules ask of characters: tables over code points, read from the running interpreter's `str` methods."""

from __future__ import annotations

import functools

import numpy as np

from corpus.data.buffers import Array

TABLE_SIZE = 0x40000
"""From here on no character is a letter, a number or a blank (a test proves it)."""
LETTER, ALPHANUMERIC, DECIMAL, UNSPACED = 1, 2, 4, 8
"""Bits of the table: `str.isalpha`, `str.isalnum`, `str.isdecimal`, and the letters of scripts without blanks between words."""
_UNSPACED = (
    (0x0E01, 0x0E5B), (0x0E81, 0x0EDF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3021, 0x3029),
    (0x3031, 0x3035), (0x3041, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F), (0x20000, 0x323AF),
)  # fmt: skip
"""Thai, Lao, Burmese, Khmer, Kana and Han; of the code points in these ranges only letters count."""


@functools.cache
def character_table() -> Array[np.uint8]:
    """uint8[TABLE_SIZE]: the bits of each code point."""
    text = "".join(map(chr, range(0xD800))) + "\0" * 0x800 + "".join(map(chr, range(0xE000, TABLE_SIZE)))
    table = np.frombuffer(bytes(map(str.isalpha, text)), dtype=np.uint8) * np.uint8(LETTER)
    table |= np.frombuffer(bytes(map(str.isalnum, text)), dtype=np.uint8) * np.uint8(ALPHANUMERIC)
    table |= np.frombuffer(bytes(map(str.isdecimal, text)), dtype=np.uint8) * np.uint8(DECIMAL)
    for first, last in _UNSPACED:
        part = table[first : last + 1]
        part[(part & LETTER) != 0] |= UNSPACED
    table.flags.writeable = False
    return table
