"""`corpus download SOURCE --output RAW`: one sub-command per source, made from its settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from corpus.cli_options import Command, Number, Quantity, apply, json_option, print_json, quiet_option
from corpus.commands.options import build_config, config_options
from corpus.commands.plugins import RegistryGroup, plugin_option
from corpus.option import Bounds


def _options(command: Command) -> Command:
    options: list[Any] = [
        click.option(
            "-o",
            "--output",
            required=True,
            metavar="RAW",
            help="Folder of raw files; they go to RAW/DOMAIN, for corpus run.",
        ),
        click.option(
            "--domain", default="", help="The folder in RAW. Default: that of the domain whose reader reads them."
        ),
        click.option("--base", default="", metavar="URL", help="A mirror. Default: where the source is published."),
        click.option("--limit", type=Quantity("count", Bounds(least=1)), help="Only so many files, the first ones."),
        click.option("--dry-run", is_flag=True, help="Print the files, their sizes and terms, and fetch none."),
        click.option(
            "--rate",
            type=Number(Bounds(above=0)),
            metavar="N",
            help="Requests a second to a host. Default: the source's.",
        ),
        click.option(
            "--threads",
            type=Quantity("count", Bounds(least=1)),
            default=2,
            show_default=True,
            help="Files at the same time.",
        ),
        quiet_option(),
        json_option("With --dry-run: print the files as one JSON object."),
    ]
    return apply(command, options)


def _source_command(name: str, source: type[Any]) -> click.Command:
    @_options
    @config_options(source)
    def command(
        output: str,
        domain: str,
        base: str,
        limit: int | None,
        dry_run: bool,
        rate: float | None,
        threads: int,
        quiet: bool,
        as_json: bool,
        **values: Any,
    ) -> None:
        from pipelines.download.downloader import Download

        download = Download(build_config(source, values), Path(output), base, limit, threads, rate, domain)
        if dry_run:
            if as_json:
                print_json(download.plan().to_json())
            else:
                click.echo("\n".join(download.plan().lines()))
            return
        outcome = download.run()
        if not quiet:
            click.echo(f"{download.folder}: {outcome}", err=True)

    return click.command(name, help=f"{source.doc}.\n\n{source.terms}", short_help=source.doc)(command)


@click.command(cls=RegistryGroup, table="SOURCES", make=_source_command, subcommand_metavar="SOURCE --output RAW")
@plugin_option
def download() -> None:
    """Fetch raw files from where they are published, with checksums and manners.

    The same command goes on after a kill, and fetches nothing twice.
    """
