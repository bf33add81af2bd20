"""What rules ask of characters: tables over code points, read from the running interpreter's `str` methods."""

from __future__ import annotations

import functools

import numpy as np

from corpus.data.buffers import Array

TABLE_SIZE = 0x40000
"""From here on no character is a letter, a number or a blank (a test proves it)."""
LETTER, ALPHANUMERIC, IDEOGRAPH, CLUSTERED = 1, 2, 4, 8
"""Bits of the table: `str.isalpha`, `str.isalnum`, and the scripts that are written without blanks."""

_WITHOUT_BLANKS = {
    IDEOGRAPH: (
        (0x3005, 0x3007), (0x3021, 0x3029), (0x3031, 0x3035), (0x3041, 0x3096), (0x309D, 0x309F), (0x30A1, 0x30FA),
        (0x30FC, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F),
        (0x20000, 0x323AF),
    ),
    CLUSTERED: ((0x0E01, 0x0E3A), (0x0E40, 0x0E4E), (0x0E81, 0x0EDF), (0x1000, 0x103F), (0x1050, 0x108F),
                (0x1780, 0x17D3), (0x17DC, 0x17DD)),
}  # fmt: skip
"""Han and Kana; Thai, Lao, Burmese and Khmer letters with their marks (Unicode blocks, digits and marks of phrases left out)."""


@functools.cache
def character_table() -> Array[np.uint8]:
    """uint8[TABLE_SIZE]: the bits of each code point."""
    text = "".join(map(chr, range(0xD800))) + "\0" * 0x800 + "".join(map(chr, range(0xE000, TABLE_SIZE)))
    table = np.frombuffer(bytes(map(str.isalpha, text)), dtype=np.uint8) * np.uint8(LETTER)
    table |= np.frombuffer(bytes(map(str.isalnum, text)), dtype=np.uint8) * np.uint8(ALPHANUMERIC)
    for bit, ranges in _WITHOUT_BLANKS.items():
        for first, last in ranges:
            table[first : last + 1] |= bit
    table.flags.writeable = False
    return table
