"""Documents -> their keys, kept for others to be compared with (`kept.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from corpus.dedup.config import DedupConfig
from corpus.dedup.kept import DECIDING, FOLDER, KIND, RUN
from corpus.engine.piecewise import ReadingStage
from corpus.engine.stage import Estimate, Phase
from corpus.errors import UsageError

if TYPE_CHECKING:
    from corpus.dedup.documents import DocumentDedupStage
    from corpus.dedup.lines.stage import LineDedupStage
    from corpus.engine.commit import Commit
    from corpus.engine.task import Task


@dataclass(frozen=True)
class KeepKeysStage(ReadingStage):
    """Documents -> their keys. The first phase is that of `dedup`; then each range of keys is put together."""

    name: ClassVar[str] = "dedup-keys"
    kind: ClassVar[str] = KIND
    unit: ClassVar[str] = "documents"

    settings: DedupConfig

    def config(self) -> Mapping[str, Any]:
        values = self.settings.as_json()
        return {name: values[name] for name in ("level", *DECIDING[self.settings.level])}

    def check(self) -> None:
        super().check()
        if self.settings.level not in DECIDING:
            raise UsageError(
                f"--level {self.settings.level} compares more than keys: give line or document, and else the documents themselves"
                " to dedup --against."
            )
        if self.settings.against or self.settings.resolved.scope != "all":
            raise UsageError("Keys are kept of all documents: leave --against and --scope out.")

    def may_be_empty(self) -> bool:
        """Keys are no rows."""
        return True

    @cached_property
    def inner(self) -> LineDedupStage | DocumentDedupStage:
        """The stage that makes the keys."""
        from corpus.dedup.documents import DocumentDedupStage
        from corpus.dedup.lines.stage import LineDedupStage

        kind = LineDedupStage if self.settings.level == "line" else DocumentDedupStage
        return kind(self.documents, self.settings)

    def phases(self) -> tuple[Phase, ...]:
        return self.inner.work_phases()[0], Phase("merge", self.inner.partitions)

    def estimate(self) -> Estimate:
        estimate = self.inner.estimate()
        return replace(estimate, disk=max(0, estimate.disk - self.input_bytes()))

    def run(self, phase: str, index: int, task: Task) -> None:
        if phase == "merge":
            task.note("rows", self.inner.merge_keys(index, task))
            return
        self.inner.work(phase, index, task)
        task.count(seen=self.pieces[index].rows, kept=self.pieces[index].rows)

    def finish(self, commit: Commit) -> None:
        for number, result in enumerate(commit.results["merge"]):
            for name in (RUN, *self.inner.kept_files):
                commit.adopt(result.directory / name, f"{FOLDER}/{number:05d}/{name}")
        commit.extra["rows"] = [result.notes["rows"] for result in commit.results["merge"]]
        commit.extra["datasets"] = [dataset.digest for dataset in self.datasets]
