"""Text and ids by the SentencePiece model that a run carries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sentencepiece

from corpus.errors import DataError


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
