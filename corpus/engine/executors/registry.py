"""The executors by name. A module is imported when its executor is used, or its options are."""

from __future__ import annotations

from typing import Any

from corpus.engine.executors.base import Executor
from corpus.errors import UsageError
from corpus.option import nearest
from corpus.registry import Registry

EXECUTORS = Registry(
    "executor",
    "corpusmill.executors",
    {
        "local": "corpus.engine.executors.local:LocalExecutor",
        "ray": "corpus.engine.executors.ray:RayExecutor",
        "slurm": "corpus.engine.executors.slurm.executor:SlurmExecutor",
    },
)
"""By the name that `--executor` takes: classes of `Executor`."""


def executor_class(name: str) -> type[Executor]:
    """The executor of this name; a UsageError with the nearest name if there is none."""
    found = EXECUTORS.load(check_executor(name))
    if not (isinstance(found, type) and issubclass(found, Executor)):
        raise UsageError(
            f"the executor '{name}' of {EXECUTORS[name].source} is no class of Executor: derive it from that."
        )
    return found


def executor_options(name: str) -> type[Any]:
    """The class of an executor's own options."""
    return executor_class(name).options


def check_executor(name: str) -> str:
    """The name; a UsageError with the nearest name if no executor has it."""
    if name not in EXECUTORS:
        raise UsageError(f"there is no executor '{name}': {nearest(name, EXECUTORS)}")
    return name
