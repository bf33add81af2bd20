"""What goes from phase to phase of train-lm: sentences, words and rows of n-grams in files, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from corpus.data.buffers import Array
from corpus.quality.lm.counts import END
from corpus.quality.lm.runs import Rows

BLOCK_WORDS = 1 << 18
"""Words that are read at once."""


def text_lines(paths: list[Path]) -> Iterator[str]:
    for path in paths:
        with path.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.removesuffix("\n")


def add_counts(first: Array[np.int64], second: Array[np.int64]) -> Array[np.int64]:
    """Two counts of words, of which one may know more of them."""
    longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
    total = longer.astype(np.int64)
    total[: len(shorter)] += shorter
    return total


def sentence_blocks(path: Path) -> Iterator[Array[np.uint32]]:
    """The words of a file in blocks of whole sentences."""
    held: Array[np.uint32] = np.zeros(0, np.uint32)
    with path.open("rb") as file:
        while data := file.read(4 * BLOCK_WORDS):
            held = np.concatenate([held, np.frombuffer(data, np.uint32)])
            ends = np.flatnonzero(held == END)
            if len(ends):
                yield held[: ends[-1] + 1]
                held = held[ends[-1] + 1 :]


def row_blocks(path: Path, width: int, size: int) -> Iterator[Rows]:
    """The rows of a file, about `size` bytes at a time."""
    with path.open("rb") as file:
        while data := file.read(size // (4 * width) * 4 * width):
            yield np.frombuffer(data, np.uint32).reshape(-1, width)


def by_context(rows: Rows, n: int) -> Rows:
    """N-grams with the last word after its context instead of before it."""
    return np.ascontiguousarray(rows[:, [*range(1, n), 0, n]])


def no_rows(n: int) -> Rows:
    return np.zeros((0, n + 1), np.uint32)


def as_grams(rows: Rows) -> Rows:
    """Words with their probabilities as n-grams that get nothing of a lower order."""
    found: Rows = np.zeros((len(rows), 3), np.uint32)
    found[:, :2] = rows
    return found
