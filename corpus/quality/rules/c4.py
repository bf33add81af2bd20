"""C4's cleaning of a page (Raffel et al. 2020, arXiv 1910.10683, section 2.2), with the limits of the published code
(TensorFlow Datasets, `c4_utils.py`) or those of the paper; the two differ.

The list of bad words is a rule set of its own (`badwords`). Sentences are counted as NLTK's Punkt does, without its trained
model (`corpus/quality/punkt.py` says where the two differ).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow.compute as pc

from corpus.engine.document_map import DocumentBatch, Mapped
from corpus.option import option
from corpus.quality.punkt import sentences_in
from corpus.quality.rules.measured import Measure, MeasuredRule
from corpus.quality.sentences import CURLY_BRACKET, LOREM_IPSUM, Sentences, sentence_lines


@dataclass(frozen=True)
class C4(MeasuredRule):
    """The lines of a page that look like sentences, by the limits of the published code."""

    name: ClassVar[str] = "c4"

    min_line_words: int = option(5, "Words that a line needs (the code: 5; the paper: 3).", least=0)
    min_sentences: int = option(3, "Sentences that a page needs (the code: 3; the paper: 5).", least=0)
    max_word: int = option(1000, "Characters over which a word takes its line away (the code).", least=0)
    max_page: int = option(190_000, "Characters that a page has at most (the code).", least=0)
    whole_page: bool = option(
        False,
        "Whether { and lorem ipsum count anywhere on the page (paper) or only on lines that passed so far (code).",
    )

    def clean(self, batch: DocumentBatch) -> Sentences:
        """What is left of the texts."""
        return sentence_lines(batch.column("text"), self.min_line_words, self.max_word, self.whole_page)

    def measures(self, batch: DocumentBatch) -> Sequence[Measure]:
        return self._measures(self.clean(batch))

    def _measures(self, left: Sentences) -> Sequence[Measure]:
        few = "too few sentences"
        return (
            Measure("lorem_ipsum", (left.verdicts == LOREM_IPSUM).astype(np.int64), None, 0, "lorem ipsum"),
            Measure("curly_bracket", (left.verdicts == CURLY_BRACKET).astype(np.int64), None, 0, "curly bracket"),
            Measure("sentences", sentences_in(left.text), least=self.min_sentences, too_low=few),
            Measure("characters", left.characters, None, self.max_page, "too long"),
        )

    def apply(self, batch: DocumentBatch) -> Mapped:
        left = self.clean(batch)
        texts = batch.column("text")
        changed = not pc.equal(left.text, texts.cast(left.text.type)).to_numpy(zero_copy_only=False).all()
        return Mapped({"text": left.text} if changed else {}, self.judge(self._measures(left), batch.num_rows))


@dataclass(frozen=True)
class C4Paper(C4):
    """The same with the limits of the paper."""

    name: ClassVar[str] = "c4_paper"

    min_line_words: int = option(3, "Words that a line needs (the paper: 3).", least=0)
    min_sentences: int = option(5, "Sentences that a page needs (the paper: 5).", least=0)
    whole_page: bool = option(True, "Whether { and lorem ipsum count anywhere on the page (paper).")
