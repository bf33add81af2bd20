"""Lines and characters of texts that need no words: the longest line, lines, characters, letters and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numba import types

from corpus.data.buffers import Array, text_buffers
from corpus.kernel import kernel
from corpus.quality.characters import ALPHANUMERIC, character_table
from corpus.quality.cut import I64, U8


@dataclass(frozen=True)
class LineFigures:
    """Figures of some texts, int64[texts] each."""

    characters: Array[np.int64]
    lines: Array[np.int64]
    """Line feeds, and the line after the last of them unless it is empty."""
    longest: Array[np.int64]
    """Characters of the longest line."""
    alphanumeric: Array[np.int64]
    """Characters that are letters or numbers (`str.isalnum`)."""

    def filter(self, stays: Array[np.bool_]) -> LineFigures:
        """Those of the texts that stay."""
        return LineFigures(self.characters[stays], self.lines[stays], self.longest[stays], self.alphanumeric[stays])


def line_figures(rows: pa.RecordBatch) -> LineFigures:
    """Measure the texts of documents."""
    data, bounds = text_buffers(rows.column("text"))
    figures = np.zeros((4, len(bounds) - 1), dtype=np.int64)
    _lines(data, bounds, character_table(), figures)
    return LineFigures(*figures)


@kernel(types.void(U8, I64, U8, types.int64[:, ::1]))
def _lines(data: Any, bounds: Any, table: Any, out: Any) -> None:
    """Fill the rows of `out`, in the order of the fields of `LineFigures`."""
    for text in range(bounds.size - 1):
        at, end = bounds[text], bounds[text + 1]
        characters, lines, longest, alphanumeric = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        line = np.int64(0)
        while at < end:
            code = np.int64(data[at])
            at += 1
            characters += 1
            if code == 10:
                lines += 1
                longest = max(longest, characters - 1 - line)
                line = characters
                continue
            if code >= 0xC0:
                size = 2 if code < 0xE0 else (3 if code < 0xF0 else 4)
                code &= 0x1F if size == 2 else (0x0F if size == 3 else 0x07)
                for _ in range(1, size):
                    if at < end:
                        code = (code << 6) | (np.int64(data[at]) & 0x3F)
                        at += 1
                if code >= table.size:
                    continue
            alphanumeric += (table[code] & ALPHANUMERIC) != 0
        out[0, text] = characters
        out[1, text] = lines + (characters > line or characters == 0)
        out[2, text] = max(longest, characters - line)
        out[3, text] = alphanumeric
