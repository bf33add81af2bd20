"""Decontamination of several domains together: an n-gram counts wherever it stands, and each domain is written by itself.

`judge-contamination` has the phases `index`, `match` and `count` of `corpus decontaminate` over all domains, so that n-grams
are left alone which more than `most_documents` of all domains have. It keeps what the writing of a piece needs, in the
folders of its phases. `DecontaminatedStage` writes a domain.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from corpus.data.dataset import Dataset
from corpus.data.files import sync_file
from corpus.data.manifest import Counts
from corpus.decontaminate.evaluation import EXAMPLES
from corpus.decontaminate.stage import DecontaminateConfig, DecontaminateStage
from corpus.dedup.verdict import FOLDER
from corpus.engine.commit import Commit
from corpus.engine.document_stage import DocumentStage
from corpus.engine.inputs import inherited_domains, input_pieces
from corpus.engine.piecewise import ReadingStage
from corpus.engine.stage import Estimate, InputRef, Phase
from corpus.engine.task import Task
from corpus.errors import UsageError


@dataclass(frozen=True)
class DecontaminationVerdictStage(ReadingStage):
    """Documents of several domains -> where they have evaluation texts, and which n-grams do not count."""

    name: ClassVar[str] = "judge-contamination"
    kind: ClassVar[str] = "verdict"
    unit: ClassVar[str] = "documents"

    settings: DecontaminateConfig

    @cached_property
    def inner(self) -> DecontaminateStage:
        """The stage that would clean all documents together."""
        return DecontaminateStage(self.documents, self.settings)

    def config(self) -> Mapping[str, Any]:
        return self.settings.resolved()

    def inputs(self) -> tuple[InputRef, ...]:
        return self.inner.inputs()

    def input_paths(self) -> tuple[Path, ...]:
        return self.inner.input_paths()

    def may_be_empty(self) -> bool:
        """A verdict has no rows."""
        return True

    def phases(self) -> tuple[Phase, ...]:
        return self.inner.grams.phases()

    def estimate(self) -> Estimate:
        return Estimate(memory=self.inner.estimate().memory, disk=0)

    def run(self, phase: str, index: int, task: Task) -> None:
        self.inner.work(phase, index, task)
        if phase == self.inner.grams.scan_phase:
            task.count(seen=self.pieces[index].rows, kept=self.pieces[index].rows)

    def finish(self, commit: Commit) -> None:
        grams = self.inner.grams
        for phase, names in (
            (grams.index_phase, ("*.npy",)),
            (grams.scan_phase, ("positions.npy",)),
            (grams.decide_phase, ("ignored.npy", EXAMPLES)),
        ):
            for number, result in enumerate(commit.results[phase]):
                found = commit.output / FOLDER / phase / f"{number:05d}"
                files = {
                    path.name for name in names for folder in (result.directory, found) for path in folder.glob(name)
                }
                for name in sorted(files):  # those of a commit that was killed are there already
                    commit.adopt(result.directory / name, f"{FOLDER}/{phase}/{number:05d}/{name}")
        (count,) = commit.results[grams.decide_phase]
        commit.extra["evaluation"] = dict(count.notes)
        commit.extra["domains"] = inherited_domains(self.datasets)
        commit.extra["datasets"] = [[dataset.digest, len(input_pieces([dataset]))] for dataset in self.datasets]
        commit.totals["documents"] = commit.counts.get(self.unit, Counts()).seen


@dataclass(frozen=True)
class DecontaminatedStage(DecontaminateStage):
    """One dataset of a domain without the evaluation texts that a verdict over several domains found in it."""

    verdict: str

    def check(self) -> None:
        super().check()
        _ = self._first

    def step_config(self) -> Mapping[str, Any]:
        """What is ignored follows from all domains; what is found from these documents and the evaluation texts."""
        ignored = Path(FOLDER, self.grams.decide_phase, "00000", "ignored.npy").as_posix()
        files = {entry.name: entry.checksum for entry in self._verdict.manifest.files}
        return dict(super().step_config()) | {"across": files[ignored]}

    def input_paths(self) -> tuple[Path, ...]:
        return (*super().input_paths(), Path(self.verdict))

    def work_phases(self) -> tuple[Phase, ...]:
        return (Phase("write", len(self.pieces)),)

    @cached_property
    def _verdict(self) -> Dataset:
        return Dataset.open(self.verdict, "verdict")

    @cached_property
    def _first(self) -> int:
        """How many pieces of other datasets come before those of the documents in the verdict."""
        (dataset,) = self.datasets
        first = 0
        for digest, pieces in self._verdict.manifest.extra["datasets"]:
            if digest == dataset.digest:
                return first
            first += pieces
        raise UsageError(f"{self.verdict} has not judged {dataset.path}, or it has changed since: judge it anew.")

    def found(self, task: Task, index: int) -> tuple[Path, int]:
        number = self._first + index
        own = f"{self.grams.scan_phase}/{number:05d}/"
        for name, file in self._verdict.files(FOLDER).items():
            if name.startswith(own) or not name.startswith(f"{self.grams.scan_phase}/"):
                file.check()
        return self._verdict.path / FOLDER, number

    def finish(self, commit: Commit) -> None:
        DocumentStage.finish(self, commit)
        examples = commit.create(f"_matches/{EXAMPLES}")
        shutil.copyfile(self._verdict.path / FOLDER / self.grams.decide_phase / "00000" / EXAMPLES, examples)
        sync_file(examples)
        self.adopt_matches(commit)
        commit.extra["evaluation"] = self._verdict.manifest.extra["evaluation"]
