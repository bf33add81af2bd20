"""Part of corpusmill: SentencePiece tokenizers: training, fast encoding, exports. `Tokenizer` is imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizer.model import Tokenizer

__all__ = ["Tokenizer"]


def __getattr__(name: str) -> Any:
    if name != "Tokenizer":
        raise AttributeError(f"module 'tokenizer' has no attribute '{name}'")
    from tokenizer.model import Tokenizer

    return Tokenizer
