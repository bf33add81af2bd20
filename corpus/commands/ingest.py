"""`corpus ingest DOMAIN INPUT… --output DIR`: one sub-command per domain, made from its reader."""

from __future__ import annotations

import sys
from typing import Any

import click

from corpus.commands.options import build_config, config_options, run_options, stage_options
from corpus.engine.runner import run_stage
from corpus.ingest.stage import IngestConfig, IngestStage
from corpus.option import nearest


class DomainGroup(click.Group):
    """The domains, each a command whose options are the fields of its reader."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from pipelines.readers.registry import READERS

        return list(READERS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from pipelines.readers.registry import READERS

        return _domain_command(cmd_name) if cmd_name in READERS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-"):
            raise click.UsageError(f"there is no domain '{args[0]}': {nearest(args[0], names)}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=DomainGroup, subcommand_metavar="DOMAIN INPUT… --output DIR")
def ingest() -> None:
    """Read raw dumps of one domain into documents.

    INPUT is a file or a folder; of a folder the files that match the domain's patterns are read.
    """


def _domain_command(name: str) -> click.Command:
    from pipelines.readers.registry import READERS

    reader = READERS.load(name)

    @click.argument("inputs", nargs=-1, required=True, metavar="INPUT…")
    @stage_options
    @click.option("--domain", default="", help=f"Domain written to the documents; by default {reader.domain}.")
    @config_options(reader, IngestConfig)
    def command(inputs: tuple[str, ...], output: str, domain: str, **values: Any) -> None:
        stage = IngestStage(build_config(reader, values), inputs, build_config(IngestConfig, values), domain)
        options = run_options(values)
        say_ignored(stage, options.quiet)
        run_stage(stage, output, options)

    files = f" Files: {', '.join(reader.patterns)}." if reader.patterns else ""
    return click.command(name, help=reader.doc + files, short_help=reader.doc)(command)


def say_ignored(stage: IngestStage, quiet: bool) -> None:
    """Print how many files below the inputs no pattern matches."""
    ignored = stage.raw().ignored
    if ignored and not quiet:
        some = ", ".join(ignored[:3]) + (", …" if len(ignored) > 3 else "")
        print(f"{stage.domain_name}: {len(ignored)} other files ignored ({some})", file=sys.stderr)
