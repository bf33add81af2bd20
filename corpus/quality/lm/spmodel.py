"""What the encoder has to know of a SentencePiece model, and whether it may encode with it at all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpus.data.buffers import Array
from corpus.errors import DataError
from corpus.quality.lm.pieces import load_pieces

_UNIGRAM = 1
_PIECE, _TRAINER, _NORMALIZER = 1, 2, 3
_TYPE, _MODEL_TYPE, _NAME = 3, 3, 1
_USER_DEFINED = 4
_STANDARD = (b"nmt_nfkc", b"nfkc", b"nmt_nfkc_cf", b"nfkc_cf", b"identity")
"""Normalisations that come with the library; none has a rule for several characters of ASCII together."""
SPACE = "▁"
BETWEEN = "\ue000"
"""A character of private use, which stands between words that are normalised together."""


@dataclass(frozen=True)
class UnigramModel:
    """A model that pieces can be found with word by word."""

    processor: Any
    pieces: tuple[bytes, ...]
    """By number, empty for what text cannot become."""
    scores: Array[np.float32]
    unknown: float
    """The score of a character that the model does not know."""


def read_unigram(path: Path) -> UnigramModel | str:
    """The model of a file, or why its pieces have to be found by the library. A DataError if it is no model."""
    processor = load_pieces(path)
    data = path.read_bytes()
    if not {_TRAINER, _NORMALIZER} <= {number for number, _ in _fields(data)}:  # they come last
        raise DataError(f"{path} is no whole SentencePiece model: copy it again.")
    kind, normalization, own_symbols = _kind(data)
    size = range(processor.get_piece_size())
    special = {number for number in size if processor.is_control(number) or processor.is_unknown(number)}
    texts = [processor.id_to_piece(number) for number in size]
    if kind != _UNIGRAM:
        return "it is no unigram model"
    if any(processor.is_byte(number) for number in size):
        return "it falls back to bytes"
    if own_symbols:
        return "it has symbols of its own"
    if any(SPACE in text[1:] for number, text in enumerate(texts) if number not in special):
        return "it has pieces of several words"
    if processor.piece_to_id(SPACE) in special:
        return "it has no piece for a space"
    if processor.normalize("  a  b ") != f"{SPACE}a{SPACE}b" or processor.normalize(f"a {BETWEEN}") != (
        f"{SPACE}a{SPACE}{BETWEEN}"
    ):
        return "it does not treat spaces in the usual way"
    plain = "".join(char for char in map(chr, range(33, 127)) if not char.isupper())
    if normalization not in _STANDARD or processor.normalize(plain) != SPACE + plain:
        return "it has a normalisation of its own"
    spaces = [char for char in map(chr, range(160, sys.maxunicode + 1)) if char.isspace()]
    if any(char.isspace() for char in processor.normalize("a".join(spaces))):
        return "it keeps white space"
    usable = [number not in special and not processor.is_unused(number) for number in size]
    scores = np.array([processor.get_score(number) for number in size], np.float32)
    if scores.max() > 0:
        return "it has scores above zero"
    normal = scores[[number not in special for number in size]]
    return UnigramModel(
        processor,
        tuple(text.encode() if use else b"" for text, use in zip(texts, usable, strict=True)),
        scores,
        float(normal.min() - np.float32(10)),
    )


def _kind(data: bytes) -> tuple[int, bytes, bool]:
    """The type of a model, the name of its normalisation, and whether it has pieces that a user defined
    (sentencepiece_model.proto)."""
    kind, name, own_symbols = _UNIGRAM, b"", False
    for number, message in _fields(data):
        if not isinstance(message, bytes) or number > _NORMALIZER:
            continue
        values = dict(_fields(message))
        if number == _PIECE:
            own_symbols = own_symbols or values.get(_TYPE) == _USER_DEFINED
        elif number == _TRAINER:
            found = values.get(_MODEL_TYPE)
            kind = found if isinstance(found, int) else kind
        else:
            found = values.get(_NAME)
            name = found if isinstance(found, bytes) else name
    return kind, name, own_symbols


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protocol buffer that the library has read: varints, and byte strings with their length before."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        elif tag & 7 == 2:
            size = varint()
            yield tag >> 3, data[at : at + size]
            at += size
        else:
            at += 8 if tag & 7 == 1 else 4
