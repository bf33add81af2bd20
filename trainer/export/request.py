"""What an export is to hold besides the weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SHARD_BYTES = 5_000_000_000
"""Most bytes of a file of weights, unless it is said otherwise."""
DTYPES = ("fp32", "bf16")


@dataclass(frozen=True)
class ExportRequest:
    """`eod`: the id that ends a document, and stands before the next one; `alone`: the model saw each document by itself, and
    not after the EOD of the one before; `bos`: the id that every document began with, if there was one, alone or not;
    `tokenizer`: a SentencePiece model or a `tokenizer.json`."""

    eod: int
    tokenizer: Path | None
    alone: bool = False
    dtype: str = "fp32"
    shard_bytes: int = SHARD_BYTES
    bos: int | None = None

    @property
    def first(self) -> int:
        """The id that begins a document."""
        return self.eod if self.bos is None else self.bos

    @property
    def begun(self) -> bool:
        """Whether the model has seen `first` before every text."""
        return self.bos is not None or not self.alone
