"""The quality and repetition rules of MassiveWeb (Rae et al. 2021, arXiv 2112.11446, appendix A1.1, table A1).

The paper does not say what a word is; here words are separated by white space. Repetition is measured as datatrove
does: characters of repeats after the first, over all characters of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numba import types

from corpus.kernel import kernel
from corpus.option import option
from corpus.quality.rules.rule import Rule, TextView

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
BULLETS = ("•", "‣", "◦", "⁃", "∙", "▪", "■", "●", "○", "-", "–", "*")
_IDS = types.Array(types.int32, 1, "C", readonly=True)
_LENGTHS = types.Array(types.int64, 1, "C", readonly=True)


@dataclass(frozen=True)
class GopherQuality(Rule):
    """The quality rules. Blank lines do not count; stop words count in any case."""

    name: ClassVar[str] = "gopher_quality"

    min_words: int = option(50, "Words that a document needs (A1.1: 50).", least=0)
    max_words: int = option(100_000, "Words that it has at most (A1.1: 100,000).", least=0)
    min_mean_word: float = option(3, "Characters of a word on average, at least (A1.1: 3).", least=0)
    max_mean_word: float = option(10, "Characters of a word on average, at most (A1.1: 10).", least=0)
    max_hashes: float = option(0.1, "Hash signs per word, at most (A1.1: 0.1).", least=0)
    max_ellipses: float = option(0.1, "Ellipses per word, at most (A1.1: 0.1).", least=0)
    max_bullet_lines: float = option(0.9, "Share of lines that begin with a bullet, at most (A1.1: 0.9).", least=0)
    max_ellipsis_lines: float = option(0.3, "Share of lines that end with an ellipsis, at most (A1.1: 0.3).", least=0)
    min_lettered: float = option(0.8, "Share of words with a letter, at least (A1.1: 0.8).", least=0)
    min_stop_words: int = option(2, "How many of the stop words occur, at least (A1.1: 2).", least=0)
    stop_words: tuple[str, ...] = option(STOP_WORDS, "The stop words (A1.1: eight of English).", metavar="WORD")

    def check(self, view: TextView) -> str | None:
        words = len(view.words)
        if words < self.min_words:
            return "too few words"
        if words > self.max_words:
            return "too many words"
        length = sum(len(word) * number for word, number in view.word_counts.items())
        if not self.min_mean_word * words <= length <= self.max_mean_word * words:
            return "short words" if length < self.min_mean_word * words else "long words"
        return self._symbols(view, words) or self._kinds_of_words(view, words)

    def _symbols(self, view: TextView, words: int) -> str | None:
        text = view.text
        if text.count("#") > self.max_hashes * words:
            return "hash signs"
        if text.count("...") + text.count("…") > self.max_ellipses * words:
            return "ellipses"
        if sum(line.lstrip().startswith(BULLETS) for line in view.lines) > self.max_bullet_lines * len(view.lines):
            return "bullet lines"
        ending = sum(line.rstrip().endswith(("...", "…")) for line in view.lines)
        return "lines ending in ellipsis" if ending > self.max_ellipsis_lines * len(view.lines) else None

    def _kinds_of_words(self, view: TextView, words: int) -> str | None:
        lettered = sum(number for word, number in view.word_counts.items() if any(map(str.isalpha, word)))
        if lettered < self.min_lettered * words:
            return "words without letters"
        counts = view.word_counts
        found = sum(any(form in counts for form in (w, w.capitalize(), w.upper())) for w in self.stop_words)
        return "too few stop words" if found < self.min_stop_words else None


@dataclass(frozen=True)
class GopherRepetition(Rule):
    """The limits of table A1 on repeated lines, paragraphs and word n-grams. Paragraphs are separated by blank lines."""

    name: ClassVar[str] = "gopher_repetition"

    duplicate_lines: float = option(
        0.30, "Share of lines, and of paragraphs, that are repeats, at most (table A1).", least=0
    )
    duplicate_line_characters: float = option(
        0.20, "Share of characters in repeated lines, and in repeated paragraphs, at most (table A1).", least=0
    )
    top_2_gram: float = option(0.20, "Share of characters in the most frequent 2-gram, at most (table A1).", least=0)
    top_3_gram: float = option(0.18, "The same of 3-grams (table A1).", least=0)
    top_4_gram: float = option(0.16, "The same of 4-grams (table A1).", least=0)
    duplicate_5_grams: float = option(0.15, "Share of characters in repeated 5-grams, at most (table A1).", least=0)
    duplicate_6_grams: float = option(0.14, "The same of 6-grams (table A1).", least=0)
    duplicate_7_grams: float = option(0.13, "The same of 7-grams (table A1).", least=0)
    duplicate_8_grams: float = option(0.12, "The same of 8-grams (table A1).", least=0)
    duplicate_9_grams: float = option(0.11, "The same of 9-grams (table A1).", least=0)
    duplicate_10_grams: float = option(0.10, "The same of 10-grams (table A1).", least=0)

    def check(self, view: TextView) -> str | None:
        size = len(view.text)
        if not view.words:
            return "no words"
        paragraphs = [part for part in view.text.strip().split("\n\n") if part.strip("\n")]
        for name, parts in (("paragraphs", [part.strip("\n") for part in paragraphs]), ("lines", view.lines)):
            number, characters = duplicates(parts)
            if number > self.duplicate_lines * len(parts):
                return f"duplicate {name}"
            if characters > self.duplicate_line_characters * size:
                return f"characters in duplicate {name}"
        return self._ngrams(view, size)

    def _ngrams(self, view: TextView, size: int) -> str | None:
        index = {word: number for number, word in enumerate(view.word_counts)}
        ids = np.fromiter(map(index.__getitem__, view.words), dtype=np.int32, count=len(view.words))
        lengths = np.fromiter(map(len, view.word_counts), dtype=np.int64, count=len(index))[ids]
        for n in (2, 3, 4):
            if top_ngram(ids, lengths, n) > getattr(self, f"top_{n}_gram") * size:
                return f"top {n}-gram"
        for n in (5, 6, 7, 8, 9, 10):
            if duplicate_ngrams(ids, lengths, n) > getattr(self, f"duplicate_{n}_grams") * size:
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
