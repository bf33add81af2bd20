"""The commands of a program with their arguments and options, as its `--help` has them."""

from __future__ import annotations

from collections.abc import Iterator

import click

from tools.reference.markdown import cell, code, paragraphs, table


def commands_page(program: str, command: click.Command) -> str:
    """The page of a program."""
    context = click.Context(command, info_name=program)
    lines = [f"# `{program}`", *paragraphs(command.help or "")]
    if command.epilog:
        lines += paragraphs(command.epilog)
    assert isinstance(command, click.Group)
    for name, child in _children(command, context):
        lines += _section(child, click.Context(child, info_name=name, parent=context), 2)
    return "\n".join(lines) + "\n"


def _children(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(context):
        child = group.get_command(context, name)
        if child is not None and not child.hidden:
            yield name, child


def _section(command: click.Command, context: click.Context, level: int) -> list[str]:
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    lines = ["", f"{'#' * level} {context.command_path}", "", "```", usage, "```", *paragraphs(command.help or "")]
    rows = [_row(entry, context) for entry in command.get_params(context) if not _is_left_out(entry)]
    lines += table(("option", "value", "default", "what"), rows)
    if command.epilog:
        lines += paragraphs(command.epilog)
    if isinstance(command, click.Group):
        for name, child in _children(command, context):
            lines += _section(child, click.Context(child, info_name=name, parent=context), level + 1)
    return lines


def _is_left_out(entry: click.Parameter) -> bool:
    return not isinstance(entry, click.Option) or entry.hidden or "--help" in entry.opts


def _row(entry: click.Parameter, context: click.Context) -> tuple[str, str, str, str]:
    assert isinstance(entry, click.Option)
    flags = ", ".join(f"`{flag}`" for flag in (*entry.opts, *entry.secondary_opts))
    return flags, _value(entry, context), _default(entry, context), cell(entry.help or "")


def _value(entry: click.Option, context: click.Context) -> str:
    if entry.is_flag or entry.count:
        return ""
    if isinstance(entry.type, click.Choice):
        return ", ".join(code(str(choice)) for choice in entry.type.choices)
    return code(entry.make_metavar(context))


def _default(entry: click.Option, context: click.Context) -> str:
    if entry.required:
        return "**required**"
    shown = str(entry.get_help_extra(context).get("default", ""))
    return "" if shown == "(none)" else code(shown)
