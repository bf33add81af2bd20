"""Rule sets whose numbers and verdicts become columns instead of dropping documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from corpus.data.columns import Column
from corpus.data.schema import DOCUMENT_SCHEMA
from corpus.engine.document_map import DocumentBatch, DocumentMap, Mapped
from corpus.quality.rules.measured import Measure, MeasuredRule

REASON = "_reason"
"""What the name of a column of verdicts ends with."""


@dataclass(frozen=True)
class Annotated(DocumentMap):
    """Writes what `rule` measures of a text and why it would drop it; drops nothing and changes no text.

    The columns are `<rule>_<measure>` for each measure (null where there is nothing to divide by), those that the rule sets
    itself, and `<rule>_reason`: the reason without the rule's name, null where the document stays. Name and columns are
    those of the rule, and so of the instance.
    """

    name: ClassVar[str] = "annotate"

    rule: DocumentMap

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.rule.name)
        own = tuple(column for column in self.rule.columns if column.name not in DOCUMENT_SCHEMA.names)
        reason = Column(
            f"{self.rule.name}{REASON}", "string", f"Why {self.rule.name} would drop the text; null: it stays."
        )
        object.__setattr__(self, "columns", (*own, *self._scores(), reason))

    def _scores(self) -> tuple[Column, ...]:
        if not isinstance(self.rule, MeasuredRule):
            return ()
        self.rule.prepare()
        empty = pa.RecordBatch.from_pylist([], schema=DOCUMENT_SCHEMA)
        measures = self.rule.measures(DocumentBatch(empty))
        return tuple(
            Column(
                _name(self.rule, measure),
                "int64" if measure.per is None else "float64",
                f"What {self.rule.name} judges as {' or '.join(why for why, _ in measure.failed())}.",
            )
            for measure in measures
        )

    def check_columns(self, schema: pa.Schema) -> None:
        self.rule.check_columns(schema)

    def notice(self) -> str:
        return self.rule.notice()

    def prepare(self) -> None:
        self.rule.prepare()

    def files(self) -> Mapping[str, Path]:
        return self.rule.files()

    def config(self) -> dict[str, Any]:
        return {"annotate": True} | self.rule.config()

    def apply(self, batch: DocumentBatch) -> Mapped:
        if isinstance(self.rule, MeasuredRule):
            measures = self.rule.measures(batch)
            columns = {_name(self.rule, measure): _scores(measure) for measure in measures}
            reasons = self.rule.judge(measures, batch.num_rows)
        else:
            out = self.rule.apply(batch)
            columns = {name: values for name, values in out.columns.items() if name not in DOCUMENT_SCHEMA.names}
            given = out.reasons if out.reasons is not None else [None] * batch.num_rows
            reasons = given if isinstance(given, pa.Array) else pa.array(given, pa.string())
        shown = [why if why is None else why.removeprefix(f"{self.rule.name}: ") for why in reasons.to_pylist()]
        return Mapped({**columns, f"{self.rule.name}{REASON}": pa.array(shown, pa.string())})


def _name(rule: DocumentMap, measure: Measure) -> str:
    return f"{rule.name}_{measure.name}"


def _scores(measure: Measure) -> pa.Array:
    if measure.per is None:
        return pa.array(measure.count, pa.int64())
    values = measure.count / np.maximum(measure.per, 1)
    return pa.array(values, pa.float64(), mask=measure.per == 0)
