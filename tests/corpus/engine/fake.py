"""An executor that no one should trust: it delays, loses and repeats tasks and tells lies about them, by a seed."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from corpus.engine.executors.base import Executor, Report, Settings, Tick
from corpus.engine.executors.step import TaskStep
from corpus.engine.result import task_directory
from corpus.engine.task import Task
from corpus.errors import DataError


def hide(folder: Path, seconds: float) -> None:
    """Take a published folder out of sight for a while, as a file system does whose rename other hosts see late."""
    aside = folder.with_name(f".{folder.name}-unseen")
    folder.rename(aside)
    threading.Timer(seconds, aside.rename, (folder,)).start()


@dataclass
class Attempt:
    """One attempt at a task: begun at the poll `at`, run to its end but not published, then published."""

    rank: int
    at: int
    publishes: bool
    task: Task | None = None


@dataclass
class Submission:
    """What was submitted, and what will happen to it, attempt by attempt."""

    step: TaskStep
    attempts: list[Attempt]
    lies: dict[int, str]
    polls: int = 0
    failed: dict[int, BaseException] = field(default_factory=dict)


class FakeExecutor(Executor):
    """Each task meets one of `FATES`, drawn by the seed; after `luck` losses it goes well."""

    FATES = (
        "well",
        "late",
        "lost",
        "lost halfway",
        "twice",
        "at once",
        "no success",
        "no failure",
        "still running",
        "seen late",
    )
    seed = 0
    luck = 3
    hidden_seconds = 0.02
    fates: Sequence[str] = FATES

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.random = random.Random(self.seed)
        self.submissions: dict[str, Submission] = {}
        self.orphans: list[Task] = []
        self.met: Counter[str] = Counter()
        self.sent: Counter[tuple[str, int]] = Counter()
        self.closed = False

    def submit(self, step: TaskStep, ranks: Sequence[int]) -> str:
        assert not self.closed
        attempts: list[Attempt] = []
        lies: dict[int, str] = {}
        for rank in ranks:
            self.sent[step.phase, rank] += 1
            fate = self.random.choice(self.fates) if self.sent[step.phase, rank] <= self.luck else "well"
            self.met[fate] += 1
            attempts += self._attempts(rank, fate)
            lies[rank] = fate
        self.random.shuffle(attempts)
        handle = f"fake-{len(self.submissions)}-{self.random.random()}"
        self.submissions[handle] = Submission(step, attempts, lies)
        return handle

    def _attempts(self, rank: int, fate: str) -> list[Attempt]:
        soon, late = self.random.randint(0, 1), self.random.randint(2, 6)
        if fate in ("lost", "no success", "never seen"):
            return []
        if fate == "lost halfway":
            return [Attempt(rank, soon, publishes=False)]
        if fate == "at once":
            return [Attempt(rank, soon, publishes=True), Attempt(rank, soon, publishes=True)]
        if fate == "twice":
            return [Attempt(rank, soon, publishes=True), Attempt(rank, late, publishes=True)]
        return [Attempt(rank, late if fate == "late" else soon, publishes=True)]

    def poll(self, handle: str, tick: Tick) -> Report:
        submission = self.submissions[handle]
        now, submission.polls = submission.polls, submission.polls + 1
        due = [attempt for attempt in submission.attempts if attempt.at <= now]
        submission.attempts = [attempt for attempt in submission.attempts if attempt.at > now]
        for attempt in due:  # all of them run before the first of them publishes
            attempt.task = submission.step.attempt(attempt.rank, lambda documents, size: None)
        for attempt in due:
            assert attempt.task is not None
            if attempt.publishes:
                attempt.task.publish()
                if submission.lies[attempt.rank] == "seen late":
                    hide(task_directory(attempt.task.work, attempt.task.phase, attempt.rank), self.hidden_seconds)
            else:
                self.orphans.append(attempt.task)
        running = {attempt.rank for attempt in submission.attempts}
        for rank, fate in submission.lies.items():
            if fate == "no failure" and rank not in running:
                submission.failed[rank] = DataError(f"task {rank} failed, says the scheduler.")
            if fate == "still running" and now < 4:
                running.add(rank)
        ended = {rank for rank, fate in submission.lies.items() if fate in ("seen late", "never seen")} - running
        lost = {rank: "ran out of luck: draw again" for rank, fate in submission.lies.items() if fate == "lost"}
        return Report(frozenset(running), dict(submission.failed), frozenset(ended), lost)

    def cancel(self, handle: str) -> None:
        """Forgets nothing: what was repeated goes on, as on a host that hears of it late."""
        submission = self.submissions[handle]
        for attempt in submission.attempts:
            self.orphans.append(submission.step.attempt(attempt.rank, lambda documents, size: None))
        submission.attempts = []

    def close(self) -> None:
        self.closed = True
        for task in self.orphans:
            if task.directory.exists():
                task.publish()  # a straggler, long after its phase
