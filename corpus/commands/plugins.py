"""`--plugin FILE.py`, `corpus plugins`, and commands that are made from the entries of a registry."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import click

from corpus.cli_options import Group, json_option, output_option, print_json
from corpus.config import options_of
from corpus.errors import UsageError
from corpus.examples import EXAMPLES
from corpus.option import nearest
from corpus.plugins import load_plugins, registry
from corpus.registry import Registry

Command = TypeVar("Command", bound=Callable[..., Any])
_TITLES = {
    "READERS": "readers",
    "MAPS": "document maps",
    "RULES": "filter rules",
    "STAGES": "stages",
    "SOURCES": "sources of raw files",
    "FAMILIES": "model families",
    "EXECUTORS": "executors",
}
_HELP = "A Python file that adds readers, maps, rules, stages, model families or executors. (repeatable)"


def _load(context: click.Context, parameter: click.Parameter, paths: tuple[str, ...]) -> None:
    load_plugins(paths)


def plugin_option(command: Command) -> Command:
    """--plugin, which loads its files before the other options are looked at."""
    return click.option(
        "--plugin", multiple=True, metavar="FILE.py", is_eager=True, expose_value=False, callback=_load, help=_HELP
    )(command)


class RegistryGroup(Group):
    """A group with a command for each entry of a registry, of plug-ins too: `--plugin` can stand anywhere."""

    def __init__(self, *args: Any, table: str, make: Callable[[str, Any], click.Command], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = table
        self._make = make
        self.examples = EXAMPLES

    @property
    def registry(self) -> Registry:
        """The registry."""
        return registry(self._table)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # the files decide which commands there are
        load_plugins(_plugin_paths(args))
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.registry)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.registry:
            return None
        command = plugin_option(self._make(cmd_name, self.registry.load(cmd_name)))
        return self.with_examples(command, cmd_name, f"{self.name} NAME")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.registry and not args[0].startswith("-"):
            hint = nearest(args[0], self.registry)
            raise click.UsageError(f"there is no {self.registry.what} '{args[0]}': {hint}", ctx)
        return super().resolve_command(ctx, args)


def _plugin_paths(args: Sequence[str]) -> Iterator[str]:
    for number, arg in enumerate(args):
        if arg == "--":
            return
        if arg == "--plugin" and number + 1 < len(args):
            yield args[number + 1]
        elif arg.startswith("--plugin="):
            yield arg.removeprefix("--plugin=")


def _map_command(name: str, config: type[Any]) -> click.Command:
    from corpus.commands.options import (
        build_config,
        config_options,
        drop_alarm,
        existing,
        run_options,
        show_result,
        stage_options,
    )
    from corpus.engine.document_map import maps_of
    from corpus.engine.document_stage import MapStage
    from corpus.engine.runner import run_stage

    @click.argument("documents", nargs=-1, required=True, metavar="DOCS…")
    @output_option()
    @config_options(config)
    @stage_options
    @drop_alarm
    def command(documents: tuple[str, ...], output: str, **values: Any) -> None:
        maps = maps_of(build_config(config, values))
        stage = MapStage(existing(documents), name, maps=maps)
        show_result(values, output, run_stage(stage, output, run_options(values)))

    return click.command(name, help=first_line(config))(command)


@click.command("map", cls=RegistryGroup, table="MAPS", make=_map_command, subcommand_metavar="NAME DOCS… --output DIR")
@plugin_option
def map_() -> None:
    """Run one document map over documents; its settings are the options of its command."""


@click.command()
@click.argument("name", required=False)
@plugin_option
@json_option("Print the lists as one JSON object.")
def plugins(name: str | None, as_json: bool) -> None:
    """List readers, maps, rules, stages, model families and executors: their names, where they are from, what they do. With
    NAME: the settings of that one, with their defaults.

    They are built in, of installed packages (by entry points), or of the files of --plugin.
    """
    if name is not None:
        _show_settings(name, as_json)
        return
    if as_json:
        print_json({table.lower(): _entries(registry(table)) for table in _TITLES})
        return
    for table, title in _TITLES.items():
        found = registry(table)
        click.echo(f"{title} ({table}; entry points {found.group})")
        for entry, origin in found.items():
            click.echo(f"  {entry:20} {origin.source:20} {_says(found, entry)}")
        for entry, origin in found.hidden():
            click.echo(f"  {entry:20} {origin.source:20} is not used: the name is taken")


def _show_settings(name: str, as_json: bool) -> None:
    """Print what an entry does and its settings, of each registry that has one of this name."""
    tables = [table for table in _TITLES if name in registry(table)]
    if not tables:
        known = [entry for table in _TITLES for entry in registry(table)]
        raise UsageError(f"there is no '{name}' in any list of corpus plugins: {nearest(name, known)}")
    entries = {table.lower(): _settings(registry(table).load(name)) for table in tables}
    if as_json:
        print_json({table: {"name": name, "settings": settings} for table, settings in entries.items()})
        return
    for table in tables:
        click.echo(f"{name} ({_TITLES[table]}): {_says(registry(table), name)}")
        for setting in entries[table.lower()]:
            default = "required" if setting["required"] else json.dumps(setting["default"], default=str)
            click.echo(f"  {setting['name']:20} {default:14} {setting['doc']}")


def _settings(value: Any) -> list[dict[str, Any]]:
    """The documented fields of an entry of a registry: name, default, whether it must be given, and what it means."""
    config = getattr(value, "config", None)
    config = config if isinstance(config, type) else value
    if not (isinstance(config, type) and dataclasses.is_dataclass(config)):
        return []
    return [
        {
            "name": entry.name,
            "required": (required := entry.default is dataclasses.MISSING),
            "default": None if required else entry.default,
            "doc": entry.doc,
        }
        for entry in options_of(config).values()
    ]


def _entries(found: Registry) -> list[dict[str, Any]]:
    """The entries of a registry as JSON values; `used` is false where another one has the name."""
    entries = [
        {"name": name, "from": origin.source, "used": True, "doc": _says(found, name)} for name, origin in found.items()
    ]
    return entries + [{"name": name, "from": origin.source, "used": False} for name, origin in found.hidden()]


def _says(found: Registry, name: str) -> str:
    try:
        return first_line(found.load(name))
    except UsageError as error:
        return error.message


def first_line(value: Any) -> str:
    """The first sentence of what an entry of a registry says of itself."""
    if isinstance(value, Mapping):
        return ", ".join(map(str, value))
    for holder in (value, getattr(value, "config", None)):
        doc = getattr(holder, "doc", None) or (getattr(holder, "__doc__", None) if isinstance(holder, type) else None)
        if isinstance(doc, str) and doc.strip():
            paragraph = " ".join(doc.strip().split("\n\n")[0].split())
            return paragraph.partition(". ")[0].rstrip(".")
    return ""
