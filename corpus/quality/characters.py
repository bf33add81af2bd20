"""What rules ask of characters: tables over code points, read from the running interpreter's `str` methods."""

from __future__ import annotations

import functools

import numpy as np

from corpus.data.buffers import Array

TABLE_SIZE = 0x40000
"""From here on no character is a letter, a number or a blank (a test proves it)."""
LETTER, ALPHANUMERIC, DECIMAL = 1, 2, 4
"""Bits of the table: `str.isalpha`, `str.isalnum`, `str.isdecimal`."""


@functools.cache
def character_table() -> Array[np.uint8]:
    """uint8[TABLE_SIZE]: the bits of each code point."""
    text = "".join(map(chr, range(0xD800))) + "\0" * 0x800 + "".join(map(chr, range(0xE000, TABLE_SIZE)))
    table = np.frombuffer(bytes(map(str.isalpha, text)), dtype=np.uint8) * np.uint8(LETTER)
    table |= np.frombuffer(bytes(map(str.isalnum, text)), dtype=np.uint8) * np.uint8(ALPHANUMERIC)
    table |= np.frombuffer(bytes(map(str.isdecimal, text)), dtype=np.uint8) * np.uint8(DECIMAL)
    table.flags.writeable = False
    return table
