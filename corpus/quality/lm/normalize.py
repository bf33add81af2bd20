"""CCNet's normalisation of text for its language models (`text_normalizer.normalize`, reference b1, step 6).

Each rule looks at one character alone but two: the final sigma of lower case and the order of combining marks, neither
of which looks past a space. So a text may be normalised word by word, if words are what spaces (U+0020) separate.
"""

from __future__ import annotations

import sys
import unicodedata
from functools import cache

_PUNCTUATION = {
    ",": "，、",
    ".": "。",
    ". ": "．",
    '"': "„”“«»」「《》",
    "'": "´’",
    ":": "∶：",
    "?": "？",
    "!": "！",
    "(": "（",
    ")": "）",
    ";": "；",
    "-": "–━►",
    " - ": "—",
    "~": "～",
    "...": "…",
    "<": "〈",
    ">": "〉",
    "[": "【",
    "]": "】",
    "%": "％",
}
"""What CCNet writes for some marks. Its own table takes the full-width digit one for a quote; no text shows that, since
digits are zeros by then."""
_CONTROL = [*range(32), *range(127, 160)]


@cache
def _replaced() -> dict[int, str | None]:
    """What becomes of a character after lower case and decomposition, None for nothing; others stay."""
    found: dict[int, str | None] = {ord(mark): plain for plain, marks in _PUNCTUATION.items() for mark in marks}
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category == "Nd":
            found[code] = "0"
        elif category == "Mn":
            found[code] = None
    return found | dict.fromkeys(_CONTROL)


def normalize(text: str) -> str:
    """A text as CCNet shows it to SentencePiece: ends stripped, lower case, no combining marks, digits as zeros, marks of
    punctuation in ASCII, and no control characters. Line ends are among these, so lines are glued together."""
    return normalize_words(text.strip())


def normalize_words(text: str) -> str:
    """`normalize` but for the ends, for a word or words with spaces between."""
    text = text.lower()
    if not text.isascii():
        text = unicodedata.normalize("NFD", text)
    return text.translate(_replaced())
