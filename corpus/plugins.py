"""Plug-in files: Python files outside of any package that add readers, maps, rules, stages, model families and executors.

A file names what it adds in tables of its module, as `READERS = {"lines": LinesReader}`. It is imported under a name made
from its digest, and goes with every stage to the workers, source and all, so that they need not find it.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import xxhash

from corpus.errors import UsageError
from corpus.option import nearest
from corpus.registry import Registry

TABLES: Mapping[str, str] = {
    "READERS": "pipelines.readers.registry:READERS",
    "MAPS": "pipelines.recipes.registry:MAPS",
    "RULES": "corpus.quality.filter:RULES",
    "STAGES": "pipelines.recipes.registry:STAGES",
    "SOURCES": "pipelines.download.registry:SOURCES",
    "FAMILIES": "trainer.config.families.registry:FAMILIES",
    "EXECUTORS": "corpus.engine.executors.registry:EXECUTORS",
}
"""The tables of a plug-in file, and where the registries are that they are added to."""
_DATACLASSES = ("READERS", "MAPS", "RULES", "SOURCES")
"""Tables of frozen dataclasses, whose fields are settings."""
_PREFIX = "corpusmill_plugin_"


@dataclass(frozen=True)
class Plugin:
    """A plug-in file as it was when it was loaded. Where it is unpickled, it is loaded too."""

    path: str
    source: bytes

    @cached_property
    def digest(self) -> str:
        """xxh3-128 of the file."""
        return xxhash.xxh3_128_hexdigest(self.source)

    @property
    def module(self) -> str:
        """The name under which it is imported."""
        return _PREFIX + self.digest

    @property
    def name(self) -> str:
        """The name of the file, without its folder."""
        return Path(self.path).name

    def __reduce__(self) -> tuple[Any, ...]:
        return load_source, (self.path, self.source)


_loaded: dict[str, Plugin] = {}
"""The loaded plug-ins by their modules."""


def registry(table: str) -> Registry:
    """The registry that a table of plug-in files is added to."""
    module, _, attribute = TABLES[table].partition(":")
    found = getattr(importlib.import_module(module), attribute)
    assert isinstance(found, Registry)
    return found


def load_plugins(paths: Iterable[Path | str]) -> None:
    """Load plug-in files, each once. One that cannot be used is a UsageError that says why."""
    for path in paths:
        try:
            source = Path(path).read_bytes()
        except OSError as error:
            raise UsageError(f"the plug-in {path} cannot be read ({error.strerror}): give a Python file.") from None
        load_source(os.path.abspath(path), source)


def load_source(path: str, source: bytes) -> Plugin:
    """Import the plug-in `source` of the file `path` and register what it adds, unless that is done already.

    A file that was loaded before and has changed takes the place of the former one.
    """
    plugin = Plugin(path, source)
    if plugin.module in _loaded:
        return _loaded[plugin.module]
    for other in _loaded.values():
        if other.name == plugin.name and other.path != plugin.path:
            raise UsageError(f"the plug-ins {other.path} and {path} have the same file name: rename one of them.")
    module = _imported(plugin)
    try:
        _register(plugin, module)
    except UsageError:
        del sys.modules[plugin.module]
        raise
    for name in [name for name, other in _loaded.items() if other.path == path]:
        del _loaded[name]
    _loaded[plugin.module] = plugin
    return plugin


def loaded_plugins() -> tuple[Plugin, ...]:
    """The plug-ins that are loaded."""
    return tuple(_loaded.values())


def plugin_digests(value: object) -> dict[str, str]:
    """The digests, by file name, of the plug-ins that anything in `value` comes from: an object of one of their classes, a
    function, or a dataclass, list or mapping that holds one."""
    if not _loaded:
        return {}
    modules = {module for module in _modules(value) if module in _loaded}
    return {_loaded[module].name: _loaded[module].digest for module in sorted(modules, key=lambda m: _loaded[m].name)}


def _modules(value: object) -> Iterator[str]:
    """The modules of the classes and functions that a value is made of."""
    for kind in (value if isinstance(value, type) else type(value)).__mro__:
        yield kind.__module__
    if callable(value):
        yield str(getattr(value, "__module__", ""))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _modules(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _modules(entry)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for entry in value:
            yield from _modules(entry)


def _imported(plugin: Plugin) -> ModuleType:
    module = ModuleType(plugin.module)
    module.__file__ = plugin.path
    sys.modules[plugin.module] = module
    try:
        exec(compile(plugin.source, plugin.path, "exec", dont_inherit=True), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[plugin.module]
        raise UsageError(f"the plug-in {plugin.path} cannot be imported ({_reason(plugin, error)}): fix it.") from error
    return module


def _reason(plugin: Plugin, error: BaseException) -> str:
    """The error and the line of the file at which it was raised."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == plugin.path]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    what = " ".join(f"{type(error).__name__}: {getattr(error, 'msg', error)}".split())
    return f"{what}, line {lines[-1]}" if lines else what


def _register(plugin: Plugin, module: ModuleType) -> None:
    """Add what the tables of the module name to the registries: all of it or nothing."""
    tables = {name: getattr(module, name) for name in TABLES if hasattr(module, name)}
    if not tables:
        odd = [name for name in vars(module) if name.isupper()]
        hint = f" ({odd[0]}: {nearest(odd[0], TABLES)})" if odd else ""
        raise UsageError(
            f"the plug-in {plugin.path} adds nothing{hint}: name what it has in a table {', '.join(TABLES)}."
        )
    entries = []
    for table, values in tables.items():
        if not isinstance(values, Mapping):
            raise UsageError(f'the plug-in {plugin.path} has {table} = {values!r}: write {table} = {{"name": …}}.')
        target = registry(table)
        for name, value in values.items():
            _check(plugin, table, target, str(name), value)
            entries.append((target, str(name), value))
    for table in TABLES if any(other.path == plugin.path for other in _loaded.values()) else ():
        registry(table).remove(plugin.path)
    for target, name, value in entries:
        target.add(name, value, plugin.path)


def _check(plugin: Plugin, table: str, target: Registry, name: str, value: object) -> None:
    where = f"the plug-in {plugin.path} adds the {target.what} '{name}'"
    if target.taken(name, plugin.path):
        raise UsageError(f"{where}, a name that is taken: give it another one.")
    if table in _DATACLASSES:
        frozen = isinstance(value, type) and getattr(getattr(value, "__dataclass_params__", None), "frozen", False)
        if not frozen or "__dataclass_params__" not in vars(value):
            raise UsageError(f"{where}, which is no frozen dataclass: put @dataclass(frozen=True) above its class.")
    elif table == "STAGES" and not (hasattr(value, "config") and hasattr(value, "make")):
        raise UsageError(f"{where}, which is no StageKind: give its configuration and how it is made.")
    elif table == "FAMILIES" and not isinstance(value, Mapping):
        raise UsageError(f"{where}, which is no table of models: give their presets by name.")
