"""How to run, told in a file: workers, memory and the executor's options, for all stages and for some by name.

The file decides no byte and is in no manifest, like the options of the command line whose place it takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from corpus.config import build, option_names
from corpus.engine.executors.registry import EXECUTORS, check_executor, executor_class, executor_options
from corpus.errors import UsageError
from corpus.option import nearest, option

_STAGES = "stages"
_EXECUTOR = "executor"


@dataclass(frozen=True)
class Resources:
    """What a stage is given; None where the file does not say."""

    workers: int | None = option(None, "tasks at the same time", least=1)
    memory: int | None = option(None, "data held in memory by all workers", least=1, unit="bytes")
    cpus_per_task: int | None = option(None, "cores that are reserved for a task", least=1)
    memory_per_task: int | None = option(None, "memory that is reserved for a task", least=1, unit="bytes")

    def given(self) -> dict[str, int]:
        """What the file says."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Part:
    """Resources, and options of executors by the executor's name."""

    resources: Resources = Resources()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Execution:
    """An execution file."""

    path: str = ""
    executor: str = ""
    whole: Part = Part()
    stages: Mapping[str, Part] = field(default_factory=dict)
    """What some stages are given instead, by the name of the stage or `domain/stage`."""

    def check_stages(self, known: Iterable[str]) -> None:
        """A UsageError with the nearest name if it names a stage that is none of those `known`."""
        names = sorted(set(known))
        for key in self.stages:
            name = key.rpartition("/")[2]
            if name not in names:
                raise UsageError(
                    f"{self.path}: {_STAGES} names '{key}', and there is no stage '{name}'; {nearest(name, names)}"
                )

    def resolve(self, executor: str, given: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of `RunOptions`. What the caller has given goes before all of the file: an `executor` that is not empty,
        the fields `given`, and the executor's options `own`."""
        chosen = check_executor(executor or self.executor or "local")
        stages = StageFields(self, chosen, given, own)
        return {**stages.fields(), "executor": chosen, "stages": stages}


@dataclass(frozen=True)
class StageFields:
    """Fields of `RunOptions` by stage: a file, and what goes before all of it. Its items are the keys of `stages`."""

    execution: Execution = Execution()
    executor: str = "local"
    given: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.execution.stages)

    def __iter__(self) -> Iterator[str]:
        return iter(self.execution.stages)

    def of(self, name: str, domain: str) -> dict[str, Any]:
        """The fields that differ for a stage. A joined one, as langid+filter, is told what each of its steps is; what is
        said of `domain/stage` goes before what is said of the stage."""
        steps = name.split("+")
        keys = steps, [f"{domain}/{step}" for step in steps]
        levels = [[self.execution.stages[key] for key in level if key in self] for level in keys]
        return self.fields(*levels) if any(levels) else {}

    def fields(self, *levels: Sequence[Part]) -> dict[str, Any]:
        """What the whole file says, then what the `levels` say, the nearest last, then what was given."""
        resources: dict[str, Any] = {}
        options: dict[str, Any] = {}
        for level in ([self.execution.whole], *levels):
            said: dict[str, Any] = {}
            for part in level:
                said |= part.resources.given()
                options |= part.options.get(self.executor, {})
            resources = _over(resources, said)
        if not executor_class(self.executor).reserves:  # the file is for other machines, too
            resources = {name: value for name, value in resources.items() if not name.endswith("_per_task")}
        path = self.execution.path
        where = f"{path}: {self.executor}" if path else f"--{self.executor}"
        built = build(where, executor_options(self.executor), {**options, **self.own})
        return {**_over(resources, self.given), "executor_options": built}


def _over(farther: Mapping[str, Any], nearer: Mapping[str, Any]) -> dict[str, Any]:
    """What two levels come to: memory that is given nearer is not held down by what is farther off reserved for a task."""
    dropped = {"memory_per_task": None} if "memory" in nearer else {}
    return {**farther, **dropped, **nearer}


def load_execution(path: Path | str) -> Execution:
    """Read an execution file; a UsageError names what is wrong with it, and the nearest key to one that is unknown."""
    try:
        # every value as text, since 12:00:00 would be a number of base 60
        value = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise UsageError(f"the execution file {path} cannot be read ({error.strerror}): check the path.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        what = " ".join(str(error).split())
        raise UsageError(f"the execution file {path} is no YAML ({what}): mend it.") from None
    table = _table(str(path), value or {})
    executor = table.pop(_EXECUTOR, "")
    if executor != "":
        check_executor(str(executor))
    stages = _table(f"{path}: {_STAGES}", table.pop(_STAGES, {}))
    whole = _part(str(path), table, (_EXECUTOR, _STAGES))
    parts = {key: _part(f"{path}: {key}", _table(f"{path}: {key}", entry)) for key, entry in stages.items()}
    for key, part in parts.items():
        _refuse_shared(f"{path}: {key}", part)
    return Execution(str(path), str(executor), whole, parts)


class _Loader(yaml.BaseLoader):
    """Refuses a key that a table has twice, of which YAML's own takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if first.setdefault(str(key.value), line) != line:
                raise yaml.YAMLError(f"{key.value} is given twice, in lines {first[str(key.value)]} and {line}")
        return super().construct_mapping(node, deep)


def _refuse_shared(where: str, part: Part) -> None:
    """A UsageError where a stage is given its own value of what all stages of a run share."""
    for name, options in part.options.items():
        for key in sorted(executor_class(name).shared & options.keys()):
            raise UsageError(f"{where}: {name}: {key} is one for the whole run: give it outside of {_STAGES}.")


def _part(where: str, table: Mapping[str, Any], more: tuple[str, ...] = ()) -> Part:
    """The part of a file that a table is; `more` keys are taken elsewhere."""
    resources = {}
    options = {}
    for key, value in table.items():
        if key in EXECUTORS:
            options[key] = _table(f"{where}: {key}", value)
            build(f"{where}: {key}", executor_options(key), options[key])  # says what is wrong, at once
        elif key in option_names(Resources):
            resources[key] = value
        else:
            known = [*option_names(Resources), *EXECUTORS, *more]
            known += [f"{name}.{field}" for name in EXECUTORS for field in option_names(executor_options(name))]
            raise UsageError(f"{where}: unknown key '{key}'; {nearest(key, known)}")
    return Part(build(where, Resources, resources), options)


def _table(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{where} is {value!r}: give a table of settings.")
    return {
        str(key): {"true": True, "false": False}.get(entry, entry) if isinstance(entry, str) else entry
        for key, entry in value.items()
    }
