"""Keys of documents that others are compared with again and again: kept once, so that the documents are not read anew.

A set of kind `keys` has a folder for each range of keys, `_keys/00000` …: at level `line` a run file of all distinct keys
(`lines/runs.py`), at level `document` the first document of each key (`KEYED`, whose `document` is the row) and their ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from corpus.data.dataset import Dataset
from corpus.data.manifest import MANIFEST
from corpus.dedup.config import DedupConfig
from corpus.engine.piecewise import ReadingStage
from corpus.engine.stage import Estimate, Phase
from corpus.errors import UsageError

if TYPE_CHECKING:
    from corpus.dedup.documents import DocumentDedupStage
    from corpus.dedup.lines.stage import LineDedupStage
    from corpus.engine.commit import Commit
    from corpus.engine.task import Task

KIND = "keys"
FOLDER = "_keys"
"""Where the keys lie in their dataset."""
RUN = "run-00000"
"""The file of the keys of a range."""
_DECIDING = {"line": ("normalize", "blank_lines", "key_bits"), "document": ("key", "key_bits")}
"""The settings that keys follow from, by level."""
_FLAGS = {"normalize": "--normalize", "blank_lines": "--blank-lines", "key_bits": "--key-bits", "key": "--key"}


@dataclass(frozen=True)
class KeptKeys:
    """A dataset of kept keys."""

    dataset: Dataset

    @cached_property
    def rows(self) -> list[int]:
        """The keys of each range."""
        found: list[int] = self.dataset.manifest.extra["rows"]
        return found

    def folders(self) -> list[Path]:
        """The folder of each range that has keys or none, in order; all of its files are as they were written."""
        for stored in self.dataset.files(FOLDER).values():
            stored.check()
        return [self.dataset.path / FOLDER / f"{number:05d}" for number in range(len(self.rows))]

    def check(self, settings: DedupConfig) -> None:
        """A UsageError where they are not of the keys that `settings` compare."""
        wanted, here = settings.as_json(), self.dataset.manifest.config
        for name in ("level", *_DECIDING.get(settings.level, ())):
            if here.get(name) != wanted[name]:
                flag = _FLAGS.get(name, f"--{name}")
                raise UsageError(
                    f"--against {self.dataset.path} has keys of {flag} {here.get(name)}, and {flag} is {wanted[name]} here: give"
                    " the documents themselves, or make their keys anew with corpus dedup-keys."
                )


def is_keys(path: str) -> bool:
    """Whether a directory is a set of kept keys."""
    return (Path(path) / MANIFEST).exists() and Dataset.open(path).manifest.kind == KIND


@dataclass(frozen=True)
class KeepKeysStage(ReadingStage):
    """Documents -> their keys. The first phase is that of `dedup`; then each range of keys is put together."""

    name: ClassVar[str] = "dedup-keys"
    kind: ClassVar[str] = KIND
    unit: ClassVar[str] = "documents"

    settings: DedupConfig

    def config(self) -> Mapping[str, Any]:
        values = self.settings.as_json()
        return {name: values[name] for name in ("level", *_DECIDING[self.settings.level])}

    def check(self) -> None:
        super().check()
        if self.settings.level not in _DECIDING:
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
