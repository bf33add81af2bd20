"""Registries of what can be named: built-in entries, entry points of installed packages, and plug-in files."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import metadata
from typing import Any

from corpus.errors import UsageError
from corpus.option import nearest


class Registry(Mapping[str, str]):
    """Names and where what they stand for is found, as `module:attribute`. A module is imported when it is asked for.

    `what` says what the names are, for messages; `group` is the group of entry points by which installed packages add
    theirs. A name that is built in cannot be taken by another package.
    """

    def __init__(self, what: str, group: str, builtin: Mapping[str, str]) -> None:
        self.what = what
        self.group = group
        self._builtin = dict(builtin)
        self._added: dict[str, tuple[Any, str]] = {}

    @cached_property
    def _installed(self) -> dict[str, str]:
        return {point.name: point.value for point in metadata.entry_points(group=self.group)}

    @property
    def _entries(self) -> dict[str, str]:
        return self._installed | {name: where for name, (_, where) in self._added.items()} | self._builtin

    def __getitem__(self, name: str) -> str:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, name: str, value: Any, where: str) -> None:
        """Add an entry of a plug-in file, which `where` names; a UsageError where the name is taken."""
        if name in self._builtin or self._added.get(name, (None, where))[1] != where:
            raise UsageError(f"{where} adds the {self.what} '{name}', a name that is taken: give it another one.")
        self._added[name] = (value, where)

    def load(self, name: str) -> Any:
        """What `name` stands for; an unknown one is a UsageError with the nearest name."""
        if name in self._added and name not in self._builtin:
            return self._added[name][0]
        if name not in self:
            raise UsageError(f"there is no {self.what} '{name}': {nearest(name, self)}")
        module, _, attribute = self[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
