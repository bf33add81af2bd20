"""The unit of work that every executor runs: one task of one phase, published as a folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.engine.faults import fault
from corpus.engine.stage import Stage
from corpus.engine.task import Task


@dataclass(frozen=True)
class TaskStep:
    """Picklable; also a step of a datatrove pipeline, whose rank is the number of the task."""

    stage: Stage
    phase: str
    work: str
    memory: int
    """Bytes of data that the task may hold."""
    strict: bool
    checked: tuple[tuple[str, int], ...] = ()
    """The earlier phases, with their numbers of tasks, whose results the `tasks` of this phase check, each its share."""
    tasks: int = 1

    def __call__(self, data: Any, rank: int = 0, world_size: int = 1) -> None:
        """Run task `rank`; its progress goes to a small file next to the results."""
        self.run(rank, _ProgressFile(Path(self.work, self.phase, f".progress-{rank:05d}")))

    def run(self, rank: int, tick: Callable[[int, int], None]) -> None:
        """Run task `rank` and publish its result, telling `tick` how many documents and bytes are done."""
        self.attempt(rank, tick).publish()

    def attempt(self, rank: int, tick: Callable[[int, int], None]) -> Task:
        """Run task `rank`, whose result is not published yet."""
        task = Task(self.stage.name, self.stage.unit, self.phase, rank, Path(self.work), self.memory, self.strict, tick)
        fault("task-begun")
        try:
            for phase, tasks in self.checked:
                for result in task.results(phase, range(rank, tasks, self.tasks)):
                    result.check()
            self.stage.run(self.phase, rank, task)
        except Exception:
            shutil.rmtree(task.directory, ignore_errors=True)
            raise
        return task


@dataclass
class _ProgressFile:
    """Writes progress where the caller can read it, at most twice a second."""

    path: Path
    _next: float = 0.0

    def __call__(self, documents: int, size: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 0.5
            self.path.write_text(f"{documents} {size}", encoding="ascii")
