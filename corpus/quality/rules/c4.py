"""C4's cleaning of a page (Raffel et al. 2020, arXiv 1910.10683, section 2.2), with the limits of the published code
(TensorFlow Datasets, `c4_utils.py`) or those of the paper; the two differ.

Two steps of the original are left out: its list of bad words, which is not shipped, and NLTK's sentence splitter.
Sentences are counted as the ends of sentences in each line: `.`, `?` or `!`, perhaps closing quotes or brackets, then
white space or the end of the line; a line that stays has at least one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from corpus.option import option
from corpus.quality.rules.rule import CleaningRule

LOREM_IPSUM = "lorem ipsum"
CURLY_BRACKET = "curly bracket"
_END_MARKS = (".", "?", "!", '"')
_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
_SENTENCE_END = re.compile(r"[.?!]+[\"')\]]*(?=\s|$)")
_POLICY = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)


@dataclass(frozen=True)
class C4(CleaningRule):
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

    def clean(self, text: str) -> tuple[str, str | None]:
        if self.whole_page and "lorem ipsum" in text.lower():
            return text, LOREM_IPSUM
        if self.whole_page and "{" in text:
            return text, CURLY_BRACKET
        kept: list[str] = []
        sentences = 0
        for line in text.splitlines():
            cleaned, why = self._line(line.strip())
            if why is not None:
                return text, why
            if cleaned:
                sentences += max(1, sum(1 for _ in _SENTENCE_END.finditer(cleaned)))
                kept.append(cleaned)
        if sentences < self.min_sentences:
            return text, "too few sentences"
        page = "\n".join(kept)
        return (text, "too long") if len(page) > self.max_page else (page, None)

    def _line(self, line: str) -> tuple[str, str | None]:
        """What is left of a line (empty: nothing), and why the page goes for it, or None."""
        if len(line) > self.max_word and any(len(word) > self.max_word for word in line.split()):
            return "", None
        if "[" in line:
            line = _CITATION.sub("", line)
        if not line.endswith(_END_MARKS) or line.endswith("...") or len(line.split()) < self.min_line_words:
            return "", None
        lower = line.lower()
        if "lorem ipsum" in lower:
            return "", LOREM_IPSUM
        if "javascript" in lower:
            return "", None
        if "{" in line:
            return "", CURLY_BRACKET
        return ("", None) if any(phrase in lower for phrase in _POLICY) else (line, None)


@dataclass(frozen=True)
class C4Paper(C4):
    """The same with the limits of the paper."""

    name: ClassVar[str] = "c4_paper"

    min_line_words: int = option(3, "Words that a line needs (the paper: 3).", least=0)
    min_sentences: int = option(5, "Sentences that a page needs (the paper: 5).", least=0)
    whole_page: bool = option(True, "Whether { and lorem ipsum count anywhere on the page (paper).")
