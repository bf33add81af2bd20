"""The command that lists what an encyclopedia cites."""

from __future__ import annotations

from typing import Any

import click

from corpus.cli_options import output_option
from corpus.commands.options import existing, run_options, show_result, stage_options


@click.command()
@click.argument("dumps", nargs=-1, required=True, metavar="DUMP…")
@output_option()
@stage_options
def references(dumps: tuple[str, ...], output: str, **values: Any) -> None:
    """List the external links in the references of Wikipedia dumps (pages-articles or Enterprise HTML): OUTPUT/links.txt, a link a line.

    Of a page each link is listed once. `corpus filter --rules cited --set cited.list=OUTPUT` keeps the documents of a crawl
    that are cited, which train-classifier takes as its positive ones (`--cited OUTPUT`).
    """
    from corpus.engine.runner import run_stage
    from corpus.remote.listing import forget_listings
    from corpus.remote.url import is_remote
    from pipelines.readers.links import LinksStage, summary

    forget_listings()
    existing(tuple(dump for dump in dumps if not is_remote(dump)))
    manifest = run_stage(LinksStage(dumps), output, run_options(values))
    show_result(values, output, manifest, lambda: [summary(manifest)])
