"""Interpolated modified Kneser-Ney by its definition (Chen and Goodman 1998, section 4.1; Heafield et al. 2013), slowly
and in double precision; and ARPA files as dictionaries."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

Gram = tuple[str, ...]
Model = dict[Gram, tuple[float, float]]
"""Base 10 logarithms of probability and backoff weight by n-gram."""
FALLBACK = [0.0, 0.5, 1.0, 1.5]


def adjusted_counts(sentences: Iterable[Sequence[str]], order: int) -> list[Counter[Gram]]:
    """By order from 1 on: how often an n-gram occurs if it is of the highest order or begins a sentence, else how many
    words occur before it."""
    occurring: list[Counter[Gram]] = [Counter() for _ in range(order + 1)]
    for sentence in sentences:
        padded = ("<s>", *sentence, "</s>")
        for n in range(1, order + 1):
            occurring[n].update(padded[i : i + n] for i in range(len(padded) - n + 1))
    adjusted = [Counter[Gram]() for _ in range(order)]
    for n in range(1, order + 1):
        before: Counter[Gram] = Counter(gram[1:] for gram in occurring[n + 1]) if n < order else Counter()
        for gram, count in occurring[n].items():
            if gram != ("<s>",):
                adjusted[n - 1][gram] = count if n == order or gram[0] == "<s>" else before[gram]
    return adjusted


def discounts(counts: Counter[Gram]) -> list[float]:
    """By count up to 3; KenLM's fallback where the formula gives none."""
    seen = Counter(counts.values())
    n1, n2, n3, n4 = (seen[k] for k in (1, 2, 3, 4))
    if 0 in (n1, n2, n3):
        return FALLBACK
    y = n1 / (n1 + 2 * n2)
    found = [0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
    return found if all(0 <= value <= count for count, value in enumerate(found)) else FALLBACK


def kneser_ney(sentences: Sequence[Sequence[str]], order: int) -> Model:
    """The model of some sentences."""
    counts = adjusted_counts(sentences, order)
    probability: dict[Gram, float] = {}
    weight: dict[Gram, float] = {}
    uniform = 1 / (len(counts[0]) + 1)  # <unk> is a word, <s> is none
    for n, level in enumerate(counts, 1):
        discount = discounts(level)
        followers: defaultdict[Gram, list[int]] = defaultdict(list)
        for gram, count in level.items():
            followers[gram[:-1]].append(count)
        for context, numbers in followers.items():
            weight[context] = sum(discount[min(number, 3)] for number in numbers) / sum(numbers)
        for gram, count in level.items():
            lower = probability[gram[1:]] if n > 1 else uniform
            own = (count - discount[min(count, 3)]) / sum(followers[gram[:-1]])
            probability[gram] = own + weight[gram[:-1]] * lower
    probability[("<unk>",)] = weight[()] * uniform
    probability[("<s>",)] = 1.0
    return {
        gram: (_logarithm(value), _logarithm(weight[gram]) if gram in weight else 0.0)
        for gram, value in probability.items()
    }


def _logarithm(value: float) -> float:
    """As ARPA files have it: that of 0 is -99."""
    return math.log10(value) if value else -99.0


def read_arpa(path: Path) -> Model:
    """The n-grams of an ARPA file."""
    found: Model = {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        fields = line.split("\t")
        if len(fields) > 1:
            found[tuple(fields[1].split(" "))] = (float(fields[0]), float(fields[2]) if len(fields) > 2 else 0.0)
    return found
