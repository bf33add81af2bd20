"""SentencePiece for language models: a unigram model as CCNet's, and sentences as words, which are its pieces.

A run of characters that the model does not know is one word, as the library writes it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece

from corpus.data.buffers import Array
from corpus.errors import DataError
from corpus.quality.lm.counts import BEGIN, END, UNKNOWN

SPECIAL = (b"<unk>", b"<s>", b"</s>")
"""The words 0, 1 and 2 of every vocabulary; lmplz takes none of them for text."""
TRAINER_THREADS = 4
"""Threads of SentencePiece's trainer. The model's bytes depend on the number: it does not follow the workers."""
SENTENCE_BYTES = 4000
"""The trainer is given longer sentences in parts: it would leave out what has more than 4,192 bytes."""
COVERAGE = 0.9995
"""Share of the characters that are pieces (CCNet)."""


def train_pieces(sentences: Iterable[str], vocab_size: int) -> bytes:
    """A SentencePiece unigram model (file bytes) of normalised sentences, of at most `vocab_size` pieces: fewer where the
    text has no more. Equal sentences give equal bytes."""
    out = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=out,
            model_type="unigram",
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            character_coverage=COVERAGE,
            input_sentence_size=0,
            shuffle_input_sentence=False,
            num_threads=TRAINER_THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        found = re.search(r"smaller than required_chars\. \d+ vs (\d+)", str(error))
        need = f"its single characters alone are {found[1]}" if found else str(error)
        raise DataError(
            f"SentencePiece could not train a vocabulary of {vocab_size} ({need}): give a larger --vocab-size or more text."
        ) from None
    return out.getvalue()


def parts(sentence: str) -> Iterable[str]:
    """A sentence in parts that the trainer takes, cut at spaces where there are any."""
    while len(sentence.encode()) > SENTENCE_BYTES:
        most = len(sentence.encode()[:SENTENCE_BYTES].decode(errors="ignore"))
        cut = sentence.rfind(" ", 1, most + 1)
        cut = cut if cut > 0 else most
        yield sentence[:cut]
        sentence = sentence[cut:].lstrip(" ")
    if sentence:
        yield sentence


def load_pieces(path: Path) -> Any:
    """The `sentencepiece.SentencePieceProcessor` of a model file; a DataError if it is none, or was cut short."""
    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes() or b" ")
        if processor.get_piece_size():
            return processor
    except (OSError, RuntimeError):
        pass
    raise DataError(f"{path} is no whole SentencePiece model: give the one that the language model was trained with.")


class WordNumbers:
    """Numbers the words of sentences: three special ones, the model's pieces in order, then what the model does not know
    as it comes."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        pieces = [processor.id_to_piece(number) for number in range(processor.get_piece_size())]
        self.pieces = len(pieces)
        known = {piece: len(SPECIAL) + number for number, piece in enumerate(pieces) if not processor.is_unused(number)}
        self._numbers = known | {"<unk>": UNKNOWN, "<s>": UNKNOWN, "</s>": UNKNOWN}
        self._first = len(SPECIAL) + len(pieces)
        self.surfaces: list[str] = []
        """What the model does not know, in the order of its first use."""

    def words(self, sentences: Sequence[str]) -> Array[np.uint32]:
        """The words of some normalised sentences that are not empty, each ended by `END`; empty ones have none."""
        found: list[int] = []
        numbers = self._numbers
        for pieces in self._processor.encode(list(sentences), out_type=str, num_threads=1):
            known = [numbers.get(piece) or self._number(piece) for piece in pieces]
            if words := [word for word in known if word > BEGIN]:
                found += words
                found.append(END)
        return np.array(found, np.uint32)

    def _number(self, piece: str) -> int:
        if piece not in self._numbers:
            self._numbers[piece] = self._first + len(self.surfaces)
            self.surfaces.append(piece)
        return self._numbers[piece]


def vocabulary(processor: Any, surfaces: Iterable[str]) -> list[bytes]:
    """The words by number: special ones, pieces, and what the model does not know."""
    pieces = (processor.id_to_piece(number).encode() for number in range(processor.get_piece_size()))
    return [*SPECIAL, *pieces, *(surface.encode() for surface in surfaces)]
