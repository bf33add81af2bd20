"""The options that mean the same for every stage, and those of configuration dataclasses (`corpus.cli_options`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from corpus.cli_options import (
    Command,
    Number,
    Quantity,
    apply,
    build_config,
    config_options,
    json_option,
    prefixed_options,
    print_json,
    quiet_option,
)
from corpus.config import option_names
from corpus.engine.executors.registry import EXECUTORS, check_executor, executor_options
from corpus.errors import UsageError
from corpus.option import Bounds
from corpus.system import cores

if TYPE_CHECKING:
    from corpus.data.manifest import Manifest

__all__ = [
    "build_config",
    "cache_option",
    "config_options",
    "drop_alarm",
    "execution_options",
    "existing",
    "run_options",
    "show_result",
    "stage_options",
    "unreadable_alarm",
]


def stage_options(command: Command) -> Command:
    """The execution options, which decide no byte of the output. They stand last in the help: a command's own go first."""
    options = [
        *execution_options(),
        json_option("Print what came of it as one JSON object."),
    ]
    return apply(command, options)


def execution_options() -> list[Callable[[Any], Any]]:
    """How to run: --workers, --executor and what it takes, --memory, --overwrite, --strict, --quiet."""
    return [
        click.option(
            "--workers",
            type=Quantity("count", Bounds(least=1)),
            default=cores(),
            show_default="cores",
            help="Processes to use.",
        ),
        click.option(
            "--execution",
            metavar="FILE.yaml",
            help="A file that says how to run, and what single stages are given (docs/cluster.md); options go before it.",
        ),
        click.option(
            "--executor",
            show_default="local",
            metavar="NAME",
            callback=lambda ctx, param, value: value and check_executor(value),
            help=f"Where tasks run: {', '.join(EXECUTORS)}.",
        ),
        click.option(
            "--cpus-per-task",
            type=Quantity("count", Bounds(least=1)),
            default=1,
            show_default=True,
            help="Cores that are reserved for a task, on a cluster.",
        ),
        click.option(
            "--memory-per-task",
            type=Quantity("bytes", Bounds(least=1)),
            help="Memory that is reserved for a task, on a cluster. Default: its part of --memory and 1 GB.",
        ),
        *(option for name in EXECUTORS.builtin() for option in prefixed_options(executor_options(name), name)),
        click.option(
            "--memory",
            type=Quantity("bytes", Bounds(least=1)),
            default="4GB",
            show_default=True,
            help="Data held in memory by all workers.",
        ),
        click.option(
            "--overwrite",
            is_flag=True,
            help="Throw an output away that has other settings or inputs, or that is damaged.",
        ),
        click.option("--strict", is_flag=True, help="Stop at the first record that cannot be read."),
        quiet_option(),
    ]


def cache_option(command: Command) -> Command:
    """--cache, of what reads raw files."""
    option = click.option(
        "--cache",
        default="",
        metavar="DIR",
        help="Keep remote raw files here, for later runs. Default: they are streamed.",
    )
    return apply(command, [option])


def unreadable_alarm(command: Command) -> Command:
    """--max-unreadable, of what reads raw records."""
    return _alarm(command, "--max-unreadable", "5%, from 100 records on", "of the records cannot be read")


def drop_alarm(command: Command) -> Command:
    """--max-drop, of what drops documents."""
    return _alarm(
        command,
        "--max-drop",
        "90% of the text in dedup, else none",
        "of the documents, in dedup of their text, is dropped",
    )


def _alarm(command: Command, flag: str, default: str, what: str) -> Command:
    option = click.option(
        flag,
        type=Number(Bounds(least=0, most=1)),
        show_default=default,
        metavar="SHARE",
        help=f"Alarm: exit 1 before the output is finished where a greater share {what}.",
    )
    return apply(command, [option])


def run_options(values: dict[str, Any]) -> Any:
    """The `RunOptions` of the execution options, those of the file of --execution, and alarms."""
    from corpus.engine.alarms import Alarms
    from corpus.engine.execution import Execution, load_execution
    from corpus.engine.runner import RunOptions
    from pipelines.recipes.registry import stage_names

    execution = load_execution(values["execution"]) if values["execution"] else Execution()
    execution.check_stages(stage_names())
    executor = values["executor"] or execution.executor or "local"
    resources = {name: values[name] for name in ("workers", "memory", "cpus_per_task", "memory_per_task")}
    given = {name: value for name, value in resources.items() if _is_given(name)}
    resolved = execution.resolve(executor, given, _own_options(values, executor))
    return RunOptions(
        **{**resources, **resolved},
        overwrite=values["overwrite"],
        strict=values["strict"],
        quiet=values["quiet"],
        alarms=Alarms(values.get("max_unreadable"), values.get("max_drop")),
    )


def _is_given(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source not in (None, ParameterSource.DEFAULT)


def _own_options(values: dict[str, Any], chosen: str) -> dict[str, Any]:
    """The options of the chosen executor that are given; a UsageError where one of another executor is."""
    for name in EXECUTORS.builtin():
        for field in option_names(executor_options(name)):
            if name != chosen and values[f"{name}_{field}"] is not None:
                flag = f"--{name}-{field.replace('_', '-')}"
                raise UsageError(
                    f"{flag} is of executor {name}, and {chosen} is chosen: give --executor {name} or leave it out."
                )
    own = {field: values.get(f"{chosen}_{field}") for field in option_names(executor_options(chosen))}
    return {field: value for field, value in own.items() if value is not None}


def show_result(
    values: Mapping[str, Any], output: str | Path, manifest: Manifest, lines: Callable[[], Iterable[str]] | None = None
) -> None:
    """Print what a stage came to: with --json its output, counts, totals and what else its manifest says; without, the
    `lines`; with --quiet neither."""
    if values["as_json"]:
        print_json(result_json(output, manifest))
    elif lines is not None and not values["quiet"]:
        for line in lines():
            click.echo(line)


def result_json(output: str | Path, manifest: Manifest) -> dict[str, Any]:
    """A finished output as JSON values; `bytes` are those of its shards."""
    return {
        "output": str(output),
        "stage": manifest.stage,
        "kind": manifest.kind,
        "rows": manifest.rows,
        "bytes": sum(shard.bytes for shard in manifest.shards),
        "counts": {unit: counts.to_json() for unit, counts in manifest.counts.items()},
        "totals": dict(manifest.totals),
        "extra": dict(manifest.extra),
    }


def existing(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Positional inputs; one that does not exist is a UsageError."""
    for path in paths:
        if not os.path.exists(path):
            raise UsageError(f"{path} does not exist: check the path.")
    return paths
