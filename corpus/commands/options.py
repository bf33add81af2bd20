"""Click options from configuration dataclasses, and the options that mean the same for every stage."""

from __future__ import annotations

import dataclasses
import os
import re
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

import click

from corpus.engine.executors.registry import EXECUTORS, check_executor
from corpus.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


class Quantity(click.ParamType[int]):
    """A whole number with an optional unit: 300, 256MB, 4GiB, 1.4T."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([kmgt]i?)?b?\s*", str(value), re.IGNORECASE)
        if match is None:
            self.fail(f"'{value}' is no number with a unit such as 256MB, 4GiB or 1.4T.", param, ctx)
        return round(float(match[1]) * _UNITS[(match[2] or "").lower()])


def stage_options(command: Command) -> Command:
    """--output and the execution options, which decide no byte of the output."""
    options = [
        click.option("--output", "-o", required=True, type=click.Path(file_okay=False), help="Directory to write."),
        *execution_options(),
    ]
    return _apply(command, options)


def execution_options() -> list[Callable[[Any], Any]]:
    """How to run: --workers, --executor, --memory, --overwrite, --strict, --quiet."""
    return [
        click.option(
            "--workers", type=click.IntRange(1), default=_cores(), show_default="cores", help="Processes to use."
        ),
        click.option(
            "--executor",
            default="local",
            show_default=True,
            metavar="NAME",
            callback=lambda ctx, param, value: check_executor(value),
            help=f"Where tasks run: {', '.join(EXECUTORS)}.",
        ),
        click.option(
            "--memory", type=Quantity(), default="4GB", show_default=True, help="Data held in memory by all workers."
        ),
        click.option("--overwrite", is_flag=True, help="Throw an output with other settings or inputs away."),
        click.option("--strict", is_flag=True, help="Stop at the first record that cannot be read."),
        click.option("--quiet", is_flag=True, help="Print errors only."),
    ]


def config_options(*configs: type[Any], without: tuple[str, ...] = ()) -> Callable[[Command], Command]:
    """One option per documented field of the dataclasses but those `without`; an earlier one hides its namesake."""

    def decorate(command: Command) -> Command:
        options: dict[str, Callable[[Any], Any]] = {}
        for config in configs:
            hints = typing.get_type_hints(config)
            for field in dataclasses.fields(config):
                if "doc" in field.metadata and field.name not in options and field.name not in without:
                    options[field.name] = _field_option(field, hints[field.name])
        gone = {key: why for config in configs for key, why in getattr(config, "removed", {}).items()}
        return _apply(command, [*options.values(), *(_removed_option(key, why) for key, why in gone.items())])

    return decorate


def _removed_option(name: str, why: str) -> Callable[[Any], Any]:
    """A hidden option that says what came in its place."""
    flag = "--" + name.replace("_", "-")

    def refuse(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            raise UsageError(f"{flag} is no option of this command any more: {why}.")

    return click.option(flag, name, hidden=True, expose_value=False, callback=refuse)


def build_config(config: type[Any], values: dict[str, Any]) -> Any:
    """The dataclass from the values that click parsed."""
    names = {field.name for field in dataclasses.fields(config) if "doc" in field.metadata}
    return config(**{name: value for name, value in values.items() if name in names and value is not None})


def run_options(values: dict[str, Any]) -> Any:
    """The `RunOptions` of the execution options."""
    from corpus.engine.runner import RunOptions

    return RunOptions(
        workers=values["workers"],
        memory=values["memory"],
        overwrite=values["overwrite"],
        strict=values["strict"],
        quiet=values["quiet"],
        executor=values["executor"],
    )


def _field_option(field: dataclasses.Field[Any], hint: Any) -> Callable[[Any], Any]:
    flag = "--" + field.name.replace("_", "-")
    required = field.default is dataclasses.MISSING
    default = None if required else field.default
    doc = field.metadata["doc"]
    optional = typing.get_origin(hint) in (typing.Union, types.UnionType)
    if optional:
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    choices = field.metadata["choices"]
    if typing.get_origin(hint) is typing.Literal:
        choices = tuple(str(value) for value in typing.get_args(hint))
    if hint is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", field.name, default=default, show_default=True, help=doc)
    if typing.get_origin(hint) is tuple:
        values: tuple[Any, ...] = tuple(default) if isinstance(default, (tuple, list)) else ()
        shown = ", ".join(map(str, values)) or "none"
        return click.option(
            flag,
            field.name,
            multiple=True,
            default=values,
            show_default=shown,
            help=f"{doc} (repeatable)",
            metavar=field.metadata["metavar"] or None,
        )
    kind: Any = click.Choice(choices) if choices else hint
    if hint is int and (field.name.endswith("_bytes") or field.name == "tokens"):
        kind = Quantity()
    shown_default: bool | str = default not in (None, "")
    metavar = field.metadata["metavar"] or None
    return click.option(
        flag,
        field.name,
        type=kind,
        default=default,
        required=required,
        show_default=shown_default,
        help=doc,
        metavar=metavar,
    )


def _apply(command: Command, options: list[Callable[[Any], Any]]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def existing(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Positional inputs; one that does not exist is a UsageError."""
    for path in paths:
        if not os.path.exists(path):
            raise UsageError(f"{path} does not exist: check the path.")
    return paths
