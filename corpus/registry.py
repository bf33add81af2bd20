"""Registries of what can be named: built-in entries, entry points of installed packages, and plug-in files."""

from __future__ import annotations

import importlib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from typing import Any

from corpus.errors import UsageError
from corpus.option import nearest

_BUILT_IN = "built-in"


@dataclass(frozen=True)
class Origin:
    """Where an entry comes from: `source` is built-in, a package and its version, or the path of a plug-in file; the
    object is `module:attribute`, empty for that of a file."""

    source: str
    target: str = ""


class Registry(Mapping[str, Origin]):
    """Names and where what they stand for comes from. A module is imported when it is asked for.

    `what` says what the names are, for messages; `group` is the group of entry points by which installed packages add
    theirs. A name that is built in, or `reserved` since it means something else in the same place, can be taken neither
    by a package nor by a file; of two packages that have the same name, the first by its own name has it.
    """

    def __init__(self, what: str, group: str, builtin: Mapping[str, str], reserved: Container[str] = ()) -> None:
        self.what = what
        self.group = group
        self._builtin = dict(builtin)
        self._reserved = reserved
        self._added: dict[str, tuple[Any, str]] = {}

    @cached_property
    def _points(self) -> list[metadata.EntryPoint]:
        return sorted(metadata.entry_points(group=self.group), key=lambda point: (_package(point), point.name))

    @cached_property
    def _installed(self) -> dict[str, metadata.EntryPoint]:
        found: dict[str, metadata.EntryPoint] = {}
        for point in self._points:
            if point.name not in self._builtin and point.name not in self._reserved:
                found.setdefault(point.name, point)
        return found

    def __getitem__(self, name: str) -> Origin:
        if name in self._builtin:
            return Origin(_BUILT_IN, self._builtin[name])
        if name in self._added:
            return Origin(self._added[name][1])
        point = self._installed[name]
        return Origin(_package(point), point.value)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._builtin, **self._installed, **self._added})

    def __len__(self) -> int:
        return len(list(iter(self)))

    def builtin(self) -> tuple[str, ...]:
        """The built-in names."""
        return tuple(self._builtin)

    def hidden(self) -> list[tuple[str, Origin]]:
        """Entries of installed packages that are not used, because their names are taken."""
        return [(p.name, Origin(_package(p), p.value)) for p in self._points if self._installed.get(p.name) is not p]

    def taken(self, name: str, source: str) -> bool:
        """Whether the file `source` cannot add `name`."""
        if name in self._added:
            return self._added[name][1] != source
        return name in self._builtin or name in self._reserved or name in self._installed

    def add(self, name: str, value: Any, source: str) -> None:
        """Add an entry of the plug-in file `source`; a UsageError where the name is taken."""
        if self.taken(name, source):
            raise UsageError(f"{source} adds the {self.what} '{name}', a name that is taken: give it another one.")
        self._added[name] = (value, source)

    def remove(self, source: str) -> None:
        """Forget the entries of a plug-in file."""
        self._added = {name: entry for name, entry in self._added.items() if entry[1] != source}

    def load(self, name: str) -> Any:
        """What `name` stands for; an unknown one is a UsageError with the nearest name."""
        if name in self._builtin:
            module, _, attribute = self._builtin[name].partition(":")
            return getattr(importlib.import_module(module), attribute)
        if name in self._added:
            return self._added[name][0]
        if name not in self._installed:
            raise UsageError(f"there is no {self.what} '{name}': {nearest(name, self)}")
        point = self._installed[name]
        try:
            return point.load()
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UsageError(
                f"the {self.what} '{name}' of {_package(point)} cannot be imported ({reason}): fix or uninstall it."
            ) from error


def _package(point: metadata.EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown package"
