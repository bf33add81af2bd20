"""A map written with what `corpus` exports, as a user would."""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

import corpus


@dataclass(frozen=True)
class Upper(corpus.Map):
    """Capitals."""

    name: ClassVar[str] = "upper"

    def apply(self, batch: corpus.DocumentBatch) -> corpus.Mapped:
        return corpus.Mapped({"text": pa.array([text.upper() for text in batch.texts()], pa.large_string())})
