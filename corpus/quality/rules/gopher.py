"""The quality and repetition rules of MassiveWeb (Rae et al. 2021, arXiv 2112.11446, appendix A1.1, table A1).

The paper does not say what a word is; here words are separated by white space. Repetition is measured as datatrove
does: characters of repeats after the first, over all characters of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from corpus.data.buffers import Array
from corpus.engine.document_map import DocumentBatch
from corpus.option import option
from corpus.quality.cut import cut_documents
from corpus.quality.repetition import repetition
from corpus.quality.rules.measured import Measure, MeasuredRule
from corpus.quality.rules.stop_words import StopWordLists, stop_word_lists
from corpus.quality.words import line_ends, stop_words_in, word_figures

BULLETS = ("•", "‣", "◦", "⁃", "∙", "▪", "■", "●", "○", "-", "–", "*")
_UNKNOWN = "en"
"""A text without a language is taken for English."""


@dataclass(frozen=True)
class GopherQuality(MeasuredRule):
    """The quality rules. Blank lines do not count; stop words count in any case, and only where their language is known."""

    name: ClassVar[str] = "gopher_quality"

    min_words: int = option(50, "Words that a document needs (A1.1: 50).", least=0)
    max_words: int = option(100_000, "Words that it has at most (A1.1: 100,000).", least=0)
    min_mean_word: float = option(
        3, "Characters of a word on average, at least (A1.1: 3), in languages with blanks.", least=0
    )
    max_mean_word: float = option(10, "Characters of a word on average, at most (A1.1: 10).", least=0)
    max_hashes: float = option(0.1, "Hash signs per word, at most (A1.1: 0.1).", least=0)
    max_ellipses: float = option(0.1, "Ellipses per word, at most (A1.1: 0.1).", least=0)
    max_bullet_lines: float = option(0.9, "Share of lines that begin with a bullet, at most (A1.1: 0.9).", least=0)
    max_ellipsis_lines: float = option(0.3, "Share of lines that end with an ellipsis, at most (A1.1: 0.3).", least=0)
    min_lettered: float = option(0.8, "Share of words with a letter, at least (A1.1: 0.8).", least=0)
    min_stop_words: int = option(2, "How many of the stop words occur, at least (A1.1: 2).", least=0)
    stop_words: tuple[str, ...] = option(
        (), "The stop words, for texts of any language; none given: those of the lists.", metavar="WORD"
    )
    stop_word_lists: StopWordLists = option(
        "gopher",
        "gopher: A1.1's eight of English for texts in en or without a language, none for others; fineweb-2: also those of"
        " FineWeb-2 for texts in de, es, fr, it, ja, nl, pl, pt, ru, sv, zh.",
    )

    def measures(self, batch: DocumentBatch) -> Sequence[Measure]:
        cut = batch.measured(cut_documents)
        words, lines, figures = cut.words, cut.lines, word_figures(cut)
        bullets, ending = line_ends(cut, BULLETS)
        stop_words, judged = self._stop_words(batch)
        low, high = np.where(cut.unspaced, 0.0, self.min_mean_word), self.max_mean_word
        return (
            Measure("words", words, None, self.max_words, "too many words", self.min_words, "too few words"),
            Measure("mean_word", figures.characters, words, high, "long words", low, "short words"),
            Measure("hashes", figures.hashes, words, self.max_hashes, "hash signs"),
            Measure("ellipses", figures.ellipses, words, self.max_ellipses, "ellipses"),
            Measure("bullet_lines", bullets, lines, self.max_bullet_lines, "bullet lines"),
            Measure("ellipsis_lines", ending, lines, self.max_ellipsis_lines, "lines ending in ellipsis"),
            Measure("lettered", figures.lettered, words, least=self.min_lettered, too_low="words without letters"),
            Measure("stop_words", stop_words, least=self.min_stop_words, too_low="too few stop words", judged=judged),
        )

    def _stop_words(self, batch: DocumentBatch) -> tuple[Array[np.int64], Array[np.bool_]]:
        """int64[texts]: how many of the stop words of its language a text has; bool[texts]: which need them."""
        cut = batch.measured(cut_documents)
        if self.stop_words:
            return stop_words_in(cut, self.stop_words), np.ones(batch.num_rows, dtype=np.bool_)
        languages: Any = batch.column("language").fill_null(_UNKNOWN).to_numpy(zero_copy_only=False)
        found, judged = np.zeros(batch.num_rows, dtype=np.int64), np.zeros(batch.num_rows, dtype=np.bool_)
        for language, words in stop_word_lists(self.stop_word_lists).items():
            there = languages == language
            if there.any():
                found[there] = stop_words_in(cut.filter(there), words)
                judged |= there
        return found, judged


@dataclass(frozen=True)
class GopherRepetition(MeasuredRule):
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

    def measures(self, batch: DocumentBatch) -> Sequence[Measure]:
        cut = batch.measured(cut_documents)
        found, size = repetition(cut), cut.characters
        found_lines = (found.duplicate_lines, found.duplicate_line_characters)
        found_paragraphs = (found.duplicate_paragraphs, found.duplicate_paragraph_characters)
        measures = [Measure("words", cut.words, least=1, too_low="no words")]
        for name, (number, characters), parts in (
            ("paragraph", found_paragraphs, found.paragraphs),
            ("line", found_lines, cut.lines),
        ):
            reason = f"duplicate {name}s"
            share, most = self.duplicate_lines, self.duplicate_line_characters
            measures.append(Measure(f"duplicate_{name}s", number, parts, share, reason))
            measures.append(Measure(f"duplicate_{name}_characters", characters, size, most, f"characters in {reason}"))
        for n, top in found.top_ngrams.items():
            measures.append(Measure(f"top_{n}_gram", top, size, getattr(self, f"top_{n}_gram"), f"top {n}-gram"))
        for n, repeats in found.duplicate_ngrams.items():
            name = f"duplicate_{n}_grams"
            measures.append(Measure(name, repeats, size, getattr(self, name), f"duplicate {n}-grams"))
        return measures
