"""C4's cleaning of a page (Raffel et al. 2020, arXiv 1910.10683, section 2.2), with the limits of the published code
(TensorFlow Datasets, `c4_utils.py`) or those of the paper; the two differ.

Two steps of the original are left out: its list of bad words, which is not shipped, and NLTK's sentence splitter.
Sentences are counted as the ends of sentences in each line: `.`, `?` or `!`, perhaps closing quotes or brackets, then
white space or the end of the line; a line that stays has at least one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from corpus.quality.rules.rule import Rule

MOST_WORD = 1000
MOST_PAGE = 190_000
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
class C4Limits:
    """What the paper and its code disagree on. `whole_page`: `{` and lorem ipsum count anywhere on the page (paper), or
    only on lines that passed the earlier tests (code)."""

    name: str
    line_words: int
    sentences: int
    whole_page: bool


CODE = C4Limits("c4", line_words=5, sentences=3, whole_page=False)
PAPER = C4Limits("c4_paper", line_words=3, sentences=5, whole_page=True)


def clean_page(text: str, limits: C4Limits) -> tuple[str, str | None]:
    """The lines of a page that look like sentences, and why the page is dropped, or None."""
    if limits.whole_page and "lorem ipsum" in text.lower():
        return text, LOREM_IPSUM
    if limits.whole_page and "{" in text:
        return text, CURLY_BRACKET
    kept: list[str] = []
    sentences = 0
    for line in text.splitlines():
        line = line.strip()
        if len(line) > MOST_WORD and any(len(word) > MOST_WORD for word in line.split()):
            continue
        if "[" in line:
            line = _CITATION.sub("", line)
        if not line.endswith(_END_MARKS) or line.endswith("...") or len(line.split()) < limits.line_words:
            continue
        lower = line.lower()
        if "lorem ipsum" in lower:
            return text, LOREM_IPSUM
        if "javascript" in lower:
            continue
        if "{" in line:
            return text, CURLY_BRACKET
        if any(phrase in lower for phrase in _POLICY):
            continue
        sentences += max(1, sum(1 for _ in _SENTENCE_END.finditer(line)))
        kept.append(line)
    if sentences < limits.sentences:
        return text, "too few sentences"
    cleaned = "\n".join(kept)
    return (text, "too long") if len(cleaned) > MOST_PAGE else (cleaned, None)


def c4(limits: C4Limits) -> Rule:
    """The rule `c4` or `c4_paper`."""
    return Rule(limits.name, clean=lambda text: clean_page(text, limits))
