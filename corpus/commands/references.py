"""The command that lists what an encyclopedia cites."""

from __future__ import annotations

import os
from pathlib import Path

import click

from corpus.commands.options import existing
from corpus.data.files import sync_file


@click.command()
@click.argument("dumps", nargs=-1, required=True, metavar="DUMP…")
@click.option("-o", "--output", required=True, metavar="FILE", help="Text file to write, a link a line.")
def references(dumps: tuple[str, ...], output: str) -> None:
    """List the external links in the references of Wikipedia dumps (pages-articles XML), a link a line.

    Of a page each link is listed once. `corpus filter --rules cited --set cited.list=FILE` keeps the documents of a crawl that
    are cited, which train-classifier takes as its positive ones.
    """
    from pipelines.readers.references import references as links

    target = Path(output)
    part = target.with_name(target.name + ".part")
    number = 0
    try:
        with part.open("w", encoding="utf-8", errors="replace") as file:
            for dump in existing(dumps):
                for link in links(Path(dump)):
                    file.write(link + "\n")
                    number += 1
        sync_file(part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"{number:,} links", err=True)
