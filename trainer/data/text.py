"""Text and ids by the SentencePiece model that a run carries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import sentencepiece

from corpus.errors import DataError

_BLANK = "\u2581"
"""What stands for a blank in SentencePiece's pieces."""


class TextCodec:
    """Encodes prompts and decodes what a model says."""

    def __init__(self, path: Path) -> None:
        """Load `tokenizer.model`; a DataError where it is missing or unreadable."""
        if not path.exists():
            raise DataError(f"{path} is missing: train on a packed set that carries its tokenizer (_tokenizer/).")
        try:
            self.model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError) as error:
            raise DataError(f"{path} is not a SentencePiece model ({error}).") from None

    def encode(self, text: str) -> list[int]:
        """The ids of `text`."""
        ids: list[int] = self.model.encode(text)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`; ids the tokenizer does not know (a padded vocabulary's) are left out."""
        size = self.model.get_piece_size()
        text: str = self.model.decode([int(value) for value in ids if int(value) < size])
        return text


def token_bytes(path: Path, vocabulary: int) -> npt.NDArray[np.int64]:
    """For every id the bytes of UTF-8 text that it stands for, inside a document and as its first: int64 [2, vocabulary].

    The pieces of a text without unknown characters add up to its bytes. Control pieces, such as the end of a document,
    the unknown one, and ids beyond the tokenizer's stand for none. Where the tokenizer puts a blank before a text, the
    first piece has one byte less, for that blank is none of the text's.
    """
    model = TextCodec(path).model
    sizes = np.zeros((2, vocabulary), np.int64)
    blank_first = "".join(model.encode("a", out_type=str)).startswith(_BLANK)
    for number in range(min(vocabulary, model.get_piece_size())):
        if model.is_byte(number):
            sizes[:, number] = 1
        elif not model.is_control(number) and not model.is_unknown(number):
            piece = model.id_to_piece(number)
            sizes[:, number] = len(piece.replace(_BLANK, " ").encode())
            sizes[1, number] -= blank_first and piece.startswith(_BLANK)
    return sizes
