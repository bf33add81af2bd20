"""Some held-out texts against all others, which stream by: the phases that decontamination and validation share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from corpus.engine.inputs import Piece
from corpus.engine.result import TaskResult
from corpus.engine.stage import Phase
from corpus.engine.task import Task

PARTS = "parts"
"""The note of the index task: how many parts it made."""


@dataclass(frozen=True)
class Comparison(ABC):
    """One task indexes what the held-out texts are known by, in parts that memory holds. Every scan reads its piece of
    the other texts once for each part, and leaves what it found. One task puts all of that together and decides.

    What a scan leaves is up to the comparison: the lines that were seen at all, n-grams with the number of documents that
    have them, the first document that is similar. So is how that is put together.
    """

    index_phase: ClassVar[str]
    scan_phase: ClassVar[str]
    decide_phase: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    """The columns of the other texts that a scan reads."""

    scans: int
    """How many tasks scan."""

    def phases(self) -> tuple[Phase, ...]:
        """The phases, in order."""
        return Phase(self.index_phase, 1), Phase(self.scan_phase, self.scans), Phase(self.decide_phase, 1)

    @abstractmethod
    def index(self, task: Task) -> int:
        """Leave the index in the task's directory, each part made within `task.memory`; how many parts."""

    @abstractmethod
    def scan(self, task: Task, made: Path, part: int, batches: Iterable[pa.RecordBatch]) -> None:
        """Leave in the task's directory what `batches` have of a part of the index, which lies in `made`."""

    @abstractmethod
    def decide(self, task: Task, made: TaskResult, scans: Sequence[TaskResult]) -> None:
        """Put together what all scans left, in order, and leave the decision."""

    def run(self, phase: str, task: Task, others: Callable[[], Iterable[pa.RecordBatch]]) -> None:
        """Do one task of these phases; `others()` reads the piece of a scan, each time anew."""
        if phase == self.index_phase:
            task.note(PARTS, self.index(task))
            return
        (made,) = task.results(self.index_phase, 1)
        if phase == self.scan_phase:
            for part in range(made.notes[PARTS]):
                self.scan(task, made.directory, part, others())
        else:
            self.decide(task, made, task.results(self.scan_phase, self.scans))


def read_piece(piece: Piece, task: Task, columns: Iterable[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The batches of a piece, which count as progress of the task."""
    for batch in piece.batches(None if columns is None else list(columns)):
        yield batch
        task.progress(documents=batch.num_rows, bytes=batch.nbytes)
