"""Stages that read documents piece by piece, and those that also write a piece for each and join pieces to shards."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import ClassVar

from corpus.data.concat import concat_arrow, concat_parquet
from corpus.data.dataset import Dataset
from corpus.data.files import digest_of
from corpus.data.stored import Digests
from corpus.engine.inputs import Piece, dataset_inputs, input_pieces, open_inputs, text_bytes
from corpus.engine.result import TaskResult
from corpus.engine.stage import InputRef, Phase, Stage, Unit
from corpus.engine.task import Task

SHARDS = "shards"
"""The phase that joins pieces to shards."""


@dataclass(frozen=True)
class ReadingStage(Stage):
    """A stage that reads datasets of documents."""

    documents: tuple[str, ...]

    @cached_property
    def datasets(self) -> tuple[Dataset, ...]:
        """The input datasets, in order."""
        return open_inputs(self.documents)

    @cached_property
    def pieces(self) -> list[Piece]:
        """The pieces of the inputs, in order."""
        return input_pieces(self.datasets)

    def check(self) -> None:
        _ = self.datasets  # that they are there, and documents

    def inputs(self) -> tuple[InputRef, ...]:
        return dataset_inputs(self.datasets)

    def input_paths(self) -> tuple[Path, ...]:
        return tuple(map(Path, self.documents))

    def input_bytes(self) -> int:
        return text_bytes(self.datasets)

    def task_bytes(self, phase: Phase) -> Sequence[float]:
        if phase.tasks != len(self.pieces):
            return ()
        average = self.input_bytes() / max(self.input_rows, 1)
        return [piece.rows * average for piece in self.pieces]

    @property
    def input_rows(self) -> int:
        """Documents of the inputs."""
        return sum(dataset.manifest.rows for dataset in self.datasets)


@dataclass(frozen=True)
class PiecewiseStage(ReadingStage):
    """A stage whose last phase of work writes, for each piece of the input, a piece of the output.

    Pieces are joined to shards as they are in the input: shard k of the output holds what is left of the k-th input shard
    that anything is left of. So the output is the same whether steps run one by one or several in one pass.
    """

    independent: ClassVar[bool] = False
    """Whether what is written for a piece follows from the piece, the settings and inputs besides documents alone."""

    @abstractmethod
    def work_phases(self) -> tuple[Phase, ...]:
        """The phases of the stage's own work; the last has a task for each of `pieces`."""

    @abstractmethod
    def work(self, phase: str, index: int, task: Task) -> None:
        """Do one task of them. What the last phase writes goes through `task.writer(…)` with `piece=True`."""

    @cached_property
    def _shards(self) -> list[range]:
        """The pieces of each input shard."""
        numbered = enumerate(self.pieces)
        grouped = (list(group) for _, group in groupby(numbered, key=lambda pair: (pair[1].dataset, pair[1].shard)))
        return [range(group[0][0], group[-1][0] + 1) for group in grouped]

    def phases(self) -> tuple[Phase, ...]:
        own = self.work_phases()
        joined = (Phase(SHARDS, len(self._shards)),) if len(self._shards) < len(self.pieces) else ()
        return (*own, *joined)

    def shard_phase(self) -> str:
        return self.phases()[-1].name

    def units(self, results: Mapping[str, Sequence[TaskResult]] | None = None) -> list[Unit]:
        """Of independent pieces those of each input shard, with what joins them."""
        if not self.independent:
            return []
        phases, last = self.phases(), self.work_phases()[-1].name
        documents = {ref.digest for ref in dataset_inputs(self.datasets)}
        common = {
            "stage": self.name,
            "config": self.whole_config(),
            "phases": [phase.name for phase in phases],
            "others": [ref.digest for ref in self.inputs() if ref.digest not in documents],
            "columns": [[vars(column) for column in dataset.manifest.columns] for dataset in self.datasets],
        }
        found = []
        for number, pieces in enumerate(self._shards):
            first = self.pieces[pieces[0]]
            shard = self.datasets[first.dataset].manifest.shards[first.shard]
            part = [shard.checksum, list(shard.pieces), first.task]
            joined = ((SHARDS, number),) if phases[-1].name == SHARDS else ()
            key = digest_of(common | {"part": part})
            found.append(Unit(key, (*joined, *((last, index) for index in pieces))))
        return found

    def run(self, phase: str, index: int, task: Task) -> None:
        last = self.work_phases()[-1].name
        if phase == SHARDS:
            self._join(last, self._shards[index], task)
            return
        if phase == last:
            task.shard_task = self.pieces[index].task
        self.work(phase, index, task)

    def _join(self, phase: str, pieces: range, task: Task) -> None:
        task.shard_task = self.pieces[pieces[0]].task
        entries = [(result.shard(entry), entry) for result in task.results(phase, pieces) for entry in result.shards]
        if not entries:
            return
        parts = [part for part, _ in entries]
        target = task.directory / entries[0][1].name
        if len(parts) == 1 and _linked(parts[0].path, target):
            parts[0].check()
            digests = Digests(parts[0].size, entries[0][1].checksum, parts[0].blocks)
        elif target.suffix == ".parquet":
            digests = concat_parquet(parts, target)
        else:
            digests = concat_arrow(parts, target)
        task.add_shard(target, [piece for _, entry in entries for piece in entry.pieces], digests)


def _linked(source: Path, target: Path) -> bool:
    """Whether the file system gave the file a second name; some have none."""
    try:
        os.link(source, target)
    except OSError:
        return False
    return True
