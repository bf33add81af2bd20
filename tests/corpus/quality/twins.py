"""Slow, obvious twins of the rule sets: Python strings, one document at a time. Each gives the reason for which a text goes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from corpus.quality.punkt import ABBREVIATIONS
from corpus.quality.rules.c4 import C4
from corpus.quality.rules.code import Code
from corpus.quality.rules.fineweb import TERMINALS, FineWeb
from corpus.quality.rules.gopher import BULLETS, GopherQuality, GopherRepetition
from corpus.quality.rules.stop_words import GOPHER

CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


def lines_of(text: str) -> list[str]:
    return [line for line in text.split("\n") if line and not line.isspace()]


def paragraphs_of(text: str) -> list[str]:
    return [part.strip("\n") for part in text.strip().split("\n\n") if part.strip("\n")]


def gopher_quality(rule: GopherQuality, text: str) -> str | None:
    words, lines = len(text.split()), lines_of(text)
    if words < rule.min_words:
        return "too few words"
    if words > rule.max_words:
        return "too many words"
    length = sum(map(len, text.split()))
    if not rule.min_mean_word * words <= length <= rule.max_mean_word * words:
        return "short words" if length < rule.min_mean_word * words else "long words"
    if text.count("#") > rule.max_hashes * words:
        return "hash signs"
    if text.count("...") + text.count("…") > rule.max_ellipses * words:
        return "ellipses"
    if sum(line.lstrip().startswith(BULLETS) for line in lines) > rule.max_bullet_lines * len(lines):
        return "bullet lines"
    if sum(line.rstrip().endswith(("...", "…")) for line in lines) > rule.max_ellipsis_lines * len(lines):
        return "lines ending in ellipsis"
    if sum(any(map(str.isalpha, word)) for word in text.split()) < rule.min_lettered * words:
        return "words without letters"
    return "too few stop words" if stop_words(text, rule.stop_words or GOPHER) < rule.min_stop_words else None


def stop_words(text: str, words: Sequence[str]) -> int:
    there = set(text.split())
    return sum(any(form in there for form in (word, word.capitalize(), word.upper())) for word in words)


def gopher_repetition(rule: GopherRepetition, text: str) -> str | None:
    words, size = text.split(), len(text)
    if not words:
        return "no words"
    for name, parts in (("paragraphs", paragraphs_of(text)), ("lines", lines_of(text))):
        number, characters = repeats(parts)
        if number > rule.duplicate_lines * len(parts):
            return f"duplicate {name}"
        if characters > rule.duplicate_line_characters * size:
            return f"characters in duplicate {name}"
    for n in (2, 3, 4):
        if top_ngram(words, n) > getattr(rule, f"top_{n}_gram") * size:
            return f"top {n}-gram"
    for n in (5, 6, 7, 8, 9, 10):
        if duplicate_ngrams(words, n) > getattr(rule, f"duplicate_{n}_grams") * size:
            return f"duplicate {n}-grams"
    return None


def repeats(parts: Sequence[str]) -> tuple[int, int]:
    """How many of the parts, and characters in them, are repeats of an earlier part."""
    different = dict.fromkeys(parts)
    return len(parts) - len(different), sum(map(len, parts)) - sum(map(len, different))


def top_ngram(words: Sequence[str], n: int) -> int:
    """Occurrences of the first most frequent n-gram times its characters."""
    ngrams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not ngrams:
        return 0
    counts = Counter(ngrams)
    top = max(counts, key=lambda ngram: counts[ngram])  # dicts are in the order of first occurrence
    return counts[top] * len(" ".join(top))


def duplicate_ngrams(words: Sequence[str], n: int) -> int:
    """Characters in n-grams seen before, from left to right, without overlap."""
    seen: set[tuple[str, ...]] = set()
    i = characters = 0
    while i + n <= len(words):
        ngram = tuple(words[i : i + n])
        if ngram in seen:
            characters += sum(map(len, ngram))
            i += n
        else:
            seen.add(ngram)
            i += 1
    return characters


def code(rule: Code, text: str) -> str | None:
    if not text:
        return "empty"
    if max(map(len, text.split("\n"))) > rule.max_line:
        return "long line"
    if len(text) > rule.max_mean_line * (text.count("\n") + (not text.endswith("\n"))):
        return "long lines on average"
    few = sum(map(str.isalnum, text)) < rule.min_alphanumeric * len(text)
    return "few alphanumeric characters" if few else None


def c4(rule: C4, text: str) -> tuple[str, str | None]:
    """What is left of a page, and why it goes."""
    if rule.whole_page and "lorem ipsum" in text.lower():
        return text, "lorem ipsum"
    if rule.whole_page and "{" in text:
        return text, "curly bracket"
    kept: list[str] = []
    number = 0
    for line in text.splitlines():
        left, why = _c4_line(rule, line.strip())
        if why is not None:
            return text, why
        if left:
            number += sentences(left)
            kept.append(left)
    if number < rule.min_sentences:
        return text, "too few sentences"
    page = "\n".join(kept)
    return (text, "too long") if len(page) > rule.max_page else (page, None)


def fineweb(rule: FineWeb, text: str) -> str | None:
    lines = lines_of(text)
    if not lines:
        return "empty"
    if sum(line.endswith(tuple(TERMINALS)) for line in lines) < rule.min_ended_lines * len(lines):
        return "few lines that end a sentence"
    if sum(len(line) <= rule.short_line for line in lines) > rule.max_short_lines * len(lines):
        return "short lines"
    if repeats(lines)[1] > rule.max_duplicate_characters * len(text.replace("\n", "")):
        return "duplicate lines"
    return "many line feeds" if text.count("\n") > rule.max_line_feeds * len(text.split()) else None


def bad_words(words: Sequence[str], text: str) -> int:
    """Occurrences of whole words or phrases, overlapping ones too."""
    lower = text.lower()
    return sum(len(re.findall(rf"(?<!\w)(?={re.escape(word)}(?!\w))", lower)) for word in words)


def sentences(line: str) -> int:
    """Sentences of a line that is not empty."""
    found = 1
    for match in re.finditer(r"([.?!]+)([\"')\]}‘’“”«»]*)(?=\s)", line):
        marks, closing = match.groups()
        word = re.search(r"'?[^\s)\";}\]*:@'({\[!?]*$", line[: match.start()])
        assert word is not None
        following = line[match.end() :].lstrip()[:1]
        ends = set(marks) != {"."} or (len(marks) == 1 and not _goes_on(word.group(), closing, following))
        found += ends
    return found


def _goes_on(word: str, closing: str, following: str) -> bool:
    lower = "".join(char.lower() if char.isascii() else char for char in word)
    if lower in ABBREVIATIONS or lower.rpartition("-")[2] in ABBREVIATIONS:
        return True
    if closing:
        return False
    if len(word) == 1 and word.isalpha():
        return following.isalpha()
    return bool(re.fullmatch("[0-9,.-]*[0-9][0-9,.-]*", word)) and "a" <= following <= "z"


def _c4_line(rule: C4, line: str) -> tuple[str, str | None]:
    if any(len(word) > rule.max_word for word in line.split()):
        return "", None
    line = CITATION.sub("", line)
    if not line.endswith((".", "?", "!", '"')) or line.endswith("...") or len(line.split()) < rule.min_line_words:
        return "", None
    lower = line.lower()
    if "lorem ipsum" in lower:
        return "", "lorem ipsum"
    if "javascript" in lower:
        return "", None
    if "{" in line:
        return "", "curly bracket"
    return ("", None) if any(phrase in lower for phrase in POLICY) else (line, None)
