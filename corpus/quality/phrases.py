"""Whether texts contain one of many words or phrases (Aho and Corasick 1975), between characters that are no parts of words."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numba import types

from corpus.data.buffers import Array, text_buffers
from corpus.kernel import kernel
from corpus.quality.characters import ALPHANUMERIC, character_table
from corpus.quality.cut import I64, U8

_I32 = types.Array(types.int32, 1, "C", readonly=True)
_NEXT = types.Array(types.int32, 2, "C", readonly=True)


@dataclass(frozen=True)
class Phrases:
    """An automaton over UTF-8 bytes. Of a state: `following[state, byte]`, the bytes of the phrase that ends there (0:
    none), and the next shorter state at which one ends (0: none)."""

    following: Array[np.int32]
    sizes: Array[np.int32]
    shorter: Array[np.int32]

    @classmethod
    def of(cls, phrases: Sequence[str]) -> Phrases:
        """The automaton of some phrases that are not empty."""
        following: list[dict[int, int]] = [{}]
        sizes = [0]
        for phrase in phrases:
            state = 0
            for byte in phrase.encode("utf-8"):
                if byte not in following[state]:
                    following[state][byte] = len(following)
                    following.append({})
                    sizes.append(0)
                state = following[state][byte]
            sizes[state] = len(phrase.encode("utf-8"))
        table = np.zeros((len(following), 256), dtype=np.int32)
        shorter = np.zeros(len(following), dtype=np.int32)
        suffixes = [0] * len(following)
        waiting = deque([0])
        while waiting:
            state = waiting.popleft()
            table[state] = table[suffixes[state]]
            for byte, child in following[state].items():
                suffix = int(table[suffixes[state], byte]) if state else 0
                suffixes[child] = suffix
                shorter[child] = suffix if sizes[suffix] else shorter[suffix]
                table[state, byte] = child
                waiting.append(child)
        return cls(table, np.array(sizes, dtype=np.int32), shorter)

    def in_texts(self, text: pa.Array, whole_words: Array[np.bool_]) -> Array[np.int64]:
        """int64[texts]: how often one occurs; `whole_words`: not next to a letter, a number or `_`."""
        data, bounds = text_buffers(text)
        found = np.zeros(len(bounds) - 1, dtype=np.int64)
        whole = whole_words.astype(np.uint8)
        _find(data, bounds, self.following, self.sizes, self.shorter, character_table(), whole, found)
        return found


@kernel(types.boolean(U8, types.int64, types.int64, types.int64, U8))
def _in_word(data: Any, begin: Any, at: Any, end: Any, table: Any) -> Any:
    """Whether the character with the byte `at` is one that words are made of; false outside `begin:end`."""
    if at < begin or at >= end:
        return False
    while at > begin and (data[at] & 0xC0) == 0x80:
        at -= 1
    code = np.int64(data[at])
    if code >= 0xC0:
        size = 2 if code < 0xE0 else (3 if code < 0xF0 else 4)
        code &= 0x1F if size == 2 else (0x0F if size == 3 else 0x07)
        for i in range(1, size):
            if at + i < end:
                code = (code << 6) | (np.int64(data[at + i]) & 0x3F)
    return code == 0x5F or (code < table.size and (table[code] & ALPHANUMERIC) != 0)


@kernel(types.void(U8, I64, _NEXT, _I32, _I32, U8, U8, types.int64[::1]))
def _find(
    data: Any, bounds: Any, following: Any, sizes: Any, shorter: Any, table: Any, whole: Any, out: Any
) -> None:  # fmt: skip
    for text in range(bounds.size - 1):
        begin, end = bounds[text], bounds[text + 1]
        state = np.int32(0)
        for at in range(begin, end):
            state = following[state, data[at]]
            ending = state if sizes[state] > 0 else shorter[state]
            while ending > 0:
                first = at + 1 - sizes[ending]
                if not whole[text] or not (
                    _in_word(data, begin, first - 1, end, table) or _in_word(data, begin, at + 1, end, table)
                ):
                    out[text] += 1
                ending = shorter[ending]
