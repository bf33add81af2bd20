"""Documents of several domains, in order of priority -> which of them go as duplicates, for each domain by itself.

The phases are those of level `document`, `book` or `near` over all domains up to the rewriting; then one task for each piece
writes which of its documents go. No document is written: `corpus.dedup.without` makes a dataset for each domain. Of equal
or similar documents that of the first domain stays; with `keep` longest the largest, wherever it is. The first `protected`
datasets lose nothing; what is compared with them goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from corpus.data.manifest import Counts
from corpus.dedup.config import DedupConfig
from corpus.dedup.similar.clusters import adopt_tables
from corpus.dedup.similar.removing import RemovingStage
from corpus.engine.commit import Commit
from corpus.engine.inputs import inherited_domains
from corpus.engine.piecewise import ReadingStage
from corpus.engine.stage import Estimate, Phase
from corpus.engine.task import Task
from corpus.errors import UsageError

FOLDER = "_verdict"
"""Where a verdict lies in its dataset: a folder for each domain, by its number among the domains of the manifest, with a
file for each piece that loses documents, by its number among those of the domain."""
REMOVED = np.dtype([("row", np.uint64), ("domain", np.uint64)])
"""A document that goes: its row in the piece, and the number of the domain of the document that stays for it. Ascending."""


@dataclass(frozen=True)
class DedupVerdictStage(ReadingStage):
    """Documents of several domains -> the documents of each that go."""

    name: ClassVar[str] = "judge-duplicates"
    kind: ClassVar[str] = "verdict"
    unit: ClassVar[str] = "documents"

    settings: DedupConfig

    def config(self) -> Mapping[str, Any]:
        return self.settings.as_json()

    def check(self) -> None:
        super().check()
        _ = self.domains, self.inner

    def may_be_empty(self) -> bool:
        """A verdict has no rows."""
        return True

    @cached_property
    def inner(self) -> RemovingStage:
        """The stage that would remove duplicates from all documents together."""
        from corpus.dedup.levels import dedup_stage

        if self.settings.against:
            raise UsageError("Documents of several domains are compared with each other: leave against out.")
        stage = dedup_stage(self.documents, self.settings)
        if not isinstance(stage, RemovingStage):
            raise UsageError(
                f"--level {self.settings.level} does not compare domains with each other: give document, book or near."
            )
        return stage

    @cached_property
    def domains(self) -> list[str]:
        """The domain of each dataset. Two of one domain, and a dataset of several, are UsageErrors."""
        found: list[str] = []
        for dataset in self.datasets:
            names = inherited_domains([dataset])
            if len(names) != 1 or names[0] in found:
                raise UsageError(
                    f"{dataset.path} is of {', '.join(names)}: give one dataset for each domain, and each domain once."
                )
            found += names
        return found

    def phases(self) -> tuple[Phase, ...]:
        return (*self.inner.work_phases()[:-1], Phase("judge", len(self.pieces)))

    def estimate(self) -> Estimate:
        estimate = self.inner.estimate()
        return replace(estimate, disk=max(0, estimate.disk - self.input_bytes()))

    def run(self, phase: str, index: int, task: Task) -> None:
        if phase != "judge":
            self.inner.work(phase, index, task)
            return
        removals = self.inner.removals(index, task)
        rewrite = self.inner.rewrite(task)
        kept = np.searchsorted(self._bases, removals["kept"], side="right") - 1
        found = np.empty(len(removals), REMOVED)
        found["row"] = removals["removed"] - np.uint64(rewrite.ids.numbering.bases[index])
        found["domain"] = np.array([piece.dataset for piece in self.pieces], np.uint64)[kept]
        np.save(task.directory / "removed.npy", found)
        rewrite.table(task, removals)
        domains, counts = np.unique(found["domain"], return_counts=True)
        task.note("removed", [list(pair) for pair in zip(domains.tolist(), counts.tolist(), strict=True)])
        task.count(seen=self.pieces[index].rows, kept=self.pieces[index].rows)

    @cached_property
    def _bases(self) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """The number of the first document of each piece."""
        rows = [piece.rows for piece in self.pieces]
        return np.cumsum([0, *rows[:-1]]).astype(np.uint64)

    def finish(self, commit: Commit) -> None:
        first = 0
        pairs: dict[tuple[int, int], int] = {}
        for number, result in enumerate(commit.results["judge"]):
            domain = self.pieces[number].dataset
            if number and self.pieces[number - 1].dataset != domain:
                first = number
            if result.notes["removed"]:
                commit.adopt(result.directory / "removed.npy", f"{FOLDER}/{domain:05d}/{number - first:05d}.npy")
            for other, count in result.notes["removed"]:
                pairs[domain, other] = pairs.get((domain, other), 0) + count
        adopt_tables(commit, commit.results["judge"])
        removed = sum(pairs.values())
        seen = sum(piece.rows for piece in self.pieces)
        reason = self.inner.reason_of_drops
        commit.extra |= {"domains": self.domains, "reason": reason}
        commit.extra["datasets"] = [dataset.digest for dataset in self.datasets]
        commit.extra["pairs"] = [
            {"removed": self.domains[domain], "kept": self.domains[other], "documents": count}
            for (domain, other), count in sorted(pairs.items())
        ]
        commit.counts[self.unit] = Counts(seen, seen - removed, 0, {reason: removed} if removed else {})
        commit.totals["documents"] = seen - removed
