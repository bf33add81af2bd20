"""What a stage is: a pure function from configuration and inputs to a dataset, cut into phases of independent tasks."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

from corpus.engine.commit import Commit
from corpus.engine.result import TaskResult
from corpus.engine.task import Task
from corpus.plugins import Plugin, loaded_plugins, plugin_digests


@dataclass(frozen=True)
class InputRef:
    """One input of a stage.

    `identity` tells cheaply whether it is still the same (a dataset's digest; a raw file's size and time of change);
    `digest` goes to the manifest and follows from the content alone. For raw files it is empty until the tasks have
    read them: then `Stage.finish` names it.
    """

    name: str
    identity: str
    digest: str = ""


@dataclass(frozen=True)
class Phase:
    """A list of independent tasks with a barrier after it."""

    name: str
    tasks: int


@dataclass(frozen=True)
class Unit:
    """Tasks whose results follow from `key` alone, as (phase, index); the first of them writes their shard."""

    key: str
    tasks: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Estimate:
    """What a stage will need: `memory` bytes of data state per task, `disk` bytes below the output."""

    memory: int
    disk: int


class Stage(ABC):
    """A frozen, picklable dataclass. It is pickled for every task, so it holds paths, never data."""

    kind: ClassVar[str]
    """The kind of dataset it makes."""
    unit: ClassVar[str]
    """The unit of its accounting, for example `records` or `documents`."""
    explained: ClassVar[Mapping[str, str]] = {}
    """What reasons mean that do not say it themselves, for what is printed at the end."""
    default_max_drop: ClassVar[float] = 1.0
    """The greatest `removed_share` that is no alarm where the user gives no `--max-drop`."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of its command and of the manifest's `stage`."""

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: a task works out by itself what is cached."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(cast(Any, self))}

    def __reduce__(self) -> tuple[Any, ...]:
        """The plug-in files first: where the stage is unpickled they are loaded before anything of them is needed."""
        return _restored, (loaded_plugins(), type(self), self.__getstate__())

    @abstractmethod
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration as JSON values: all that decides the output besides the inputs."""

    def whole_config(self) -> dict[str, Any]:
        """The configuration, with the digests of the plug-in files that the stage or a part of it comes from."""
        digests = plugin_digests(self)
        return dict(self.config()) | ({"plugins": digests} if digests else {})

    @abstractmethod
    def inputs(self) -> tuple[InputRef, ...]:
        """The inputs, in order."""

    @abstractmethod
    def phases(self) -> tuple[Phase, ...]:
        """The phases; the number of tasks follows from inputs and configuration, never from workers or memory."""

    @abstractmethod
    def run(self, phase: str, index: int, task: Task) -> None:
        """Do one task. All it writes goes through `task`."""

    def finish(self, commit: Commit) -> None:
        """Add to the manifest (`commit.extra`) and to the side files once all tasks are done."""

    def check(self) -> None:
        """Raise what is wrong with settings and inputs together, before anything is written."""

    def removed_share(self, output: Path) -> float | None:
        """The share of its text's bytes that the stage itself removed, from the side files of `output`; None where that
        is not reckoned."""
        return None

    def begin(self, work: Path) -> None:
        """Leave in the working folder what every task needs to know and is found out once; called before the tasks."""

    @abstractmethod
    def input_paths(self) -> tuple[Path, ...]:
        """Where the inputs lie, so that an output cannot be written over them."""

    def shard_phase(self) -> str:
        """The phase whose tasks write the shards of the output, in task order; empty for all."""
        return ""

    def units(self, results: Mapping[str, Sequence[TaskResult]] | None = None) -> list[Unit]:
        """The tasks whose results follow from a part of the input, which a run with other inputs can take over
        (`reuse.py`); none by default. `results` are those of this run, where it is done."""
        return []

    def input_bytes(self) -> int:
        """Bytes of data to go through, for progress; 0 where unknown."""
        return 0

    def task_bytes(self, phase: Phase) -> Sequence[float]:
        """Bytes of data that each task of a phase goes through, for progress; empty where they are about alike or
        unknown."""
        return ()

    def estimate(self) -> Estimate:
        """Memory per task and disk; by default that of a pass from shard to shard."""
        return Estimate(memory=64_000_000, disk=self.input_bytes())

    def notice(self) -> str:
        """What the user should know before the stage starts; empty where there is nothing."""
        return ""

    def remedy(self, reasons: Sequence[str]) -> str:
        """What to change in the settings where so much is set aside or dropped for these reasons, as the error says it;
        empty where there is nothing to be said of them."""
        return ""

    def may_be_empty(self) -> bool:
        """Whether a result without rows is a success."""
        return False

    def resolve_digests(self, names: Collection[str]) -> Mapping[str, str]:
        """Digests of these inputs, whose `digest` is empty; only asked to tell whether a finished output still holds."""
        return {}

    def seed(self) -> int | None:
        """The seed, where there is one."""
        value = self.config().get("seed")
        return value if isinstance(value, int) else None


def _restored(plugins: tuple[Plugin, ...], kind: type[Stage], state: dict[str, Any]) -> Stage:
    """A stage from its pickle; the plug-ins were loaded when they were unpickled."""
    stage = object.__new__(kind)
    stage.__dict__.update(state)
    return stage
