"""The rule that keeps documents of some languages, as langid or their dump named them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from corpus.engine.document_map import DocumentBatch, DocumentMap, Mapped
from corpus.errors import UsageError
from corpus.option import option

OTHER_LANGUAGE = "languages: another language"
"""Why a document goes that is in none of the wanted languages."""


@dataclass(frozen=True)
class Languages(DocumentMap):
    """Keeps the documents whose language is one of some."""

    name: ClassVar[str] = "languages"

    keep: tuple[str, ...] = option((), "Languages that stay, such as en.", metavar="LANGUAGE")

    def __post_init__(self) -> None:
        if not self.keep:
            raise UsageError("filter rule languages keeps no language: name at least one, such as en.")

    def apply(self, batch: DocumentBatch) -> Mapped:
        wanted = pc.is_in(batch.column("language"), pa.array(self.keep, pa.string()))
        return Mapped(reasons=pc.if_else(wanted, pa.scalar(None, pa.string()), OTHER_LANGUAGE))
