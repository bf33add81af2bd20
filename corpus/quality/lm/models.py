"""The language models of a folder, and the perplexity of texts by them (CCNet, arXiv 1911.00359, section 3.3)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import types

from corpus.data.buffers import Array, text_buffers
from corpus.data.dataset import Dataset
from corpus.data.manifest import MANIFEST
from corpus.errors import DataError, UsageError
from corpus.kernel import kernel
from corpus.quality.lm.arpa_reader import read_arpa
from corpus.quality.lm.encoder import Encoded, PieceEncoder
from corpus.quality.lm.normalize import normalize
from corpus.quality.lm.pieces import load_pieces
from corpus.quality.lm.segmentation import UNKNOWN_PIECE
from corpus.quality.lm.spmodel import read_unigram
from corpus.quality.no_model import why_no_model

PIECES_NAMES = ("{}/sp.model", "{}.sp.model")
"""Where the SentencePiece model of a language lies: as train-lm writes it, and as CCNet names it."""
MODEL_NAMES = ("{}/lm.arpa", "{}/lm.arpa.bin", "{}.arpa.bin", "{}.arpa")
"""Where its n-grams lie."""
_KENLM_BINARY = b"mmap lm http://kheafield.com/code"
_LEAST_SHARED = 0.5
"""Of a model's pieces so many are words of the n-grams at least, else the two do not belong together."""
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_NUMBERS = types.Array(types.int64, 1, "C", readonly=True)
_SMALL = types.Array(types.int32, 1, "C", readonly=True)


@dataclass(frozen=True)
class ModelFiles:
    """The two files of a language's model."""

    language: str
    pieces: Path
    ngrams: Path


def find_models(folder: Path) -> dict[str, ModelFiles]:
    """The models in a folder by language, sorted; the folder may also be what train-lm wrote for one language, which is empty
    where there was too little text. A UsageError where there are none, a DataError where half of one is missing."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder of language models: give what train-lm wrote as models.")
    if (folder / MANIFEST).exists():
        return _trained(folder)
    if (folder / "sp.model").exists():
        raise UsageError(f"{folder} is the model of one language: give the folder that it lies in.")
    pieces, ngrams = _found(folder, PIECES_NAMES), _found(folder, MODEL_NAMES)
    for language in sorted(pieces.keys() ^ ngrams.keys()):
        there = (pieces | ngrams)[language]
        wanted = (MODEL_NAMES if language in pieces else PIECES_NAMES)[0].format(language)
        raise DataError(f"{there} has no other half: put {wanted} into {folder}, or take it away.")
    if not pieces:
        raise UsageError(
            f"{folder} holds no language model: it needs LANGUAGE/sp.model and LANGUAGE/lm.arpa (train-lm writes them), or"
            " LANGUAGE.sp.model and LANGUAGE.arpa.bin."
        )
    return {language: ModelFiles(language, pieces[language], ngrams[language]) for language in sorted(pieces)}


def _trained(folder: Path) -> dict[str, ModelFiles]:
    """The model in the output of train-lm."""
    if why_no_model(folder, "lm"):
        return {}
    language = Dataset.open(folder, "lm").manifest.extra["lm"]["language"]
    return {language: ModelFiles(language, folder / "sp.model", folder / "lm.arpa")}


def _found(folder: Path, names: tuple[str, ...]) -> dict[str, Path]:
    """The files of a folder that have one of the names, by language; of several the first name."""
    found: dict[str, Path] = {}
    for name in names:
        for path in sorted(folder.glob(name.format("*"))):
            relative = path.relative_to(folder).as_posix()
            found.setdefault(relative.removesuffix(name.format("")), path)
    return found


@kernel(types.int64(_BYTES, _NUMBERS, _SMALL, _NUMBERS, types.uint8[::1]))
def _join(store: Any, places: Any, sizes: Any, ends: Any, out: Any) -> Any:
    """Pieces with spaces between, a line for each sentence."""
    at, number = np.int64(0), np.int64(0)
    for sentence in range(ends.size):
        first = number
        while number < ends[sentence]:
            if number > first:
                out[at] = 32
                at += 1
            for i in range(sizes[number]):
                out[at] = store[places[number] + i]
                at += 1
            number += 1
        out[at] = 10
        at += 1
    return at


class LanguageModel:
    """The model of one language. Scores are those of KenLM for the pieces that SentencePiece gives, whatever finds them."""

    def __init__(self, files: ModelFiles) -> None:
        self._files = files
        model = read_unigram(files.pieces)
        self._processor = load_pieces(files.pieces) if isinstance(model, str) else model.processor
        self._encoder = None if isinstance(model, str) else PieceEncoder(model)
        tables = "it is a binary file" if _is_binary(files.ngrams) else read_arpa(files.ngrams)
        self._tables = None if isinstance(tables, str) else tables
        self._kenlm: Any = load_kenlm(files.ngrams) if isinstance(tables, str) else None
        self._check()

    def _check(self) -> None:
        """That pieces are words of the n-grams."""
        size = range(self._processor.get_piece_size())
        usable = [
            number for number in size if not (self._processor.is_control(number) or self._processor.is_unknown(number))
        ]
        shared = sum(self._knows(self._processor.id_to_piece(number)) for number in usable)
        if shared < _LEAST_SHARED * len(usable):
            raise DataError(
                f"{self._files.ngrams} and {self._files.pieces} do not belong together: the n-grams know {shared:,} of"
                f" {len(usable):,} pieces; give those that were trained together."
            )

    def _knows(self, piece: str) -> bool:
        if self._tables is not None:
            return self._tables.word(piece.encode()) != self._tables.unknown
        return piece in self._kenlm

    @cached_property
    def _known(self) -> Array[np.int32]:
        """The word of each piece."""
        assert self._tables is not None
        pieces = (self._processor.id_to_piece(number) for number in range(self._processor.get_piece_size()))
        return np.array([self._tables.word(piece.encode()) for piece in pieces], np.int32)

    def perplexities(self, data: Array[np.uint8], bounds: Array[np.int64], by_line: bool) -> list[float | None]:
        """The perplexity of each text, to one decimal as CCNet rounds it; None where nothing is left of it.

        A text is one sentence and its line ends are deleted, or each line is one with `by_line`. Perplexity is 10 to the
        minus of the sum of logarithms over the number of words, the ends of sentences included.
        data, bounds: UTF-8 bytes, and the int64[n + 1] bounds of the texts in them.
        """
        encoder = self._encoder
        encoded = encoder.encode(data, bounds, by_line) if encoder else self._encoded(data, bounds, by_line)
        scores = self._scores(encoded)
        found: list[float | None] = []
        first = 0
        for last in encoded.last.tolist():
            total, words = 0.0, 0
            for sentence in range(first, last):
                if encoded.lengths[sentence]:
                    total += float(scores[sentence])
                    words += int(encoded.lengths[sentence]) + 1
            found.append(perplexity(total, words) if words else None)
            first = last
        return found

    def _scores(self, encoded: Encoded) -> Array[np.float32]:
        """The logarithm of each sentence."""
        pieces = (encoded.store, encoded.places, encoded.sizes)
        if self._tables is not None:
            return self._tables.score(self._tables.words(encoded.pieces, pieces, self._known), encoded.ends)
        out = np.empty(int(encoded.sizes.sum()) + len(encoded.sizes) + len(encoded.ends), np.uint8)
        joined = bytes(out[: _join(*pieces, encoded.ends, out)])
        return np.array([self._kenlm.score(line) for line in joined.split(b"\n")[:-1]], np.float32)

    def _encoded(self, data: Array[np.uint8], bounds: Array[np.int64], by_line: bool) -> Encoded:
        """The pieces of texts by SentencePiece itself."""
        words: list[bytes] = []
        ends, last, lengths = [], [], []
        for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            text = bytes(data[begin:end]).decode()
            for sentence in text.split("\n") if by_line else [text]:
                pieces = self._processor.encode(normalize(sentence), out_type=str)
                words += (piece.encode() for piece in pieces)
                ends.append(len(words))
                lengths.append(len(" ".join(pieces).split()))
            last.append(len(ends))
        sizes = np.array([len(word) for word in words], np.int32)
        places = np.cumsum(sizes, dtype=np.int64) - sizes
        unknown = np.full(len(words), UNKNOWN_PIECE, np.int32)
        store = np.frombuffer(b"".join(words), np.uint8)
        return Encoded(unknown, store, places, sizes, *(np.array(part, np.int64) for part in (ends, last, lengths)))


def perplexity(logarithm: float, words: int) -> float:
    """CCNet's perplexity, to one decimal, of a sum of base 10 logarithms."""
    try:
        return round(float(10.0 ** (-logarithm / words)), 1)
    except OverflowError:
        return float("inf")


@cache
def load_model(files: ModelFiles) -> LanguageModel:
    """The model of a language, loaded once in a process."""
    return LanguageModel(files)


def score(models: Mapping[str, ModelFiles], texts: pa.Array, languages: pa.Array, by_line: bool) -> list[float | None]:
    """The perplexity of each text by the model of its language; None where there is none, or nothing is left of it."""
    found: list[float | None] = [None] * len(texts)
    for language in languages.unique().to_pylist():
        if language in models:
            rows = np.flatnonzero(pc.equal(languages, language).to_numpy(zero_copy_only=False))
            own = texts if len(rows) == len(texts) else texts.take(pa.array(rows))
            data, bounds = text_buffers(own)
            values = load_model(models[language]).perplexities(data, bounds, by_line)
            for row, value in zip(rows.tolist(), values, strict=True):
                found[row] = value
    return found


def slow_because(files: ModelFiles) -> list[str]:
    """Why scoring is not as fast as it can be, as far as the beginning of the files tells."""
    model = read_unigram(files.pieces)
    why = [f"SentencePiece itself encodes with {files.pieces.name}, since {model}"] if isinstance(model, str) else []
    binary = [f"KenLM itself scores with {files.ngrams.name}, a binary file; an ARPA file is faster"]
    return why + (binary if _is_binary(files.ngrams) else [])


def _is_binary(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_KENLM_BINARY)) == _KENLM_BINARY


def load_kenlm(path: Path) -> Any:
    """A `kenlm.Model`; a DataError where KenLM cannot read the file."""
    try:
        kenlm = importlib.import_module("kenlm")
    except ImportError:
        raise UsageError(f"{path} needs KenLM: pip install ufal-kenlm, or give an ARPA file.") from None
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        return kenlm.Model(str(path), config)
    except OSError as error:
        why = str(error).split("threw", 1)[-1].strip(" ()")[:200]
        raise DataError(f"KenLM cannot read {path} ({why}): copy or make the model again.") from None
