"""What every executor is: a place to which tasks are sent. What is done is told by the published results alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from corpus.engine.executors.step import TaskStep

RESUBMISSIONS = 3
"""How often a task that was lost is sent again before its phase is given up."""
INTERPRETER_BYTES = 1_000_000_000
"""What is reserved for a task on a cluster besides its data: interpreter, libraries, models."""
Tick = Callable[[int, int, int], None]
"""Hears of a task that runs in the calling process: its number, and the documents and bytes that are done."""


@dataclass(frozen=True)
class Report:
    """What an executor believes of one submission."""

    running: frozenset[int]
    """Tasks of which an attempt waits or runs."""
    failed: Mapping[int, BaseException] = field(default_factory=dict)
    """Tasks of which the last attempt ended with this error."""
    ended: frozenset[int] = frozenset()
    """Tasks of which the last attempt is said to have ended well: their results are waited for, which other hosts see
    late. A task in none of these was lost, or its result must be there already."""
    lost: Mapping[int, str] = field(default_factory=dict)
    """What is known of how tasks were lost, with the remedy, as `was killed by its time limit: raise --slurm-time`."""


@dataclass(frozen=True)
class NoOptions:
    """The options of an executor that has none of its own."""


@dataclass(frozen=True)
class Settings:
    """How an executor is to work."""

    workers: int = 1
    """Tasks at the same time."""
    cpus_per_task: int = 1
    """Cores that are reserved for a task."""
    memory_per_task: int | None = None
    """Bytes that are reserved for a task, its interpreter included; None leaves it to the executor."""
    options: Any = NoOptions()
    """The executor's own options, of its class `options`."""
    in_process_bytes: int = 0
    """A stage with less input may run in the calling process: starting workers would take longer."""
    always_pool: bool = False
    """Never run a task in the calling process."""

    def reserved(self, memory: int) -> int:
        """Bytes that are reserved for a task that may hold `memory` bytes of data."""
        return self.memory_per_task or memory + INTERPRETER_BYTES


class Executor(ABC):
    """Runs tasks somewhere. One executor serves the phases and stages of a run, one after another.

    A task is sent by its number and does the same whenever and wherever it runs, so an executor may lose it, repeat it,
    or run it on two hosts at once: the first result that is published stays, and what has none is submitted again. An
    executor therefore never says that a task is done, and nobody asks it.
    """

    options: ClassVar[type[Any]] = NoOptions
    """Its own options: a frozen dataclass of documented fields that all have defaults. Field `address` of executor `ray`
    is `--ray-address` on the command line and `ray: {address: …}` in an execution file."""

    shared: ClassVar[frozenset[str]] = frozenset()
    """Those of its own options that one executor cannot have otherwise for another stage, as where its cluster is."""

    reserves: ClassVar[bool] = True
    """Whether it can reserve cores and memory for a task."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def configure(self, settings: Settings) -> None:
        """Work in this way from the next submission on. Called before each stage; a UsageError says what cannot be."""
        self.settings = settings

    def task_memory(self, memory: int) -> int:
        """Bytes of data that one task may hold: its part where all workers together may hold `memory`; of what is reserved
        for it, if that is said, all but the interpreter's part, at least the half."""
        reserved = self.settings.memory_per_task
        return memory // self.settings.workers if reserved is None else max(reserved - INTERPRETER_BYTES, reserved // 2)

    @abstractmethod
    def submit(self, step: TaskStep, ranks: Sequence[int]) -> str:
        """Send the tasks `ranks` of a phase on their way and return at once with a name for this submission."""

    @abstractmethod
    def poll(self, handle: str, tick: Tick) -> Report:
        """What is believed of a submission. Waits a moment for news, so that it can be called in a loop. An executor
        that works in the calling process does a task in here, and tells `tick` of it."""

    @abstractmethod
    def cancel(self, handle: str) -> None:
        """Forget a submission, and stop those of its tasks that still run, where that can be done."""

    @abstractmethod
    def close(self) -> None:
        """Stop everything, at once. Nothing is submitted afterwards."""
