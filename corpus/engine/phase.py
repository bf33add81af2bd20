"""One phase of a running stage: which tasks are left, how far they are, and their results."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from corpus.engine.executors.local import LocalExecutor, TaskStep, WorkerPool
from corpus.engine.progress import Progress
from corpus.engine.result import RESULT, TaskResult, task_directory
from corpus.engine.stage import Phase, Stage

_SHOW_SECONDS = 0.25


@dataclass
class PhaseRun:
    """Runs the tasks of `phase` that have no result yet, in this process (`pool` None) or on the pool."""

    stage: Stage
    phase: Phase
    work: Path
    progress: Progress
    earlier: Mapping[str, Sequence[TaskResult]]
    _results: dict[int, TaskResult] = field(default_factory=dict, init=False)
    _live: dict[int, tuple[int, int]] = field(default_factory=dict, init=False)
    _next_show: float = field(default=0.0, init=False)

    def left(self) -> list[int]:
        """The tasks without a result. What killed attempts left behind is removed."""
        folder = self.work / self.phase.name
        folder.mkdir(exist_ok=True)
        for leftover in folder.glob(".*"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)  # a dying worker may still be at it
            else:
                leftover.unlink(missing_ok=True)
        self._look()
        return [index for index in range(self.phase.tasks) if index not in self._results]

    def run(self, ranks: Sequence[int], pool: WorkerPool | None, memory: int, strict: bool) -> list[TaskResult]:
        """Run the tasks `ranks`, `memory` bytes of data each; the results of all tasks, in order."""
        step = TaskStep(self.stage, self.phase.name, str(self.work), memory, strict)
        executor = LocalExecutor(step, self.phase.tasks, self.work / f".log-{self.phase.name}")
        executor.run_tasks(ranks, pool, self._tick, self._show)
        self._look()
        missing = [index for index in range(self.phase.tasks) if index not in self._results]
        assert not missing, f"tasks {missing} of {self.stage.name}/{self.phase.name} ended without a result"
        return [self._results[index] for index in range(self.phase.tasks)]

    def _look(self) -> None:
        """Take up results that were published since the last look."""
        published = {int(name) for name in os.listdir(self.work / self.phase.name) if name.isdigit()}
        for index in sorted(published - self._results.keys()):
            directory = task_directory(self.work, self.phase.name, index)
            if index < self.phase.tasks and (directory / RESULT).exists():
                self._results[index] = TaskResult.load(directory)

    def _tick(self, rank: int, documents: int, size: int) -> None:
        self._live[rank] = (documents, size)
        if time.monotonic() >= self._next_show:
            self._next_show = time.monotonic() + _SHOW_SECONDS
            self._show()

    def _show(self) -> None:
        self._look()
        self._read_progress()
        finished = [result for phase in self.earlier.values() for result in phase] + list(self._results.values())
        live = [amount for rank, amount in self._live.items() if rank not in self._results]
        documents, size = (sum(r.progress[n] for r in finished) + sum(amount[n] for amount in live) for n in (0, 1))
        counts = [result.counts[self.stage.unit] for result in finished if self.stage.unit in result.counts]
        seen = sum(entry.seen for entry in counts)
        kept = sum(entry.kept for entry in counts) / seen if seen else None
        self.progress.update(self.phase.name, len(self._results), self.phase.tasks, documents, size, kept)

    def _read_progress(self) -> None:
        for path in (self.work / self.phase.name).glob(".progress-*"):
            try:
                documents, size = path.read_text(encoding="ascii").split()
            except (OSError, ValueError):
                continue  # being replaced at this moment; the next look will see it
            self._live[int(path.name.rsplit("-", 1)[1])] = (int(documents), int(size))
