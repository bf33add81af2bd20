"""fastText classifiers, read and applied without the library, at many times its speed."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from corpus.data.buffers import Array
from corpus.quality.fasttext.file import HIERARCHICAL_SOFTMAX, SOFTMAX, ModelFile, Settings, read_model
from corpus.quality.fasttext.labels import build_tree, by_score, by_tree
from corpus.quality.fasttext.layout import lay_out
from corpus.quality.fasttext.vectors import (
    BLOCK,
    BUCKET,
    DIM,
    END_ID,
    INVERSE,
    MAXN,
    MINN,
    NGRAMS,
    SETTINGS,
    SHIFT,
    STAGED,
    VECTOR_AT,
    WIDTH,
    WINDOW,
    WORD_NGRAMS,
    WORDS,
    sum_texts,
)

MEMORY_BYTES = 16 << 20
"""What the sums of words may take."""
_SLICE = 1 << 20
"""Bytes of texts that are gone through at a time."""
_ROOM = 48


class Predictions(NamedTuple):
    """The best labels of texts: int32[n, k], -1 where there are no more, and float32[n, k], their probabilities."""

    labels: Array[np.int32]
    probabilities: Array[np.float32]


class FastText:
    """A classifier with the memory of its words. Threads take turns."""

    def __init__(self, file: ModelFile) -> None:
        settings, dictionary = file.settings, file.dictionary
        self.labels = dictionary.names
        self._hierarchical, self._softmax = settings.loss == HIERARCHICAL_SOFTMAX, settings.loss == SOFTMAX
        self._dim = settings.dim
        output = file.output.decoded()[: len(self.labels)]
        self._output = _frozen(output if self._hierarchical else output.T)
        tree = np.empty((2 * len(self.labels) - 1, 2), dtype=np.int32)
        build_tree(_frozen(dictionary.label_counts), tree)
        self._tree = _frozen(tree)
        end = file.input.take(np.array([dictionary.end] if dictionary.end >= 0 else [], dtype=np.int64))
        of_end = _frozen(end.decoded().sum(axis=0, dtype=np.float32))
        self._state = np.zeros(2, dtype=np.int64)
        self._arrays = (*_parts(file), *_memory(settings.dim), *_scratch(settings), of_end, self._state)
        self._lock = threading.Lock()

    @property
    def words(self) -> int:
        """Words met so far."""
        return int(self._state[0])

    @property
    def misses(self) -> int:
        """Words whose sum had to be made so far."""
        return int(self._state[1])

    def predict(self, data: Array[np.uint8], bounds: Array[np.int64], k: int = 1, glue: bool = False) -> Predictions:
        """The k best labels of the texts `data[bounds[i]:bounds[i + 1]]`, as `fasttext.predict` gives them for the text
        up to its first token `</s>`, with line feeds as spaces or, with `glue`, without them.

        A text without any row of the model has no label (-1, probability 0).
        """
        texts, k = len(bounds) - 1, min(k, len(self.labels))
        best, scores = np.full((texts, k), -1, dtype=np.int32), np.full((texts, k), -np.inf, dtype=np.float32)
        first = 0
        while first < texts:
            last = max(first + 1, int(np.searchsorted(bounds, bounds[first] + _SLICE, "right")) - 1)
            hidden, counts = self.vectors(data, bounds[first : last + 1], glue)
            args = (_frozen(hidden), _frozen(counts), self._output)
            if self._hierarchical:
                by_tree(*args, self._tree, best[first:last], scores[first:last])
            else:
                by_score(*args, not self._softmax, best[first:last], scores[first:last])
            first = last
        return Predictions(best, np.exp(scores.astype(np.float64)).astype(np.float32))

    def vectors(
        self, data: Array[np.uint8], bounds: Array[np.int64], glue: bool = False
    ) -> tuple[Array[np.float32], Array[np.int64]]:
        """The vector of each text, float32[n, dim], and the number of the model's rows it is the mean of, int64[n]."""
        texts = len(bounds) - 1
        room = np.zeros(int(bounds[-1] - bounds[0]) + texts + 1 + _ROOM, dtype=np.uint8)
        starts = np.empty(texts + 1, dtype=np.int64)
        lay_out(_frozen(data), _frozen(bounds), glue, room, starts)
        words = np.ndarray((len(room) - 7,), dtype=np.uint64, buffer=room.data, strides=(1,))
        words.flags.writeable = False
        hidden, counts = np.empty((texts, self._dim), dtype=np.float32), np.empty(texts, dtype=np.int64)
        with self._lock:
            sum_texts(room, words, _frozen(starts), *self._arrays, hidden, counts)
        return hidden, counts


@lru_cache(maxsize=4)
def load_model(path: Path) -> FastText:
    """The classifier of a file, read once; errors are those of `read_model`."""
    return FastText(read_model(path))


def _parts(file: ModelFile) -> tuple[Array[Any], ...]:
    """The masks of the first bytes of eight, none to all, and the parts of a model as the kernel takes them."""
    settings, dictionary = file.settings, file.dictionary
    numbers = np.zeros(SETTINGS, dtype=np.int64)
    numbers[[MINN, MAXN, BUCKET, DIM]] = settings.minn, settings.maxn, settings.bucket, settings.dim
    numbers[[WORD_NGRAMS, WORDS, END_ID]] = settings.word_ngrams, dictionary.words, dictionary.end
    numbers[[NGRAMS, WIDTH]] = -1 if dictionary.pruned is None else min(len(dictionary.pruned), 1), file.input.width
    if settings.bucket > 0:
        shift = 30 + settings.bucket.bit_length()
        numbers[[INVERSE, SHIFT]] = -(-(1 << shift) // settings.bucket), shift
    counts = [min(max(count, 0), 8) for count in range(-24, 33)]
    masks = np.array([(1 << 8 * count) - 1 for count in counts], dtype=np.uint64)
    words = (dictionary.text, dictionary.starts, dictionary.ends, dictionary.kinds, dictionary.slots)
    rows = file.input if dictionary.row_order is None else file.input.take(dictionary.row_order)
    matrix = (rows.values.reshape(-1), rows.codes, rows.centroids, rows.scales)
    arrays: tuple[Array[Any], ...] = (masks, numbers, *words, *dictionary.kept(settings.bucket), *matrix)
    return tuple(_frozen(array) for array in arrays)


def _scratch(settings: Settings) -> tuple[Array[Any], ...]:
    """What the kernel writes on the way, in the order of its arguments."""
    grams = max(settings.word_ngrams - 1, 1)
    return (
        np.empty(WINDOW + settings.maxn + 1, dtype=np.uint64),
        np.empty(WINDOW, dtype=np.uint32),
        np.empty(max(BLOCK, grams) + 1, dtype=np.int64),
        np.empty(settings.dim, dtype=np.float32),
        np.empty(grams, dtype=np.uint64),
        np.empty(settings.dim, dtype=np.float64),
        np.empty(2, dtype=np.uint64),
        np.empty((STAGED, 2), dtype=np.uint64),
        np.empty(STAGED, dtype=np.uint64),
        np.empty((STAGED, 4), dtype=np.uint64),
    )


def _memory(dim: int) -> tuple[Array[np.uint64], Array[np.float32]]:
    """The table of word sums, as words and as floats: pairs of rows. The last pair never answers."""
    width = VECTOR_AT + (dim + 1) // 2
    table = np.zeros((2 * max(2, MEMORY_BYTES // (16 * width)), width), dtype=np.uint64)
    table[-2:, 0] = ~np.uint64(0)
    return table, table.view(np.float32)


def _frozen(array: Array[Any]) -> Array[Any]:
    view = (array if array.flags.c_contiguous else np.ascontiguousarray(array)).view()
    view.flags.writeable = False
    return view
