"""Rule sets that judge numbers: kernels measure all texts of a batch, limits say which of them go."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from corpus.config import check_options
from corpus.data.buffers import Array
from corpus.engine.document_map import DocumentBatch, DocumentMap, Mapped


@dataclass(frozen=True)
class Measure:
    """One number of every text, and what a rule set demands of it.

    The number is `count` or, where `per` is given, `count / per`. A limit is compared as `count > most * per`, which
    also decides where `per` is 0. `judged` says which texts the limits are for; None: all.
    """

    name: str
    count: Array[Any]
    per: Array[np.int64] | None = None
    most: float | None = None
    too_high: str = ""
    least: float | Array[np.float64] | None = None
    too_low: str = ""
    judged: Array[np.bool_] | None = None

    def failed(self) -> list[tuple[str, Array[np.bool_]]]:
        """The reasons, and which texts fail for each."""
        found: list[tuple[str, Array[np.bool_]]] = []
        per: Any = 1 if self.per is None else self.per
        if self.least is not None:
            found.append((self.too_low, self.count < self.least * per))
        if self.most is not None:
            found.append((self.too_high, self.count > self.most * per))
        if self.judged is not None:
            found = [(why, fails & self.judged) for why, fails in found]
        return found


class MeasuredRule(DocumentMap):
    """A rule set over measures. A document goes for the first that fails; the reason is `name: reason`."""

    version: ClassVar[int] = 1
    """What a rule set decides with the same settings changes only together with this number."""

    def __post_init__(self) -> None:
        check_options(self, f"filter rule {self.name}: ")

    @abstractmethod
    def measures(self, batch: DocumentBatch) -> Sequence[Measure]:
        """The numbers of all texts and their limits, in the order in which they decide."""

    def config(self) -> dict[str, Any]:
        return {"version": self.version} | super().config()

    def apply(self, batch: DocumentBatch) -> Mapped:
        return Mapped(reasons=self.judge(self.measures(batch), batch.num_rows))

    def judge(self, measures: Sequence[Measure], texts: int) -> pa.Array:
        """string[texts]: why each text goes; null: it stays."""
        reasons = np.full(texts, -1, dtype=np.int32)
        names: list[str] = []
        for why, fails in (pair for measure in measures for pair in measure.failed()):
            if fails.any():
                reasons[fails & (reasons < 0)] = len(names)
                names.append(f"{self.name}: {why}")
        codes = pa.array(reasons, pa.int32(), mask=reasons < 0)
        return pa.DictionaryArray.from_arrays(codes, pa.array(names, pa.string())).cast(pa.string())
