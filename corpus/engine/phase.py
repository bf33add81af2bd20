"""One phase of a running stage: which tasks are left, how far they are, and their results."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from corpus.data.stored import DamagedFileError
from corpus.engine.attempts import remove_dead, set_aside, set_aside_source
from corpus.engine.executors.base import RESUBMISSIONS, Executor
from corpus.engine.executors.step import TaskStep
from corpus.engine.pace import PhasePace
from corpus.engine.progress import PhaseState, Progress
from corpus.engine.result import TaskResult, task_directory
from corpus.engine.stage import Phase, Stage
from corpus.engine.visible import SEEN_SECONDS, look_again
from corpus.errors import LostError

_SHOW_SECONDS = 0.25
_AWAIT_SECONDS = 0.1
_END_SECONDS = 2.0
"""How long tasks that have published their result may take to end before what is left of them is stopped."""


@dataclass
class PhaseRun:
    """Has an executor run the tasks of `phase` that have no result yet. Results are taken from the published folders
    alone, and the first that is there stays; what the executor says decides only what is submitted again."""

    stage: Stage
    phase: Phase
    work: Path
    progress: Progress
    number: int
    """Which phase of the stage it is, from 1."""
    earlier: Mapping[str, Sequence[TaskResult]]
    checked: set[str] = field(default_factory=set)
    """The earlier phases whose results were checked in this run; those that this phase has checked are added."""
    resubmissions: int = RESUBMISSIONS
    _results: dict[int, TaskResult] = field(default_factory=dict, init=False)
    _live: dict[int, tuple[int, int]] = field(default_factory=dict, init=False)
    _lost: Counter[int] = field(default_factory=Counter, init=False)
    _reasons: dict[int, str] = field(default_factory=dict, init=False)
    _awaited: dict[int, float] = field(default_factory=dict, init=False)
    """Tasks that are said to have ended well and have no visible result, and until when it is waited for."""
    _heard: set[tuple[str, int]] = field(default_factory=set, init=False)
    """Submissions and their tasks that were said to have ended well."""
    _parts: dict[int, tuple[str, float]] = field(default_factory=dict, init=False)
    _pace: PhasePace = field(init=False)
    _part_pace: tuple[str, PhasePace] = field(init=False)
    _size_before: int = field(default=0, init=False)
    _next_show: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._pace = PhasePace(self.phase.tasks, self.stage.task_bytes(self.phase))
        self._part_pace = ("", PhasePace(1))

    @property
    def _folder(self) -> Path:
        return self.work / self.phase.name

    def run(self, executor: Executor, memory: int, strict: bool) -> list[TaskResult]:
        """Run what has no result, `memory` bytes of data a task; the results of all tasks, in order.

        The error of a task that has no result is raised. A task that ended without a result or an error was lost, and
        is submitted again up to `resubmissions` times; then a DataError names it.

        Results of earlier phases that are not checked yet are checked once, by all tasks together: each has its share, so
        that the phase ends only if all were as they were written. One that is not is a DamagedFileError, and is set aside
        with what this phase has made, so that the same command makes them again.
        """
        try:
            return self._run(executor, memory, strict)
        except Exception as error:
            # what a task makes of damaged files can be any error
            damaged = error if isinstance(error, DamagedFileError) else _damage(self.earlier, self.checked)
            if damaged is None:
                raise
            _set_aside(self.work, self._folder, damaged.path)
            raise damaged from None

    def _run(self, executor: Executor, memory: int, strict: bool) -> list[TaskResult]:
        left = self._begin()
        unchecked = {name: results for name, results in self.earlier.items() if name not in self.checked}
        if left and len(left) < self.phase.tasks and (damaged := _damage(self.earlier, self.checked)) is not None:
            raise damaged  # those that are done have had their share, but not in this run
        shares = tuple((name, len(results)) for name, results in unchecked.items()) if not self._results else ()
        step = TaskStep(self.stage, self.phase.name, str(self.work), memory, strict, shares, self.phase.tasks)
        handed_out = bool(left)
        handles = [executor.submit(step, left)] if left else []
        waited_since = 0.0
        try:
            while handles or self._awaited:
                handles, running = self._poll(executor, handles)
                self._show()
                left = self._missing()
                lost = [index for index in left if index not in running and not self._waits(index)]
                if lost:
                    self._count_lost(lost)
                    handles.append(executor.submit(step, lost))
                if not left:
                    waited_since = waited_since or time.monotonic()
                    if time.monotonic() - waited_since > _END_SECONDS:
                        break
        finally:
            for handle in handles:
                executor.cancel(handle)
        if handed_out:
            self.checked.update(self.earlier)
        return [self._results[index] for index in range(self.phase.tasks)]

    def _begin(self) -> list[int]:
        """The tasks without a result. What killed attempts of this host left behind is removed."""
        self._folder.mkdir(exist_ok=True)
        remove_dead(self._folder)
        for stale in (*self._folder.glob(".progress-*"), *self._folder.glob(".part-*")):
            stale.unlink(missing_ok=True)
        self._look()
        done = {index: result.progress[1] for index, result in self._results.items()}
        self._pace.share(done, {})  # what was done before is no measure of this run
        self._size_before = sum(done.values())
        return self._missing()

    def _missing(self) -> list[int]:
        return [index for index in range(self.phase.tasks) if index not in self._results]

    def _poll(self, executor: Executor, handles: Sequence[str]) -> tuple[list[str], set[int]]:
        """The submissions that go on, and the tasks that are believed to run. The first error is raised of a task that
        is believed to run nowhere and has no result."""
        reports = {handle: executor.poll(handle, self._tick) for handle in handles}
        running = {rank for report in reports.values() for rank in report.running}
        failed = {rank: error for report in reports.values() for rank, error in report.failed.items()}
        for handle, report in reports.items():
            self._reasons.update(report.lost)
            news = {rank for rank in report.ended if (handle, rank) not in self._heard}
            self._heard.update((handle, rank) for rank in news)
            self._awaited.update(dict.fromkeys(news, time.monotonic() + SEEN_SECONDS))
        self._look()
        self._await_results(pause=not handles)
        for rank in sorted(failed.keys() - running - self._results.keys()):
            if rank < self.phase.tasks:
                raise failed[rank]
        for handle, report in reports.items():
            if not report.running:
                executor.cancel(handle)
        return [handle for handle, report in reports.items() if report.running], running

    def _await_results(self, pause: bool) -> None:
        """Ask the file system anew for results that should be there; with `pause` there is nothing else to do."""
        if self._awaited.keys() - self._results.keys():
            look_again(self._folder)
            self._look()
        for rank in self._awaited.keys() & self._results.keys():
            del self._awaited[rank]
        if self._awaited and pause:
            time.sleep(_AWAIT_SECONDS)

    def _waits(self, index: int) -> bool:
        """Whether the result of a task that is said to have ended well may still come into sight."""
        waits = self._awaited.get(index, 0.0) > time.monotonic()
        if not waits:
            self._awaited.pop(index, None)
        return waits

    def _count_lost(self, lost: Sequence[int]) -> None:
        self._lost.update(lost)
        given_up = [str(index) for index in lost if self._lost[index] > self.resubmissions]
        if given_up:
            some = ", ".join(given_up[:5]) + (", …" if len(given_up) > 5 else "")
            what = f"{len(given_up)} of {self.phase.tasks} tasks of stage {self.stage.name}, phase {self.phase.name}"
            times = f"{self.resubmissions + 1} times"
            reasons = Counter(self._reasons[index] for index in lost if index in self._reasons)
            if reasons:
                raise LostError(
                    f"{what} were lost {times} ({some}); the last one {reasons.most_common(1)[0][0]}; then run the same"
                    " command again to go on."
                )
            raise LostError(
                f"{what} ended {times} without a result in {self._folder} ({some}): see why in the"
                " executor's own log, and whether its hosts write to that folder; then run the same command again."
            )

    def _look(self) -> None:
        """Take up results that were published since the last look."""
        published = {int(name) for name in os.listdir(self._folder) if name.isdigit()}
        for index in sorted(published - self._results.keys()):
            if index < self.phase.tasks and (result := published_result(self.work, self.phase.name, index)):
                self._results[index] = result

    def _tick(self, rank: int, documents: int, size: int) -> None:
        self._live[rank] = (documents, size)
        if time.monotonic() >= self._next_show:
            self._next_show = time.monotonic() + _SHOW_SECONDS
            self._look()
            self._show()

    def _show(self) -> None:
        self._read_progress()
        self.progress.show(self._part_state() or self._state())

    def _state(self) -> PhaseState:
        """How far the phase is, by the bytes that its tasks say they have gone through."""
        done = {index: result.progress[1] for index, result in self._results.items()}
        live = {index: size for index, (_, size) in self._live.items() if index not in done}
        size = sum(done.values()) + sum(live.values())
        share = self._pace.share(done, live)
        counts = [entry for r in self._results.values() if (entry := r.counts.get(self.stage.unit)) is not None]
        seen = sum(entry.seen for entry in counts)
        return self._described(
            self.phase.name,
            share,
            self._pace,
            self._pace.seconds_left(
                share,
                {index: result.seconds for index, result in self._results.items()},
                waiting=len(done) + len(live) < self.phase.tasks,
            ),
            documents=sum(result.progress[0] for result in self._results.values())
            + sum(number for index, (number, _) in self._live.items() if index not in done),
            rate=(size - self._size_before) / max(self._pace.elapsed, 1e-6),
            kept=sum(entry.kept for entry in counts) / seen if seen else None,
        )

    def _part_state(self) -> PhaseState | None:
        """Where the only task of a phase says what it is at: how far that is."""
        if self.phase.tasks != 1 or 0 not in self._parts or self._results:
            return None
        name, share = self._parts[0]
        if self._part_pace[0] != name:
            self._part_pace = (name, PhasePace(1))
        pace = self._part_pace[1]
        return self._described(f"{self.phase.name}, {name}", share, pace, pace.seconds_left(share))

    def _described(
        self,
        name: str,
        share: float,
        pace: PhasePace,
        left: float | None,
        documents: int = 0,
        rate: float = 0.0,
        kept: float | None = None,
    ) -> PhaseState:
        phases = len(self.stage.phases())
        return PhaseState(
            name,
            self.number,
            phases,
            len(self._results),
            self.phase.tasks,
            share,
            pace.elapsed,
            left,
            documents,
            rate,
            kept,
        )

    def _read_progress(self) -> None:
        for path in self._folder.glob(".progress-*"):
            try:
                documents, size = path.read_text(encoding="ascii").split()
            except (OSError, ValueError):
                continue  # being replaced at this moment; the next look will see it
            self._live[int(path.name.rsplit("-", 1)[1])] = (int(documents), int(size))
        for path in self._folder.glob(".part-*"):
            try:
                name, share = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            self._parts[int(path.name.rsplit("-", 1)[1])] = (name, share)


def _damage(earlier: Mapping[str, Sequence[TaskResult]], checked: set[str]) -> DamagedFileError | None:
    """The first error of a result of an earlier phase that is not as it was written."""
    try:
        for name, results in earlier.items():
            for result in results if name not in checked else ():
                result.check()
    except DamagedFileError as error:
        return error
    return None


def _set_aside(work: Path, phase: Path, file: Path) -> None:
    """Set the result aside that holds a damaged file, and those of this phase, which may have been made of it."""
    if file.is_relative_to(work):
        set_aside_source(work, file)
        for folder in phase.glob("[0-9]*"):
            set_aside(folder)


def published_result(work: Path, phase: str, index: int) -> TaskResult | None:
    """The result of a task, if it is published. A folder without a readable one (a host lost its power) is set aside,
    so that the task can be published again."""
    directory = task_directory(work, phase, index)
    try:
        return TaskResult.load(directory)
    except (ValueError, KeyError, TypeError, IndexError):
        set_aside(directory)
    except FileNotFoundError:
        if directory.exists():
            set_aside(directory)
    return None


def published_results(stage: Stage, work: Path) -> dict[str, list[TaskResult]]:
    """The results of all tasks of all phases from their published folders; a DataError names what is missing."""
    found: dict[str, list[TaskResult]] = {}
    for phase in stage.phases():
        results = [published_result(work, phase.name, index) for index in range(phase.tasks)]
        missing = [str(index) for index, result in enumerate(results) if result is None]
        if missing:
            raise LostError(
                f"{len(missing)} of {phase.tasks} tasks of stage {stage.name}, phase {phase.name} have no result in"
                f" {work / phase.name} ({', '.join(missing[:5])}): run the stage again to do them."
            )
        found[phase.name] = [result for result in results if result is not None]
    return found
