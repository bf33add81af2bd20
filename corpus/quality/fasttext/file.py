"""fastText's model files, `.bin` and `.ftz`: the settings, the dictionary and the two matrices, as they lie in the file.

The layout is that of fastText 0.9.3 (`FastText::loadModel`, versions 11 and 12 of the file), little-endian throughout.
Large arrays are views of the mapped file, so that workers share one copy of a model and opening it costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpus.data.buffers import Array
from corpus.errors import DataError, UsageError
from corpus.quality.fasttext.dictionary import Dictionary, scan_entries
from corpus.quality.fasttext.labels import UNCOUNTED
from corpus.quality.fasttext.matrix import CENTROIDS, Matrix, Quantizer

MAGIC = 793712314
_VERSIONS = (11, 12)
SUPERVISED = 3
HIERARCHICAL_SOFTMAX, NEGATIVE_SAMPLING, SOFTMAX, ONE_VS_ALL = 1, 2, 3, 4
"""The losses by their numbers in the file."""
_LONGEST_NGRAM = 1000
_SMALLEST_ENTRY = 10
"""Bytes of an entry of the dictionary with an empty word."""


@dataclass(frozen=True)
class Settings:
    """What of a model's training settings decides its answers."""

    dim: int
    word_ngrams: int
    loss: int
    bucket: int
    minn: int
    maxn: int

    @property
    def hashes(self) -> bool:
        """Whether there are n-grams, of characters or words."""
        return self.maxn > 0 or self.word_ngrams > 1


@dataclass(frozen=True)
class ModelFile:
    """The parts of a classifier's file."""

    settings: Settings
    dictionary: Dictionary
    input: Matrix
    output: Matrix


class _Cursor:
    """Reads one value after the other, and says what a file that ends too early lacks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data: Array[np.uint8] = np.memmap(path, dtype=np.uint8, mode="r")
        self.at = 0

    @property
    def left(self) -> int:
        """Bytes that are left."""
        return len(self.data) - self.at

    def array(self, kind: Any, count: int, what: str) -> Any:
        """So many numbers of a kind, as a view; its memory may begin at any byte."""
        size = count * np.dtype(kind).itemsize
        if count < 0 or size > self.left:
            raise self.error(f"it ends within its {what}: it is truncated or damaged, so fetch it again")
        found = np.frombuffer(self.data, dtype=kind, count=count, offset=self.at) if count else np.empty(0, dtype=kind)
        self.at += size
        return found

    def numbers(self, kind: str, count: int, what: str) -> list[int]:
        """So many whole numbers."""
        return [int(number) for number in self.array(kind, count, what)]

    def flag(self, what: str) -> bool:
        """A byte that is 0 or 1."""
        (value,) = self.numbers("u1", 1, what)
        if value > 1:
            raise self.damaged(what)
        return value == 1

    def damaged(self, what: str) -> DataError:
        """The error for numbers that cannot be."""
        return self.error(f"its {what} makes no sense: it is damaged, so fetch it again")

    def error(self, why: str) -> DataError:
        """An error about this file."""
        return DataError(f"{self.path} cannot be read as a fastText model, since {why}.")


def read_model(path: Path) -> ModelFile:
    """Read a classifier. A UsageError where there is no file; a DataError where it is no fastText model, is truncated or
    damaged, or holds word vectors and no labels."""
    if not path.is_file():
        raise UsageError(f"{path} does not exist: give a fastText model file.")
    if path.stat().st_size < 8:
        raise DataError(f"{path} is not a fastText model (it has {path.stat().st_size} bytes): give another file.")
    cursor = _Cursor(path)
    magic, version = cursor.numbers("<i4", 2, "header")
    if magic != MAGIC:
        raise DataError(f"{path} is not a fastText model (it begins otherwise): give a .bin or .ftz file.")
    if version not in _VERSIONS:
        raise cursor.error(
            f"its format is version {version} and versions 11 and 12 are known: convert it with fastText"
        )
    settings = _settings(cursor, version)
    dictionary = _dictionary(cursor)
    quantized = cursor.flag("flag of quantisation")
    input = _quantized(cursor, "input matrix") if quantized else _dense(cursor, "input matrix")
    quantized_output = cursor.flag("flag of the output's quantisation") and quantized
    output = _quantized(cursor, "output matrix") if quantized_output else _dense(cursor, "output matrix")
    _check(cursor, settings, dictionary, input, output)
    return ModelFile(settings, dictionary, input, output)


def _settings(cursor: _Cursor, version: int) -> Settings:
    names = "dim ws epoch min_count neg word_ngrams loss model bucket minn maxn lr_update_rate".split()
    values = dict(zip(names, cursor.numbers("<i4", len(names), "settings"), strict=True))
    cursor.array("<f8", 1, "settings")
    if values["model"] != SUPERVISED:
        raise DataError(
            f"{cursor.path} holds word vectors and is no classifier: give a model that was trained on labels."
        )
    if version == 11:
        values["maxn"] = 0  # classifiers of this version have no character n-grams, whatever the file says
    settings = Settings(**{name: max(values[name], 0) for name in Settings.__dataclass_fields__})
    longest, known = max(settings.maxn, settings.word_ngrams), settings.loss in (1, 2, 3, 4)
    if longest > _LONGEST_NGRAM or settings.dim < 1 or settings.bucket < settings.hashes or not known:
        raise cursor.damaged("settings")
    return settings


def _dictionary(cursor: _Cursor) -> Dictionary:
    size, words, labels = cursor.numbers("<i4", 3, "dictionary")
    _, pruned = cursor.numbers("<i8", 2, "dictionary")
    if min(words, labels) < 0 or words + labels != size or size * _SMALLEST_ENTRY > cursor.left:
        raise cursor.damaged("dictionary")
    if labels == 0:
        raise DataError(
            f"{cursor.path} has no labels, so it is no classifier: give a model that was trained on labels."
        )
    starts, ends = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    counts, kinds = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.uint8)
    begin = cursor.at
    after = scan_entries(cursor.data, begin, starts, ends, counts, kinds)
    cursor.array(np.uint8, after - begin if after >= 0 else -1, "dictionary")
    if counts.min() < 0 or counts.max() >= UNCOUNTED:
        raise cursor.damaged("dictionary")
    text = np.array(cursor.data[begin:after])
    kept = cursor.array("<i4", 2 * max(pruned, 0), "table of pruned n-grams").reshape(-1, 2) if pruned >= 0 else None
    return Dictionary(text, starts - begin, ends - begin, counts, kinds, words, kept)


def _dense(cursor: _Cursor, what: str) -> Matrix:
    rows, columns = cursor.numbers("<i8", 2, what)
    if rows < 0 or columns < 1 or rows > cursor.left or columns > cursor.left:
        raise cursor.damaged(what)
    return Matrix.dense(cursor.array("<f4", rows * columns, what).reshape(rows, columns))


def _quantized(cursor: _Cursor, what: str) -> Matrix:
    with_norms = cursor.flag(what)
    rows, columns = cursor.numbers("<i8", 2, what)
    (size,) = cursor.numbers("<i4", 1, what)
    codes = cursor.array(np.uint8, size, what)
    quantizer = _quantizer(cursor, what)
    if rows < 1 or columns != quantizer.dim or rows * quantizer.parts != size:
        raise cursor.damaged(what)
    norms = None
    if with_norms:
        norm_codes = cursor.array(np.uint8, rows, what)
        of_norms = _quantizer(cursor, what)
        if of_norms.dim != 1:
            raise cursor.damaged(what)
        norms = of_norms.centroids[:CENTROIDS][norm_codes]
    return Matrix.quantized(codes.reshape(rows, quantizer.parts), quantizer, norms)


def _quantizer(cursor: _Cursor, what: str) -> Quantizer:
    dim, parts, width, last = cursor.numbers("<i4", 4, what)
    if min(dim, parts, width, last) < 1 or last > width or (parts - 1) * width + last != dim:
        raise cursor.damaged(what)
    return Quantizer(dim, parts, width, np.array(cursor.array("<f4", dim * CENTROIDS, what)))


def _check(cursor: _Cursor, settings: Settings, dictionary: Dictionary, input: Matrix, output: Matrix) -> None:
    """That every row that can be asked for is there."""
    rows = dictionary.words
    if dictionary.pruned is not None:
        rows += int(dictionary.pruned[:, 1].max(initial=-1)) + 1
        buckets = dictionary.pruned[:, 0]
        outside = dictionary.pruned.min(initial=0) < 0 or buckets.max(initial=-1) >= settings.bucket
        if outside or len(np.unique(buckets)) < len(buckets):
            raise cursor.damaged("table of pruned n-grams")
    elif settings.hashes:
        rows += settings.bucket
    if input.columns != settings.dim or input.rows < rows:
        raise cursor.damaged("input matrix")
    if output.columns != settings.dim or output.rows < dictionary.labels:
        raise cursor.damaged("output matrix")
