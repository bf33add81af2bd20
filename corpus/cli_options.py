"""Click options from configuration dataclasses, for both programs, and what their options have in common.

`--help` of a program imports this module: nothing heavy may come with it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from corpus.config import Option, options_of
from corpus.errors import UsageError
from corpus.option import Bounds, nearest
from corpus.quantity import Kind, format_quantity, parse_float, parse_quantity

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]
_ANY = Bounds()


class Quantity(click.ParamType[int]):
    """A whole number with an optional unit, of a kind: 300, 10B, 1.4T of counts, 256MB, 4GiB of bytes."""

    name = "number"

    def __init__(self, kind: Kind, bounds: Bounds = _ANY) -> None:
        self.kind = kind
        self.bounds = bounds
        self.name = "bytes" if kind == "bytes" else "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = parse_quantity(value, self.kind)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        problem = self.bounds.problem(number)
        if problem:
            self.fail(f"{value} is out of range: {problem}.", param, ctx)
        return number


class Number(click.ParamType[float]):
    """A decimal number: 0.1, 3e-4, 5%."""

    name = "number"

    def __init__(self, bounds: Bounds = _ANY) -> None:
        self.bounds = bounds

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = parse_float(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        problem = self.bounds.problem(number)
        if problem:
            self.fail(f"{value} is out of range: {problem}.", param, ctx)
        return number


def config_options(
    *configs: type[Any], without: tuple[str, ...] = (), required: bool = True
) -> Callable[[Command], Command]:
    """One option per documented field of the dataclasses but those `without`; an earlier one hides its namesake.

    With `required` False none has to be on the command line: a file may have it.
    """

    def decorate(command: Command) -> Command:
        options: dict[str, Decorator] = {}
        for config in configs:
            for name, entry in options_of(config).items():
                if name not in options and name not in without:
                    options[name] = _click_option(entry, name, required)
        gone = {key: why for config in configs for key, why in getattr(config, "removed", {}).items()}
        return apply(command, [*options.values(), *(removed_option(key, why) for key, why in gone.items())])

    return decorate


def field_option(config: type[Any], name: str, dest: str = "") -> Decorator:
    """The option of one field; the command gets its value as `dest`."""
    return _click_option(options_of(config)[name], dest or name, True)


def prefixed_options(config: type[Any], prefix: str) -> list[Decorator]:
    """One option per documented field, its flag and the name of its value with a prefix: `--ray-address`, `ray_address`.
    None where it is not given."""
    found = []
    for name, entry in options_of(config).items():
        named = dataclasses.replace(entry, flag=f"--{prefix}-{name.replace('_', '-')}", default=None)
        found.append(_click_option(named, f"{prefix}_{name}", False))
    return found


def build_config(config: type[Any], values: Mapping[str, Any]) -> Any:
    """The dataclass from the values that click parsed."""
    names = options_of(config)
    return config(**{name: value for name, value in values.items() if name in names and value is not None})


def removed_option(name: str, why: str) -> Decorator:
    """A hidden option that says what came in its place."""
    flag = "--" + name.replace("_", "-")

    def refuse(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            raise UsageError(f"{flag} is no option of this command any more: {why}.")

    return click.option(flag, name, hidden=True, expose_value=False, callback=refuse)


def output_option(help: str = "Directory to write.", *, required: bool = True, file: bool = False) -> Decorator:
    """`--output` and `-o`, as text."""
    kind = click.Path(file_okay=file, dir_okay=not file)
    return click.option("--output", "-o", required=required, type=kind, help=help)


def quiet_option() -> Decorator:
    """`--quiet`."""
    return click.option("--quiet", is_flag=True, help="Print errors only.")


def json_option(help: str = "Print the result as one JSON object.") -> Decorator:
    """`--json`, as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help=help)


def print_json(value: Mapping[str, Any]) -> None:
    """Print a result for programs: one JSON object on standard output, on a line of its own."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


def apply(command: Command, options: list[Decorator]) -> Command:
    """The command with options, which its help lists in this order."""
    for option in reversed(options):
        command = option(command)
    return command


class Group(click.Group):
    """A group whose unknown commands and options, and those of its commands, are answered with the nearest name."""

    examples: Mapping[str, Sequence[str]] | None = None
    """What the help of a command ends with, by the command's name."""

    def with_examples(self, command: click.Command | None, name: str, key: str = "") -> click.Command | None:
        """The command with the examples of `key` (its name) below its help, and what its numbers may be."""
        if command is not None and self.examples is not None and not command.epilog:
            lines = [line.replace("{name}", name) for line in self.examples.get(key or name, ())]
            command.epilog = "\n\n".join(filter(None, [_paragraph("Examples:", lines), _units(command)]))
        return command

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self.with_examples(super().get_command(ctx, cmd_name), cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-"):
            raise click.UsageError(f"there is no command '{args[0]}': {nearest(args[0], names)}", ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise self._unknown(error) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            raise self._unknown(error) from None

    def further_names(self, command: str) -> list[str]:
        """What else than its options can be said on the command line of a command, for an unknown option."""
        return []

    def _unknown(self, error: click.NoSuchOption) -> click.UsageError:
        assert error.ctx is not None
        command, given = error.ctx.command, error.option_name
        own = [flag for entry in command.params if not getattr(entry, "hidden", False) for flag in entry.opts]
        known = [flag for flag in own if flag.startswith("--")] + self.further_names(command.name or "")
        hint = f"give {_SUCCESSORS[given]} instead." if given in _SUCCESSORS else nearest(given, known)
        if hint.startswith("known"):
            hint = f"{error.ctx.command_path} --help lists them."
        return click.UsageError(f"there is no option '{given}': {hint}", error.ctx)


def _paragraph(title: str, lines: Sequence[str]) -> str:
    """Lines that the help leaves as they are."""
    return "\b\n" + "\n".join([title, *(f"  {line}" for line in lines)]) if lines else ""


def _units(command: click.Command) -> str:
    """What the numbers of a command's options may be, where it has any."""
    kinds = [entry.type for entry in command.params]
    said = [
        (any(isinstance(kind, Quantity) and kind.kind == "count" for kind in kinds), "counts 300, 2K, 10M, 1.4T"),
        (any(isinstance(kind, Quantity) and kind.kind == "bytes" for kind in kinds), "bytes 256MB, 4GB, 4GiB"),
        (any(isinstance(kind, Number) for kind in kinds), "decimals and shares 0.1, 3e-4, 5%"),
    ]
    units = "; ".join(text for there, text in said if there)
    return f"Units: {units}." if units else ""


_SUCCESSORS: Mapping[str, str] = {
    "--keep-abstract": "--preset full",
    "--tensorboard": "--logger tensorboard",
}
"""What to give for options that are gone."""


def _click_option(entry: Option, dest: str, required: bool) -> Decorator:
    """The click option of a documented field."""
    missing = entry.default is dataclasses.MISSING
    default = None if missing else entry.default
    flags = [entry.flag, "-o"] if entry.flag == "--output" else [entry.flag]
    doc = entry.doc[:1].upper() + entry.doc[1:]
    doc = doc if doc.endswith((".", ")")) else doc + "."
    metavar = entry.metavar or None
    if entry.kind is bool:
        flag = f"{entry.flag}/--no-{entry.flag[2:]}"
        return click.option(flag, dest, default=default, show_default=True, help=doc)
    if entry.kind is tuple:
        values: tuple[Any, ...] = tuple(default) if isinstance(default, tuple | list) else ()
        shown = ", ".join(map(str, values)) or "none"
        return click.option(
            entry.flag,
            dest,
            multiple=True,
            default=values,
            show_default=shown,
            help=f"{doc} (repeatable)",
            metavar=metavar,
        )
    return click.option(
        *flags,
        dest,
        type=_click_type(entry),
        required=required and missing,
        show_default=_shown_default(entry, default),
        help=doc,
        metavar=metavar,
        **({} if missing else {"default": default}),  # click takes a default of None for a value that is given
    )


def _click_type(entry: Option) -> Any:
    if entry.choices:
        return click.Choice([str(choice) for choice in entry.choices])
    if entry.kind is int:
        return Quantity(entry.unit, entry.bounds)
    if entry.kind is float:
        return Number(entry.bounds)
    return click.Path(path_type=Path) if entry.kind is Path else entry.kind


def _shown_default(entry: Option, default: Any) -> bool | str:
    if entry.kind is int and isinstance(default, int) and entry.unit == "bytes":
        return format_quantity(default, "bytes")
    return default not in (None, "")
