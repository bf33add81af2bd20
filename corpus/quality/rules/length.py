"""Rules on the length of a text in characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow.compute as pc

from corpus.data.buffers import Array
from corpus.engine.document_map import DocumentBatch
from corpus.option import option
from corpus.quality.rules.measured import Measure, MeasuredRule

CCNET_CHARACTERS = 300
"""CCNet drops pages of fewer characters (arXiv 1911.00359, section 3.1)."""


def _characters(batch: DocumentBatch) -> Array[np.int64]:
    lengths: Any = pc.utf8_length(batch.column("text")).to_numpy(zero_copy_only=False)
    return np.asarray(lengths, dtype=np.int64)


@dataclass(frozen=True)
class MinChars(MeasuredRule):
    """Drops short texts; CCNet drops pages of fewer than 300 characters (arXiv 1911.00359, section 3.1)."""

    name: ClassVar[str] = "min_chars"

    limit: int = option(CCNET_CHARACTERS, "Characters that a text needs at least (CCNet: 300).", least=0)

    def measures(self, batch: DocumentBatch) -> Sequence[Measure]:
        return (Measure("characters", _characters(batch), least=self.limit, too_low="too short"),)


@dataclass(frozen=True)
class MaxChars(MeasuredRule):
    """Drops long texts; C4 drops pages of more than 190,000 characters (its published code)."""

    name: ClassVar[str] = "max_chars"

    limit: int = option(190_000, "Characters that a text has at most (C4: 190,000).", least=0)

    def measures(self, batch: DocumentBatch) -> Sequence[Measure]:
        return (Measure("characters", _characters(batch), None, self.limit, "too long"),)
