"""The executors by name. A module is imported when its executor is used."""

from __future__ import annotations

import importlib

from corpus.engine.executors.base import Executor
from corpus.errors import UsageError
from corpus.option import nearest

EXECUTORS: dict[str, str] = {"local": "corpus.engine.executors.local:LocalExecutor"}
"""By the name that `--executor` takes: module and class, imported when it is used."""


def executor_class(name: str) -> type[Executor]:
    """The executor of this name; a UsageError with the nearest name if there is none."""
    check_executor(name)
    module, _, attribute = EXECUTORS[name].partition(":")
    found = getattr(importlib.import_module(module), attribute)
    assert isinstance(found, type) and issubclass(found, Executor), found
    return found


def check_executor(name: str) -> str:
    """The name; a UsageError with the nearest name if no executor has it."""
    if name not in EXECUTORS:
        raise UsageError(f"there is no executor '{name}': {nearest(name, EXECUTORS)}")
    return name
