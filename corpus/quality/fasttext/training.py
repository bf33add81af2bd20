"""Trains a fastText classifier as `fasttext supervised` does (Joulin et al. 2017, arXiv 1607.01759): the mean of rows of
words and word n-grams, a softmax, stochastic gradient descent with a rate that falls to 0.

One thread, texts in the order they are given, numbers that follow from the seed: equal texts give equal bytes. The library
does not (threads race, and with fewer than ten it trains on memory as it was), which is why it is not used. Differences:
the numbers of the first matrix, and that all texts are held in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np

from corpus.data.buffers import Array
from corpus.kernel import kernel
from corpus.quality.fasttext.dictionary import END

_END = END.encode()
_SEPARATORS = bytes.maketrans(b"\0", b" ")
_I32, _I64, _U32 = (nb.types.Array(kind, 1, "C", readonly=True) for kind in (nb.int32, nb.int64, nb.uint32))


@dataclass(frozen=True)
class Training:
    """Settings, with fastText's defaults."""

    dim: int = 100
    rate: float = 0.1
    epochs: int = 5
    min_count: int = 1
    word_ngrams: int = 1
    buckets: int = 2_000_000
    seed: int = 0


@dataclass(frozen=True)
class Trained:
    """What training makes: words in the order of their rows with their counts, those of labels, and both matrices."""

    words: list[bytes]
    counts: list[int]
    input: Array[np.float32]
    output: Array[np.float32]


def words_of(text: str) -> list[bytes]:
    """The words of a text, and the end. Separators are fastText's: ASCII white space and zero."""
    return [*(word for word in text.encode().translate(_SEPARATORS).split() if word != _END), _END]


def train(texts: Sequence[str], labels: Sequence[int], kinds: int, settings: Training) -> Trained:
    """Train on texts with the numbers of their labels, in this order. Words are numbered by how often they occur."""
    counts: Counter[bytes] = Counter()
    for text in texts:
        counts.update(words_of(text))
    ordered = sorted((-number, word) for word, number in counts.items())
    number_of = {word: number for number, (_, word) in enumerate(ordered)}
    known = sum(-number >= settings.min_count for number, _ in ordered)
    numbers = [np.fromiter(map(number_of.__getitem__, words_of(text)), dtype=np.int32) for text in texts]
    ends = np.cumsum([0, *map(len, numbers)], dtype=np.int64)
    hashes = np.array([fnv(word) for _, word in ordered], dtype=np.uint32)
    buckets = settings.buckets if settings.word_ngrams > 1 else 0
    random = np.random.Generator(np.random.Philox(settings.seed))
    input = random.random((known + buckets, settings.dim), dtype=np.float32)
    input = (input * 2 - 1) / np.float32(settings.dim)
    output = np.zeros((kinds, settings.dim), dtype=np.float32)
    args = (np.concatenate(numbers), ends, np.array(labels, dtype=np.int64), hashes)
    for array in args:
        array.flags.writeable = False
    descend(*args, known, buckets, settings.word_ngrams, settings.epochs, settings.rate, input, output)
    return Trained([word for _, word in ordered[:known]], [-number for number, _ in ordered[:known]], input, output)


def fnv(word: bytes) -> int:
    """fastText's hash of a word: FNV-1a of 32 bits, of bytes that are taken for signed."""
    value = 2166136261
    for byte in word:
        value = ((value ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619) & 0xFFFFFFFF
    return value


@kernel(
    nb.void(
        _I32, _I64, _I64, _U32, nb.int64, nb.int64, nb.int64, nb.int64, nb.float64, nb.float32[:, ::1], nb.float32[:, ::1]
    )
)  # fmt: skip
def descend(
    numbers: Any, ends: Any, labels: Any, hashes: Any, known: Any, buckets: Any, ngrams: Any, epochs: Any, rate: Any,
    input: Any, output: Any,
) -> None:  # fmt: skip
    """Go through all texts `epochs` times and change both matrices.

    numbers: int32[n], the words of text i between ends[i] and ends[i + 1]; those below `known` have rows; hashes: uint32,
    fastText's, of each word.
    """
    columns, kinds, texts = input.shape[1], output.shape[0], labels.size
    longest = np.int64(0)
    for text in range(texts):
        longest = max(longest, ends[text + 1] - ends[text])
    wanted = np.empty(longest * ngrams, dtype=np.int64)
    hidden, gradient = np.empty(columns, dtype=np.float32), np.empty(columns, dtype=np.float32)
    scores = np.empty(kinds, dtype=np.float32)
    done, all_words = np.int64(0), np.float64(epochs) * numbers.size
    for _ in range(epochs):
        for text in range(texts):
            begin, end = ends[text], ends[text + 1]
            step = np.float32(rate * (1.0 - done / all_words))
            done += end - begin
            count = np.int64(0)
            for first in range(begin, end):
                if numbers[first] < known:
                    wanted[count] = numbers[first]
                    count += 1
                chain = np.uint64(np.int64(np.int32(hashes[numbers[first]])))
                for last in range(first + 1, min(end, first + ngrams)):
                    chain = chain * np.uint64(116049371) + np.uint64(np.int64(np.int32(hashes[numbers[last]])))
                    wanted[count] = known + np.int64(chain % np.uint64(buckets))
                    count += 1
            if count == 0:
                continue
            hidden[:] = np.float32(0)
            for place in range(count):
                row = wanted[place]
                for column in range(columns):
                    hidden[column] += input[row, column]
            share = np.float32(1.0 / count)
            highest, together = np.float32(-np.inf), np.float32(0)
            for column in range(columns):
                hidden[column] *= share
            for kind in range(kinds):
                dot = np.float32(0)
                for column in range(columns):
                    dot += output[kind, column] * hidden[column]
                scores[kind] = dot
                highest = max(highest, dot)
            for kind in range(kinds):
                scores[kind] = np.exp(scores[kind] - highest)
                together += scores[kind]
            gradient[:] = np.float32(0)
            for kind in range(kinds):
                error = step * (np.float32(kind == labels[text]) - scores[kind] / together)
                for column in range(columns):
                    gradient[column] += error * output[kind, column]
                    output[kind, column] += error * hidden[column]
            for column in range(columns):
                gradient[column] *= share
            for place in range(count):
                row = wanted[place]
                for column in range(columns):
                    input[row, column] += gradient[column]
