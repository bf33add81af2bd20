"""Map `sample_by_score`: a document stays with a probability that its score gives, drawn by its id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
import xxhash

from corpus.config import check_options
from corpus.data.buffers import Array
from corpus.engine.document_map import DocumentBatch, DocumentMap, Mapped
from corpus.errors import UsageError
from corpus.option import nearest, option

SampleForm = Literal["linear", "pareto"]
NO_SCORE, NOT_DRAWN = "sample_by_score: no score", "sample_by_score: not drawn"


@dataclass(frozen=True)
class SampleByScore(DocumentMap):
    """Keeps a document of score s, from 0 to 1, with the probability s (`linear`: PaLM, arXiv 2204.02311, section 3, samples
    pages in proportion to their score), or (2 - s)^-alpha (`pareto`: GPT-3's `np.random.pareto(alpha) > 1 - s`, arXiv
    2005.14165, appendix A; GLaM, arXiv 2112.06905, section 3, names the same distribution).

    What is drawn follows from seed and id. Scores beyond 0 and 1 count as these.
    """

    name: ClassVar[str] = "sample_by_score"

    column: str = option("", "The column of scores from 0 to 1.", metavar="COLUMN")
    form: SampleForm = option("linear", "linear: with the probability of the score; pareto: as GPT-3.")
    alpha: float = option(9.0, "Exponent of pareto (GPT-3: 9).", above=0)
    seed: int = option(0, "Seed of the draw.", least=0)
    missing: Literal["drop", "keep"] = option("drop", "Documents without a score: drop or keep them.")

    def __post_init__(self) -> None:
        check_options(self, "--sample-")

    def check_columns(self, schema: pa.Schema) -> None:
        if self.column not in schema.names:
            raise UsageError(f"--sample-by-score: no column '{self.column}'; {nearest(self.column, schema.names)}")
        kind = schema.field(self.column).type
        if not (pt.is_floating(kind) or pt.is_integer(kind)):
            raise UsageError(f"--sample-by-score: column '{self.column}' is of type {kind}: give one of numbers.")

    def apply(self, batch: DocumentBatch) -> Mapped:
        given: Any = batch.column(self.column).cast(pa.float64()).fill_null(float("nan"))
        scores = np.asarray(given.to_numpy(zero_copy_only=False), dtype=np.float64)
        drawn = self.draws(batch.column("id")) < self.probability(scores)
        missing = np.isnan(scores)
        unscored = NO_SCORE if self.missing == "drop" else None
        return Mapped(
            reasons=[
                unscored if none else None if stays else NOT_DRAWN for none, stays in zip(missing, drawn, strict=True)
            ]
        )

    def probability(self, scores: Array[np.float64]) -> Array[np.float64]:
        """With which probability documents of some scores stay."""
        scores = np.clip(scores, 0.0, 1.0)
        return scores if self.form == "linear" else np.power(2.0 - scores, -self.alpha)

    def draws(self, ids: pa.Array) -> Array[np.float64]:
        """A number from 0 to below 1 of each id."""
        seed = xxhash.xxh3_64_intdigest(f"sample by score {self.seed}".encode())
        hashes = [xxhash.xxh3_64_intdigest(id.encode("utf-8"), seed) >> 11 for id in ids.to_pylist()]
        return np.array(hashes, dtype=np.float64) * 2.0**-53
