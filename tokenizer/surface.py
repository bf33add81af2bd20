"""The bytes of text that single tokens stand for, so that a run of tokens can be found in its document.

Ids are not decoded by SentencePiece here: it drops a blank at the start of what it decodes, and a run may begin there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tokenizer import proto
from tokenizer.merges import BLANK
from tokenizer.model import Tokenizer

_SILENT = (proto.CONTROL, proto.UNKNOWN, proto.UNUSED)


class Surface:
    """The text of each piece of a tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._pieces = [_bytes(piece, tokenizer.model.escape_whitespaces) for piece in tokenizer.model.pieces]
        self._sizes = np.array([len(piece) for piece in self._pieces], np.int64)

    def text(self, ids: Sequence[int], first: bool) -> str:
        """The text of a run of ids, `first` if it is the start of a document; what is no whole character becomes
        U+FFFD, and control symbols have no text."""
        data = b"".join(self._pieces[number] for number in ids)
        if first and self.tokenizer.model.dummy_prefix and data.startswith(b" "):
            data = data[1:]
        return data.decode("utf-8", "replace")

    def encode(self, text: str) -> tuple[list[int], npt.NDArray[np.int64] | None]:
        """The ids of a document, EOD last, and the byte of its text at which each begins, and the end: int64[ids + 1];
        None where the tokenizer changes texts, so that its pieces are not the text's bytes."""
        ids = self.tokenizer.encode(text, eod=True)
        prefix = b" " if self.tokenizer.model.dummy_prefix else b""
        if b"".join(self._pieces[number] for number in ids) != prefix + text.encode():
            return ids, None
        starts = np.concatenate([[0], np.cumsum(self._sizes[ids])])
        return ids, np.maximum(starts - len(prefix), 0)


def _bytes(piece: proto.Piece, escaped: bool) -> bytes:
    if piece.type in _SILENT:
        return b""
    if piece.type == proto.BYTE:
        return bytes([int(piece.text[1:-1], 16)])  # <0x41>
    return piece.text.replace(BLANK.encode(), b" ") if escaped else piece.text
