"""`corpus export`: packed and token sets for other trainers, and any set for tools that read tables."""

from __future__ import annotations

from pathlib import Path

import click

from corpus.cli_options import output_option, quiet_option
from corpus.export.registry import FORMATS, TABLES


@click.command()
@click.argument("dataset", metavar="SET")
@output_option("Directory to write, which must not exist yet or be empty.")
@click.option(
    "--format",
    "kind",
    required=True,
    type=click.Choice([*FORMATS, *TABLES]),
    help="Whose files to write: " + "; ".join(f"{name}, {what}" for name, what in (FORMATS | TABLES).items()) + ".",
)
@quiet_option()
def export(dataset: str, output: str, kind: str, quiet: bool) -> None:
    """Write a packed or token set as files that other trainers read: the same sequences, in the same order; or any set as
    Parquet files alone in a folder (parquet), which tools for tables take."""
    from corpus.export.export import export as export_set

    export_set(Path(dataset), kind, Path(output), (lambda line: None) if quiet else click.echo)
