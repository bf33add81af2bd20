"""Level `book`: books with more than 90 % content overlap (LLaMA, arXiv 2302.13971, section 2.1); the larger one stays.

The overlap of two books is the number of distinct word 8-grams (of `folded` text) that both have over those of the
smaller one, so that a novella is a duplicate of the collected works that hold it, and the collected works, of which
nothing else has most, are none of it.

Candidates come from scaled hashing (Brown and Irber, sourmash, 2016; Irber et al., 2022): the keys of a book are the
hashes of its 8-grams below 2⁶⁴ / `SCALE`, or the `LEAST_KEYS` smallest where those are fewer; what two books have in
common below the lower of their bounds is a random sample of what they have in common at all. A pair is compared in full
if it has half as many common keys as a pair at the threshold is expected to have; where a sample has fewer than
`SMALL` keys, one is enough. A book of m 8-grams of which a much longer one has 90 % is overlooked with a chance of
e^(-m / 36): one in 4,000 for m = 300, one in a million for m = 500. Short books of like length have at least
`LEAST_KEYS` keys each, or all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from corpus.data.buffers import Array
from corpus.dedup.similar.pairs import firsts_of, seconds_of
from corpus.dedup.similar.stage import SimilarDedupStage, SketchReader
from corpus.dedup.spill import Records

SCALE = 32
LEAST_KEYS = 64
SMALL = 16
_LIMIT = (1 << 64) // SCALE
_BYTES_PER_WORD = 6


@dataclass(frozen=True)
class BookDedupStage(SimilarDedupStage):
    """Removes books most of whose 8-grams a larger one has, or that is mostly in it."""

    width: ClassVar[int] = 8
    reason: ClassVar[str] = "book overlap"

    def sketch(self, shingles: Array[np.uint64]) -> tuple[Array[np.uint64], int]:
        below = int(np.searchsorted(shingles, np.uint64(_LIMIT)))
        size = max(below, min(LEAST_KEYS, shingles.size))
        if size == shingles.size:
            return shingles, (1 << 64) - 1
        return shingles[:size], _LIMIT if size == below else int(shingles[size])

    def entries(self) -> int:
        return self.input_bytes() // _BYTES_PER_WORD // SCALE

    def plausible(self, pairs: Records, sketches: SketchReader) -> Array[np.bool_]:
        """The smaller sample, below the bound that both books have, is about keys · bound / own bound."""
        if not pairs.size:
            return np.zeros(0, dtype=np.bool_)
        found = [sketches.read(numbers(pairs["pair"])) for numbers in (seconds_of, firsts_of)]
        limits = [sketch["limit"].astype(np.float64) for sketch in found]
        bound = np.minimum(*limits)
        samples = [sketch["keys"] * (bound / limit) for sketch, limit in zip(found, limits, strict=True)]
        smaller = np.minimum(*samples)
        needed = np.where(smaller < SMALL, 1, np.floor(self.threshold / 2 * smaller))
        return np.asarray(pairs["votes"] >= needed)

    def similarity(self, shared: Any, left: Any, right: Any) -> Any:
        return shared / np.minimum(left, right)

    def similar(self, similarity: float) -> bool:
        """More than the threshold; a book that is in another one whole is always a duplicate."""
        return similarity > self.threshold or similarity == 1.0
