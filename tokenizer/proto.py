"""Reads a SentencePiece model file: its pieces with scores and types, and the settings that decide how it encodes.

The file is a protocol buffer (`sentencepiece_model.proto`); of its messages only the fields named here are looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""Types of pieces, numbered as in the file."""
UNIGRAM, BPE, WORD, CHAR = 1, 2, 3, 4
"""Types of models, numbered as in the file."""
TYPE_NAMES = {UNIGRAM: "unigram", BPE: "bpe", WORD: "word", CHAR: "char"}

NO_DUMMY_PREFIX = b"\x1a\x02\x18\x00"
"""After the bytes of a model: `normalizer_spec { add_dummy_prefix: false }`; of a field that
is there twice the last counts."""

_FLOAT = struct.Struct("<f")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class ModelFormatError(ValueError):
    """The bytes are no whole SentencePiece model; the message says why, without the file's name."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the vocabulary; its id is its place."""

    text: bytes
    score: float
    type: int


@dataclass(frozen=True, slots=True)
class Model:
    """What the encoder needs to know of a model."""

    pieces: tuple[Piece, ...]
    model_type: int
    byte_fallback: bool
    whitespace_as_suffix: bool
    normalization: str
    charsmap: bytes
    dummy_prefix: bool
    remove_extra_whitespaces: bool
    escape_whitespaces: bool


def read_model(data: bytes) -> Model:
    """Parse a model file. A file that is none, or that was cut short, raises ModelFormatError.

    The trainer writes pieces first and the two specifications after them, so a file cut anywhere either ends inside a
    field or lacks a specification.
    """
    pieces: list[Piece] = []
    trainer: dict[int, int | bytes] | None = None
    normalizer: dict[int, int | bytes] | None = None
    for number, value in _fields(data):
        if number in (1, 2, 3) and not isinstance(value, bytes):
            raise ModelFormatError("it is no SentencePiece model")
        if not isinstance(value, bytes):
            continue
        if number == 1:
            pieces.append(_piece(value))
        elif number == 2:
            trainer = dict(_fields(value))
        elif number == 3:
            normalizer = dict(_fields(value))
    if not pieces:
        raise ModelFormatError("it is no SentencePiece model")
    if trainer is None or normalizer is None:
        raise ModelFormatError("it is cut short")
    return Model(
        pieces=tuple(pieces),
        model_type=_number(trainer, 3, UNIGRAM),
        byte_fallback=bool(_number(trainer, 35, 0)),
        whitespace_as_suffix=bool(_number(trainer, 24, 0)),
        normalization=_blob(normalizer, 1).decode("utf-8", "replace"),
        charsmap=_blob(normalizer, 2),
        dummy_prefix=bool(_number(normalizer, 3, 1)),
        remove_extra_whitespaces=bool(_number(normalizer, 4, 1)),
        escape_whitespaces=bool(_number(normalizer, 5, 1)),
    )


def _piece(data: bytes) -> Piece:
    # the form that every trainer writes is read at once: there may be a quarter of a million pieces
    size = len(data)
    end = data[1] + 2 if size > 7 and data[0] == 0x0A and data[1] < 0x80 else size
    if size - end in (5, 7) and data[end] == 0x15:
        score = _FLOAT.unpack_from(data, end + 1)[0]
        if size == end + 5:
            return Piece(data[2:end], score, NORMAL)
        if data[end + 5] == 0x18 and data[end + 6] < 0x80:
            return Piece(data[2:end], score, data[end + 6])
    fields = dict(_fields(data))
    bits = fields.get(2, 0)
    value = _FLOAT.unpack(struct.pack("<I", bits))[0] if isinstance(bits, int) else 0.0
    return Piece(_blob(fields, 1), value, _number(fields, 3, NORMAL))


def _number(fields: dict[int, int | bytes], number: int, default: int) -> int:
    value = fields.get(number, default)
    if isinstance(value, bytes):
        raise ModelFormatError("it is no SentencePiece model")
    return value


def _blob(fields: dict[int, int | bytes], number: int) -> bytes:
    value = fields.get(number, b"")
    if not isinstance(value, bytes):
        raise ModelFormatError("it is no SentencePiece model")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message in order: number, and an integer (floats as their 32 or 64 bits) or bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if number == 0 or wire not in (_VARINT, _FIXED64, _BYTES, _FIXED32):
            raise ModelFormatError("it is no SentencePiece model")
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        length = {_FIXED64: 8, _FIXED32: 4}.get(wire, 0)
        if wire == _BYTES:
            length, at = _varint(data, at)
        if at + length > len(data):
            raise ModelFormatError("it is cut short, or no SentencePiece model")
        chunk = data[at : at + length]
        at += length
        yield number, chunk if wire == _BYTES else int.from_bytes(chunk, "little")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ModelFormatError("it is cut short, or no SentencePiece model")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return value, at
