"""The quality and repetition rules of MassiveWeb (Rae et al. 2021, arXiv 2112.11446, appendix A1.1, table A1).

The paper does not say what a word is; here words are separated by white space. Repetition is measured as datatrove
does: characters of repeats after the first, over all characters of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import types

from corpus.kernel import kernel
from corpus.quality.rules.rule import Rule, TextView

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
BULLETS = ("•", "‣", "◦", "⁃", "∙", "▪", "■", "●", "○", "-", "–", "*")
DUPLICATE_LINES = 0.30
DUPLICATE_LINE_CHARACTERS = 0.20
TOP_NGRAMS = ((2, 0.20), (3, 0.18), (4, 0.16))
DUPLICATE_NGRAMS = ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
_IDS = types.Array(types.int32, 1, "C", readonly=True)
_LENGTHS = types.Array(types.int64, 1, "C", readonly=True)


def check_quality(view: TextView) -> str | None:
    """50 to 100,000 words of 3 to 10 characters on average; `#` and ellipses at most 0.1 per word each; at most 90 % of
    the lines begin with a bullet, at most 30 % end with an ellipsis; 80 % of the words have a letter; at least two of
    eight English stop words occur, in any case. Blank lines do not count."""
    words = len(view.words)
    if words < 50:
        return "too few words"
    if words > 100_000:
        return "too many words"
    length = sum(len(word) * number for word, number in view.word_counts.items())
    if not 3 * words <= length <= 10 * words:
        return "short words" if length < 3 * words else "long words"
    text = view.text
    if text.count("#") > 0.1 * words:
        return "hash signs"
    if text.count("...") + text.count("…") > 0.1 * words:
        return "ellipses"
    if sum(line.lstrip().startswith(BULLETS) for line in view.lines) > 0.9 * len(view.lines):
        return "bullet lines"
    if sum(line.rstrip().endswith(("...", "…")) for line in view.lines) > 0.3 * len(view.lines):
        return "lines ending in ellipsis"
    lettered = sum(number for word, number in view.word_counts.items() if any(map(str.isalpha, word)))
    if lettered < 0.8 * words:
        return "words without letters"
    found = sum(any(form in view.word_counts for form in (w, w.capitalize(), w.upper())) for w in STOP_WORDS)
    return "too few stop words" if found < 2 else None


def check_repetition(view: TextView) -> str | None:
    """The limits of table A1 on repeated lines, paragraphs and word n-grams. Paragraphs are separated by blank lines."""
    size = len(view.text)
    if not view.words:
        return "no words"
    paragraphs = [part for part in view.text.strip().split("\n\n") if part.strip("\n")]
    for name, parts in (("paragraphs", [part.strip("\n") for part in paragraphs]), ("lines", view.lines)):
        number, characters = duplicates(parts)
        if number > DUPLICATE_LINES * len(parts):
            return f"duplicate {name}"
        if characters > DUPLICATE_LINE_CHARACTERS * size:
            return f"characters in duplicate {name}"
    index = {word: number for number, word in enumerate(view.word_counts)}
    ids = np.fromiter(map(index.__getitem__, view.words), dtype=np.int32, count=len(view.words))
    lengths = np.fromiter(map(len, view.word_counts), dtype=np.int64, count=len(index))[ids]
    for n, limit in TOP_NGRAMS:
        if top_ngram(ids, lengths, n) > limit * size:
            return f"top {n}-gram"
    for n, limit in DUPLICATE_NGRAMS:
        if duplicate_ngrams(ids, lengths, n) > limit * size:
            return f"duplicate {n}-grams"
    return None


def duplicates(parts: Sequence[str]) -> tuple[int, int]:
    """How many of the parts, and characters in them, are repeats of an earlier part."""
    different = dict.fromkeys(parts)
    return len(parts) - len(different), sum(map(len, parts)) - sum(map(len, different))


@kernel(types.uint64(_IDS, types.int64, types.int64))
def _ngram_key(ids: Any, start: Any, n: Any) -> Any:
    """A 64-bit key of n word numbers (FNV-1a by words, spread by multiply and shift); never 0."""
    key = np.uint64(0xCBF29CE484222325)
    for i in range(start, start + n):
        key = (key ^ np.uint64(ids[i])) * np.uint64(0x9E3779B185EBCA87)
        key = key ^ (key >> np.uint64(29))
    return key if key != np.uint64(0) else np.uint64(1)


@kernel(types.int64(_IDS, _LENGTHS, types.int64))
def top_ngram(ids: Any, lengths: Any, n: Any) -> Any:
    """Occurrences of the most frequent n-gram (of several the first) times its characters, single spaces included.

    ids: int32[words], equal for equal words; lengths: int64[words], the characters of each.
    """
    count = ids.size - n + 1
    if count <= 0:
        return np.int64(0)
    size = np.int64(2)
    while size < 2 * count:
        size *= 2
    mask = np.uint64(size - 1)
    slots = np.zeros(size, dtype=np.uint64)
    number = np.zeros(size, dtype=np.int32)
    first = np.zeros(size, dtype=np.int64)
    for i in range(count):
        key = _ngram_key(ids, i, n)
        slot = key & mask
        while slots[slot] != np.uint64(0) and slots[slot] != key:
            slot = (slot + np.uint64(1)) & mask
        if slots[slot] == np.uint64(0):
            slots[slot] = key
            first[slot] = i
        number[slot] += 1
    best = np.int64(0)
    at = np.int64(0)
    for slot in range(size):
        if number[slot] > best or (number[slot] == best and best > 0 and first[slot] < at):
            best = np.int64(number[slot])
            at = first[slot]
    length = n - 1
    for i in range(at, at + n):
        length += lengths[i]
    return length * best


@kernel(types.int64(_IDS, _LENGTHS, types.int64))
def duplicate_ngrams(ids: Any, lengths: Any, n: Any) -> Any:
    """Characters of the words in n-grams that occurred before, scanned from the left, none counted twice.

    ids and lengths as for `top_ngram`.
    """
    count = ids.size - n + 1
    if count <= 0:
        return np.int64(0)
    size = np.int64(2)
    while size < 2 * count:
        size *= 2
    mask = np.uint64(size - 1)
    slots = np.zeros(size, dtype=np.uint64)
    repeated = np.int64(0)
    i = np.int64(0)
    while i < count:
        key = _ngram_key(ids, i, n)
        slot = key & mask
        while slots[slot] != np.uint64(0) and slots[slot] != key:
            slot = (slot + np.uint64(1)) & mask
        if slots[slot] == key:
            for j in range(i, i + n):
                repeated += lengths[j]
            i += n
        else:
            slots[slot] = key
            i += 1
    return repeated


def gopher_quality() -> Rule:
    """The rule `gopher_quality`."""
    return Rule("gopher_quality", check_quality)


def gopher_repetition() -> Rule:
    """The rule `gopher_repetition`."""
    return Rule("gopher_repetition", check_repetition)
