"""The n-grams of evaluation texts against all documents: where they stand, and in how many documents each does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.decontaminate.comparison import Comparison
from corpus.decontaminate.cut import contaminated
from corpus.decontaminate.index import EVERY_BIT, Index, read_examples
from corpus.decontaminate.matches import EXAMPLE_SCHEMA
from corpus.decontaminate.ngrams import Ints
from corpus.engine.result import TaskResult, task_directory
from corpus.engine.task import Task

EXAMPLES = "examples"
"""The table of evaluation texts that the tasks of index and count leave."""


@dataclass(frozen=True)
class EvaluationGrams(Comparison):
    """Phases `index`, `match` and `count` of decontamination. Evaluation texts are few: their index is one part."""

    index_phase: ClassVar[str] = "index"
    scan_phase: ClassVar[str] = "match"
    decide_phase: ClassVar[str] = "count"
    columns: ClassVar[tuple[str, ...]] = ("text",)

    against: tuple[str, ...]
    settings: Mapping[str, Any]

    def load(self, work: Path) -> Index:
        """The index that was made."""
        return self._load(task_directory(work, self.index_phase, 0))

    def _load(self, made: Path) -> Index:
        return Index.load(made, size=self.settings["ngram"], mask=EVERY_BIT)

    def index(self, task: Task) -> int:
        examples = list(read_examples(self.against, self.settings["field"]))
        Index.of([example.text for example in examples], self.settings["ngram"]).save(task.directory)
        columns = {name: [getattr(example, name) for example in examples] for name in ("file", "record", "field")}
        schema = pa.schema([EXAMPLE_SCHEMA.field(name) for name in columns])
        pq.write_table(pa.table(columns, schema=schema), task.directory / EXAMPLES, compression="zstd")
        return 1

    def scan(self, task: Task, made: Path, part: int, batches: Iterable[pa.RecordBatch]) -> None:
        """All positions, int64[4, n]: row of the piece, n-gram, first byte and end; and the documents of each n-gram."""
        grams = self._load(made)
        found = [np.empty((4, 0), np.int64)]
        first = 0
        for batch in batches:
            positions = np.stack(grams.find(batch.column("text")))
            positions[0] += first
            found.append(positions)
            first += batch.num_rows
        positions = np.concatenate(found, axis=1)
        np.save(task.directory / "positions.npy", positions)
        pairs = np.unique(positions[:2], axis=1)
        numbers, counts = np.unique(pairs[1], return_counts=True)
        np.save(task.directory / "documents.npy", np.stack([numbers, counts]))

    def decide(self, task: Task, made: TaskResult, scans: Sequence[TaskResult]) -> None:
        """The n-grams to ignore, and how much of every evaluation text all documents together have."""
        grams = self._load(made.directory)
        total = np.zeros(len(grams.hashes), np.int64)
        for result in scans:
            numbers, counts = np.load(result.directory / "documents.npy")
            total[numbers] += counts
        most = self.settings["most_documents"]
        ignored = (total > most) if most else np.zeros(len(total), np.bool_)
        np.save(task.directory / "ignored.npy", ignored)
        texts, counts, enough = contaminated(grams, np.flatnonzero((total > 0) & ~ignored), self.settings["share"])
        seen, bad = np.zeros(len(grams.sizes), np.int64), np.zeros(len(grams.sizes), np.bool_)
        seen[texts], bad[texts] = counts, enough
        examples = pq.read_table(made.directory / EXAMPLES)
        columns = [*examples.columns, pa.array(grams.sizes), pa.array(seen), pa.array(bad)]
        table = pa.Table.from_arrays(columns, schema=EXAMPLE_SCHEMA)
        pq.write_table(table, task.directory / EXAMPLES, compression="zstd")
        task.note("texts", len(bad))
        task.note("short", int((grams.sizes == 0).sum()))
        task.note("contaminated", int(bad.sum()))
        task.note("ngrams", len(total))
        task.note("ignored_ngrams", int(ignored.sum()))

    def positions(self, work: Path, index: int) -> Ints:
        """What a scan left, without the n-grams to ignore."""
        positions = np.load(task_directory(work, self.scan_phase, index) / "positions.npy")
        ignored = np.load(task_directory(work, self.decide_phase, 0) / "ignored.npy")
        return np.asarray(positions[:, ~ignored[positions[1]]])

    def examples(self, work: Path) -> list[dict[str, Any]]:
        """The evaluation texts: file, record, field, n-grams."""
        found: list[dict[str, Any]] = pq.read_table(task_directory(work, self.decide_phase, 0) / EXAMPLES).to_pylist()
        return found
