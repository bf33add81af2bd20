"""Map `fim`: documents cut for fill-in-the-middle (Bavarian et al. 2022, arXiv 2207.14255), as SantaCoder and StarCoder saw half
of theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import xxhash

from corpus.config import check_options
from corpus.data.columns import Column
from corpus.engine.document_map import DocumentBatch, DocumentMap, Mapped
from corpus.errors import UsageError
from corpus.option import option

_SCALE = 1 << 32
PSM, SPM = "psm", "spm"


@dataclass(frozen=True)
class FillInTheMiddle(DocumentMap):
    """Cuts a share of the documents in prefix, middle and suffix at two characters drawn at random, and puts the middle last,
    with a marker before each part. The markers must be symbols of the tokenizer (train-tokenizer --symbol). A document that
    holds a marker already, or has fewer than three characters, stays as it is.

    What becomes of a document follows from its id and the seed alone.
    """

    name: ClassVar[str] = "fim"
    columns: ClassVar[tuple[Column, ...]] = (Column("fim", "string", "psm, spm, or null where it stayed as it was."),)

    rate: float = option(0.5, "Share of the documents that are cut.", least=0, most=1)
    spm_rate: float = option(
        0.5, "Of these, the share whose suffix goes first (its marker, and the middle's, then prefix and middle).",
        least=0, most=1,
    )  # fmt: skip
    markers: tuple[str, ...] = option(
        ("<fim_prefix>", "<fim_middle>", "<fim_suffix>"),
        "What goes before prefix, middle and suffix.",
        metavar="MARKER",
    )
    seed: int = option(0, "Another one cuts other documents elsewhere.", least=0)

    def __post_init__(self) -> None:
        check_options(self)
        if len(self.markers) != 3 or len(set(self.markers)) != 3 or not all(self.markers):
            raise UsageError(
                f"--markers is {','.join(self.markers)}: give three of them, for prefix, middle and suffix."
            )

    def apply(self, batch: DocumentBatch) -> Mapped:
        """The texts, and in which order they are."""
        ids = batch.column("id").to_pylist()
        made = [self._cut(key, text) for key, text in zip(ids, batch.texts(), strict=True)]
        texts, orders = [text for text, _ in made], [order for _, order in made]
        return Mapped({"text": pa.array(texts, pa.large_string()), "fim": pa.array(orders, pa.string())})

    def _cut(self, key: str, text: str) -> tuple[str, str | None]:
        """A document's text and its order."""
        drawn = xxhash.xxh3_128_intdigest(f"{self.seed}:{key}".encode())
        whether, which, first, second = (drawn >> shift & (_SCALE - 1) for shift in (0, 32, 64, 96))
        if whether >= self.rate * _SCALE or len(text) < 3 or any(marker in text for marker in self.markers):
            return text, None
        begin, end = sorted((first * (len(text) + 1) // _SCALE, second * (len(text) + 1) // _SCALE))
        prefix, middle, suffix = text[:begin], text[begin:end], text[end:]
        before, between, after = self.markers
        if which < self.spm_rate * _SCALE:
            return f"{before}{after}{suffix}{between}{prefix}{middle}", SPM
        return f"{before}{prefix}{after}{suffix}{between}{middle}", PSM
