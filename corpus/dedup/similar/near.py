"""Level `near`: near-duplicate documents by MinHash with FineWeb's numbers (arXiv 2406.17557), each pair verified.

Documents are sets of word 5-grams of `folded` text. Those with one of 14 bands of 8 MinHashes in common (`minhash.py`)
are compared in full; those whose Jaccard index (5-grams that both have over those that either has) is at the threshold
or above it are duplicates. FineWeb aims at 0.75, our default, and takes a common band for proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from corpus.data.buffers import Array
from corpus.dedup.similar.minhash import BANDS, band_keys
from corpus.dedup.similar.stage import SimilarDedupStage, SketchReader
from corpus.dedup.spill import Records


@dataclass(frozen=True)
class NearDedupStage(SimilarDedupStage):
    """Removes documents nearly all of whose 5-grams one that stays has, and the other way round."""

    width: ClassVar[int] = 5
    reason: ClassVar[str] = "near duplicate"

    def sketch(self, shingles: Array[np.uint64]) -> tuple[Array[np.uint64], int]:
        return band_keys(shingles), 0

    def entries(self) -> int:
        return BANDS * self.input_rows

    def plausible(self, pairs: Records, sketches: SketchReader) -> Array[np.bool_]:
        return np.ones(pairs.size, dtype=np.bool_)

    def similarity(self, shared: Any, left: Any, right: Any) -> Any:
        return shared / (left + right - shared)

    def similar(self, similarity: float) -> bool:
        return similarity >= self.threshold
