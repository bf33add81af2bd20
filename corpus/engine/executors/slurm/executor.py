"""The Slurm executor: the tasks of a phase are an array of jobs.

Slurm is asked only which jobs wait and run, and how they were ended; what is done is told by the published results. An
array outlives whoever submitted it, and a later process that wants the same tasks takes them as sent.
"""

from __future__ import annotations

import pickle
import shlex
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from corpus.engine.executors.base import RESUBMISSIONS, Executor, Report, Settings, Tick
from corpus.engine.executors.local import LocalExecutor
from corpus.engine.executors.place import Place
from corpus.engine.executors.slurm import array, programs
from corpus.engine.executors.slurm.array import ArrayJob
from corpus.engine.executors.slurm.options import SlurmOptions, seconds_of
from corpus.engine.executors.slurm.queue import Queue
from corpus.engine.executors.slurm.watch import Sight, look
from corpus.engine.executors.step import TaskStep
from corpus.engine.executors.worker import needs_main
from corpus.errors import LostError, UsageError
from corpus.option import nearest

_PAUSES = (0.1, 2.0)
"""Seconds from one look at an array to the next: at first, and when it has run for long."""


class HandedOver(BaseException):
    """Jobs were submitted, and whoever comes after them goes on. No `Exception`, so that nothing on the way takes it for
    a failure."""

    def __init__(self, jobs: Sequence[str]) -> None:
        super().__init__(f"waits for jobs {', '.join(jobs)}")
        self.jobs = tuple(jobs)


@dataclass
class _Submission:
    """Tasks sent on their way, and the arrays that do them."""

    step: TaskStep
    ranks: frozenset[int]
    arrays: list[ArrayJob]
    started: float = field(default_factory=time.monotonic)


class SlurmExecutor(Executor):
    """Sends tasks to a Slurm cluster; stages with little input are run in the calling process.

    With `hand_over` it never waits: where jobs of a phase run, `poll` raises `HandedOver`. `chain` names the processes that
    follow one another so: an error of a job is told to those of its own chain alone.
    """

    options = SlurmOptions

    def __init__(self, settings: Settings, chain: str = "", hand_over: bool = False) -> None:
        super().__init__(settings)
        self.chain = chain or uuid.uuid4().hex[:8]
        self.hand_over = hand_over
        self._handed_over = False
        self._local = LocalExecutor(Settings())
        self._place = Place.of_this()
        self._queue = Queue()
        self._submissions: dict[str, _Submission] = {}
        self._begun: set[Path] = set()
        self._checked: SlurmOptions | None = None
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """A UsageError says what is wrong with the options, or that Slurm is not here."""
        own = settings.options
        assert isinstance(own, SlurmOptions)
        if own != self._checked:
            check(own)
            self._checked = own
        super().configure(settings)

    def submit(self, step: TaskStep, ranks: Sequence[int]) -> str:
        """Submit an array for the tasks that no array of this chain and no running one of another has."""
        if not self.settings.always_pool and step.stage.input_bytes() < self._own.array_bytes:
            return self._local.submit(step, ranks)
        if needs_main(step, f"stage {step.stage.name}"):
            raise UsageError(
                f"stage {step.stage.name} uses what is defined in a script, where jobs cannot find it: put it into a module"
                " of its own and import it."
            )
        folder = Path(step.work, step.phase)
        arrays = [] if folder in self._begun else self._sent_before(folder)
        self._begun.add(folder)
        left = sorted(set(ranks).difference(*(one.ranks for one in arrays)))
        if left:
            self._check_attempts(step, folder, left)
            arrays.append(self._send(step, left))
        handle = f"slurm-{uuid.uuid4().hex}"
        self._submissions[handle] = _Submission(step, frozenset(ranks), arrays)
        return handle

    def poll(self, handle: str, tick: Tick) -> Report:
        """Look at the arrays: which tasks wait or run, and how others have failed."""
        if handle not in self._submissions:
            return self._local.poll(handle, tick)
        submission = self._submissions[handle]
        least, most = _PAUSES
        time.sleep(min(most, least + (time.monotonic() - submission.started) / 20))
        sights = [self._look(one, submission) for one in list(submission.arrays)]
        running = {rank for sight in sights for rank in sight.running}
        failed = {rank: error for sight in sights for rank, error in sight.failed.items() if rank not in running}
        sent_later: set[int] = set()
        left: set[int] = set()
        for one, sight in reversed([*zip(submission.arrays, sights, strict=True)]):
            left |= sight.left - sent_later - running
            sent_later |= one.ranks
        busy = [one.job for one, sight in zip(submission.arrays, sights, strict=True) if sight.running]
        if left and not failed:
            submission.arrays.append(self._send(submission.step, sorted(left)))
            busy.append(submission.arrays[-1].job)
            running |= left
        if self.hand_over and busy and not failed:
            self._handed_over = True
            raise HandedOver(busy)
        ended = {rank for sight in sights for rank in sight.ended} - running
        lost = {rank: reason for sight in sights for rank, reason in sight.lost.items() if rank not in running}
        return Report(frozenset(running & submission.ranks), failed, frozenset(ended & submission.ranks), lost)

    def cancel(self, handle: str) -> None:
        """Forget the tasks; what waits or runs of them is cancelled, unless another process was to go on with it."""
        if handle not in self._submissions:
            self._local.cancel(handle)
            return
        submission = self._submissions.pop(handle)
        if not self._handed_over:
            programs.cancel(one.job for one in submission.arrays if self._active(one))

    def close(self) -> None:
        """Cancel everything that was submitted here."""
        for handle in list(self._submissions):
            self.cancel(handle)
        self._local.close()

    @property
    def _own(self) -> SlurmOptions:
        own = self.settings.options
        assert isinstance(own, SlurmOptions)
        return own

    def _sent_before(self, folder: Path) -> list[ArrayJob]:
        """Arrays that were submitted by processes before this one: all of its chain, running ones of others."""
        return [one for one in array.submitted(folder) if one.chain == self.chain or self._active(one)]

    def _check_attempts(self, step: TaskStep, folder: Path, ranks: Sequence[int]) -> None:
        """A LostError where tasks were begun, or sent in vain, too often by the processes of this chain."""
        own = [one for one in array.submitted(folder) if one.chain == self.chain]
        attempts = Counter(rank for one in own for rank in one.attempted())
        given_up = [rank for rank in ranks if attempts[rank] > RESUBMISSIONS]
        if given_up:
            raise LostError(
                f"{len(given_up)} tasks of stage {step.stage.name}, phase {step.phase} ended {RESUBMISSIONS + 1} times without"
                f" a result, such as task {given_up[0]}: see why in {own[-1].folder}, then run the same command again."
            )

    def _send(self, step: TaskStep, ranks: Sequence[int]) -> ArrayJob:
        own = self._own
        most = programs.max_array_size()
        elements = min(len(ranks), self.settings.workers, own.array_size or most, most)
        folder = Path(step.work, step.phase)
        place = array.prepare(
            folder, uuid.uuid4().hex[:12], self.chain, pickle.dumps((self._place, step)), ranks, elements
        )
        # %% is a percent sign in the name of a log
        arguments = [
            f"--job-name={step.stage.name}.{step.phase}",
            f"--array=0-{elements - 1}",
            f"--output={str(place.resolve()).replace('%', '%%')}/%a.log",
            *job_arguments(self.settings, step.memory),
            "--no-requeue",
        ]
        try:
            job = programs.submit(place / "job.sh", arguments, own.args)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        self._queue.forget()
        return array.note_submitted(place, job)

    def _active(self, one: ArrayJob) -> bool:
        return any(self._queue.job(one.job, number).active for number in range(one.elements))

    def _look(self, one: ArrayJob, submission: _Submission) -> Sight:
        """What became of an array; what came of another chain has not failed, and is not to be sent again."""
        sight = look(one, submission.step, self._queue, self._own.time)
        return sight if one.chain == self.chain else Sight(sight.running, sight.ended)


def job_arguments(settings: Settings, memory: int) -> list[str]:
    """The arguments of sbatch that all jobs have, for tasks that may hold `memory` bytes of data."""
    own = settings.options
    assert isinstance(own, SlurmOptions)
    return [
        f"--partition={own.partition}",
        f"--time={own.time}",
        f"--mem={-(-settings.reserved(memory) // 2**20)}M",
        f"--cpus-per-task={settings.cpus_per_task}",
        "--nodes=1",
        "--ntasks=1",
        "--export=ALL",
    ]


def check(own: SlurmOptions) -> None:
    """A UsageError where options are missing, or name what this cluster does not have."""
    programs.check_installed()
    try:
        shlex.split(own.args)
    except ValueError as error:
        raise UsageError(f"--slurm-args {own.args} cannot be read ({error}): check its quotes.") from None
    if not own.partition:
        raise UsageError("executor slurm needs --slurm-partition: sinfo lists the partitions of the cluster.")
    if not own.time:
        raise UsageError("executor slurm needs --slurm-time, the time limit of a job, as 12:00:00.")
    wanted = seconds_of(own.time)
    if wanted is None:
        raise UsageError(f"--slurm-time {own.time} is no time: give minutes, HH:MM:SS or D-HH:MM:SS.")
    known = programs.partitions()
    names = own.partition.split(",")
    if not all(names):
        raise UsageError(f"--slurm-partition {own.partition} has an empty name: give NAME, or NAME,NAME.")
    for name in names:
        if name not in known:
            raise UsageError(f"--slurm-partition {name}: the cluster has no such partition; {nearest(name, known)}")
    limits = {name: seconds_of(known[name]) for name in names}
    if all(limit is not None and wanted > limit for limit in limits.values()):
        longest = max(names, key=lambda name: limits[name] or 0)
        raise UsageError(
            f"--slurm-time {own.time} is more than partition {longest} allows: jobs would wait for ever; give at most"
            f" {known[longest]}, or another --slurm-partition."
        )
