"""The local executor: tasks in this process, or on a pool of workers that notices when one dies.

datatrove's own pool waits for ever for a killed worker, and its workers outlive a killed parent. This one is
`concurrent.futures`, which reports a broken pool, and its workers ask the kernel to be killed with their parent.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial

from corpus.engine.executors.base import Executor, Report, Settings, Tick
from corpus.engine.executors.deaths import describe, remedy
from corpus.engine.executors.step import TaskStep
from corpus.engine.executors.worker import WorkerContext, needs_main, start_worker
from corpus.errors import LostError, UsageError
from corpus.system import out_of_memory_kills

_POLL_SECONDS = 0.25
_DEATH_SECONDS = 5.0


@dataclass
class WorkerPool:
    """Worker processes, started when first needed and kept for all stages of a run."""

    workers: int
    _pool: ProcessPoolExecutor | None = field(default=None, init=False)
    _context: WorkerContext = field(default_factory=lambda: WorkerContext(with_main=False), init=False)

    def get(self, with_main: bool = False) -> ProcessPoolExecutor:
        """The running pool; one whose workers have imported the main module, if that is asked for."""
        if with_main and not self._context.with_main:
            self.close()
        if self._pool is None:
            self._context = WorkerContext(with_main)
            self._pool = ProcessPoolExecutor(
                self.workers, mp_context=self._context, initializer=start_worker, initargs=(os.getpid(),)
            )
        return self._pool

    def pids(self) -> list[int]:
        """The processes that were started, in order."""
        return [process.pid for process in self._context.started if process.pid is not None]

    def exit_codes(self) -> list[int | None]:
        """How the workers of a broken pool ended; waits a moment until all have."""
        deadline = time.monotonic() + _DEATH_SECONDS
        while time.monotonic() < deadline:
            if all(process.exitcode is not None for process in self._context.started):
                break
            time.sleep(0.01)
        return [process.exitcode for process in self._context.started]

    def close(self, kill: bool = False) -> None:
        """Stop the workers; `kill` does not wait for their tasks."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        if kill:
            for process in self._context.started:
                if process.pid is not None:
                    process.kill()
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass
class _Submission:
    """Tasks sent on their way, and what came of them."""

    step: TaskStep
    waiting: list[int]
    """Those for the calling process, in order."""
    futures: dict[int, Future[None]]
    """Those on the pool."""
    kills: int
    """Processes killed for want of memory before."""
    failed: dict[int, BaseException] = field(default_factory=dict)


class LocalExecutor(Executor):
    """Runs tasks on this machine: small stages and single tasks in the calling process, others on a pool."""

    reserves = False

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.pool = WorkerPool(settings.workers)
        self._submissions: dict[str, _Submission] = {}
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Another number of workers starts a new pool."""
        if settings.cpus_per_task != 1 or settings.memory_per_task is not None:
            raise UsageError(
                "--cpus-per-task and --memory-per-task reserve room on the machines of a cluster, and executor local has"
                " none: leave them out, or give another --executor."
            )
        super().configure(settings)
        if settings.workers != self.pool.workers:
            self.pool.close()
            self.pool = WorkerPool(settings.workers)

    def submit(self, step: TaskStep, ranks: Sequence[int]) -> str:
        """Send the tasks to the workers, or keep them for `poll`."""
        submission = _Submission(step, [], {}, out_of_memory_kills())
        if self._parallel(step, len(ranks)):
            pool = self.pool.get(needs_main(step, f"stage {step.stage.name}"))
            try:
                submission.futures = {rank: pool.submit(step, None, rank) for rank in ranks}
            except BrokenProcessPool:
                submission.failed = dict.fromkeys(ranks, self._death(submission))
        else:
            submission.waiting = list(ranks)
        handle = f"local-{os.getpid()}-{id(submission)}"
        self._submissions[handle] = submission
        return handle

    def poll(self, handle: str, tick: Tick) -> Report:
        """Run the next task of this process, or hear of those on the pool. A dead worker is a DataError of all tasks
        that have not ended."""
        submission = self._submissions[handle]
        if submission.waiting:
            rank = submission.waiting.pop(0)
            try:
                submission.step.run(rank, partial(tick, rank))
            except Exception as error:
                submission.failed[rank] = error
        elif submission.futures:
            self._listen(submission)
        return Report(frozenset(submission.waiting) | submission.futures.keys(), dict(submission.failed))

    def cancel(self, handle: str) -> None:
        """Forget the tasks; workers that are at one of them are killed."""
        submission = self._submissions.pop(handle, None)
        if submission is not None and submission.futures:
            self.pool.close(kill=True)

    def close(self) -> None:
        """Kill the workers."""
        self._submissions.clear()
        self.pool.close(kill=True)

    def _parallel(self, step: TaskStep, tasks: int) -> bool:
        settings = self.settings
        large = settings.workers > 1 and tasks > 1 and step.stage.input_bytes() >= settings.in_process_bytes
        return settings.always_pool or large

    def _listen(self, submission: _Submission) -> None:
        wait(submission.futures.values(), timeout=_POLL_SECONDS, return_when=FIRST_EXCEPTION)
        for rank, future in list(submission.futures.items()):
            if not future.done():
                continue
            error = future.exception()
            if isinstance(error, BrokenProcessPool):
                submission.failed |= dict.fromkeys(submission.futures, self._death(submission))
                submission.futures.clear()
                return
            del submission.futures[rank]
            if error is not None:
                submission.failed[rank] = error

    def _death(self, submission: _Submission) -> LostError:
        codes = self.pool.exit_codes()
        kills = out_of_memory_kills() - submission.kills
        self.pool.close(kill=True)
        step = submission.step
        return LostError(
            f"a worker of stage {step.stage.name} {describe(codes, kills)} in phase {step.phase}: {remedy(codes, kills)}."
        )
