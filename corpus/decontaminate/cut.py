"""What becomes of a document with matches: cut around them or dropped, and which examples they are of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from corpus.decontaminate.index import Index
from corpus.decontaminate.ngrams import Ints

JOINT = "\n\n"
"""Between the pieces of a document that was cut."""


def pieces(text: str, positions: Sequence[tuple[int, int]], window: int) -> list[str]:
    """What is left of `text` when all positions (first byte and end in its UTF-8) and `window` characters around each are
    taken out."""
    data = np.frombuffer(text.encode(), np.uint8)
    # the number of characters before each byte
    before = np.concatenate([[0], np.cumsum((data & 0xC0) != 0x80)])
    left: list[str] = []
    position = 0
    for begin, end in sorted(positions):
        start, stop = int(before[begin]) - window, int(before[end]) + window
        if start > position:
            left.append(text[position:start])
        position = max(position, stop)
    if position < len(text):
        left.append(text[position:])
    return left


def matched_texts(index: Index, grams: Ints) -> tuple[Ints, Ints]:
    """The evaluation texts that hold any of the different n-grams `grams`, ascending, and how many of them each holds."""
    held = [index.texts[index.bounds[gram] : index.bounds[gram + 1]] for gram in grams.tolist()]
    if not held:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    texts, counts = np.unique(np.concatenate(held), return_counts=True)
    return texts, counts.astype(np.int64)


def contaminated(index: Index, grams: Ints, share: float) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
    """Texts and counts as `matched_texts`, and of which texts at least `share` of the n-grams (and at least one) are
    among `grams`."""
    texts, counts = matched_texts(index, grams)
    return texts, counts, counts >= np.maximum(1, np.ceil(share * index.sizes[texts] - 1e-9))
