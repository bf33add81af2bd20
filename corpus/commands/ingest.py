"""`corpus ingest DOMAIN INPUT… --output DIR`: one sub-command per domain, made from its reader."""

from __future__ import annotations

import sys
from typing import Any

import click

from corpus.cli_options import output_option
from corpus.commands.options import (
    build_config,
    cache_option,
    config_options,
    drop_alarm,
    run_options,
    show_result,
    stage_options,
    unreadable_alarm,
)
from corpus.commands.plugins import RegistryGroup, plugin_option
from corpus.engine.runner import run_stage
from corpus.ingest.config import IngestConfig
from corpus.ingest.stage import IngestStage
from corpus.remote.listing import forget_listings


def _domain_command(name: str, reader: type[Any]) -> click.Command:
    @click.argument("inputs", nargs=-1, required=True, metavar="INPUT…")
    @output_option()
    @click.option("--domain", default="", help=f"Domain written to the documents; by default {reader.domain}.")
    @config_options(reader, IngestConfig)
    @stage_options
    @cache_option
    @unreadable_alarm
    @drop_alarm
    def command(inputs: tuple[str, ...], output: str, domain: str, cache: str, **values: Any) -> None:
        forget_listings()
        config = build_config(IngestConfig, values)
        stage = IngestStage(build_config(reader, values), inputs, config, domain, cache=cache)
        options = run_options(values)
        say_ignored(stage, options.quiet)
        show_result(values, output, run_stage(stage, output, options))

    files = f" Files: {', '.join(reader.patterns)}." if reader.patterns else ""
    return click.command(name, help=reader.doc + files, short_help=reader.doc)(command)


@click.command(
    cls=RegistryGroup, table="READERS", make=_domain_command, subcommand_metavar="DOMAIN INPUT… --output DIR"
)
@plugin_option
def ingest() -> None:
    """Read raw dumps of one domain into documents.

    INPUT is a file or a folder, or the URL of one (s3://, gs://, hf://, https://); of a folder the files that match the
    domain's patterns are read.
    """


def say_ignored(stage: IngestStage, quiet: bool) -> None:
    """Print how many files below the inputs no pattern matches."""
    ignored = stage.raw().ignored
    if ignored and not quiet:
        some = ", ".join(ignored[:3]) + (", …" if len(ignored) > 3 else "")
        print(f"{stage.domain_name}: {len(ignored)} other files ignored ({some})", file=sys.stderr)
