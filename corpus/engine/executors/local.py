"""datatrove's local executor, on a pool that notices when a worker dies.

datatrove's own pool waits for ever for a killed worker, and its workers outlive a killed parent. This subclass runs
the same tasks through `concurrent.futures`, which reports a broken pool; its workers ask the kernel to be killed with
their parent. Which tasks are done is told by their published results, not by datatrove's completion files.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor
from loguru import logger

from corpus.engine.stage import Stage
from corpus.engine.task import Task
from corpus.errors import DataError

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.25


@dataclass(frozen=True)
class TaskStep:
    """The one step of the datatrove pipeline of a phase: run the stage's task of this rank and publish it."""

    stage: Stage
    phase: str
    work: str
    memory: int
    strict: bool

    def __call__(self, data: Any, rank: int = 0, world_size: int = 1) -> None:
        """Run task `rank`; its progress goes to a small file beside the results."""
        self.run(rank, _ProgressFile(Path(self.work, self.phase, f".progress-{rank:05d}")))

    def run(self, rank: int, tick: Callable[[int, int], None]) -> None:
        """Run task `rank`, telling `tick` how many documents and bytes are done."""
        task = Task(self.stage.name, self.stage.unit, self.phase, rank, Path(self.work), self.memory, self.strict, tick)
        self.stage.run(self.phase, rank, task)
        task.publish()


@dataclass
class _ProgressFile:
    """Writes progress where the parent can poll it, at most twice a second."""

    path: Path
    _next: float = 0.0

    def __call__(self, documents: int, size: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 0.5
            self.path.write_text(f"{documents} {size}", encoding="ascii")


@dataclass
class WorkerPool:
    """Worker processes, started when first needed and kept for all stages of a run."""

    workers: int
    _pool: ProcessPoolExecutor | None = field(default=None, init=False)

    def get(self) -> ProcessPoolExecutor:
        """The running pool; its processes are direct children (spawned), so that they can follow the parent's death."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start_worker,
                initargs=(os.getpid(),),
            )
        return self._pool

    def close(self, kill: bool = False) -> None:
        """Stop the workers; `kill` does not wait for their tasks."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        if kill:
            for process in list((pool._processes or {}).values()):
                process.kill()
        pool.shutdown(wait=True, cancel_futures=True)


class LocalExecutor(LocalPipelineExecutor):  # type: ignore[misc]  # datatrove is untyped
    """Runs the tasks of one phase on this machine: in this process for `pool=None`, else on the pool."""

    def __init__(self, step: TaskStep, tasks: int, logging_dir: Path) -> None:
        super().__init__([step], tasks=tasks, logging_dir=str(logging_dir), skip_completed=False)
        self.step = step

    def run_tasks(
        self,
        ranks: Iterable[int],
        pool: WorkerPool | None,
        tick: Callable[[int, int, int], None],
        poll: Callable[[], None],
    ) -> None:
        """Run the tasks `ranks`. `tick(rank, documents, bytes)` hears of tasks in this process, `poll()` is called
        now and then while others run. The first error of a task is raised, a dead worker is a DataError."""
        if pool is None:
            for rank in ranks:
                self.step.run(rank, partial(tick, rank))
            return
        try:
            workers = pool.get()
            pending: set[Future[Any]] = {workers.submit(_run_rank, self, rank) for rank in ranks}
            while pending:
                done, pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                poll()
        except BrokenProcessPool:
            pool.close(kill=True)
            raise DataError(
                f"a worker of stage {self.step.stage.name} was killed (out of memory?) in phase {self.step.phase}: run"
                " the same command again to go on, with a smaller --memory or fewer --workers if it happens again."
            ) from None
        except BaseException:
            pool.close(kill=True)
            raise


def _run_rank(executor: LocalExecutor, rank: int) -> None:
    executor._run_for_rank(rank)


def _start_worker(parent: int) -> None:
    """Prepare a worker process: die with the parent, leave Ctrl-C to it, one thread per library, no log lines."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    else:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    logger.disable("datatrove")
    import pyarrow as pa

    pa.set_cpu_count(1)


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)
