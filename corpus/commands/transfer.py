"""`corpus push` and `corpus pull`: finished datasets to where others find them, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from corpus.cli_options import Command, Quantity, apply, quiet_option
from corpus.errors import UsageError
from corpus.option import Bounds
from corpus.remote.url import is_remote


def _options(command: Command) -> Command:
    options: list[Any] = [
        click.option("--overwrite", is_flag=True, help="Replace other sets that are there."),
        click.option(
            "--threads",
            type=Quantity("count", Bounds(least=1)),
            default=8,
            show_default=True,
            help="Files to copy at the same time.",
        ),
        quiet_option(),
    ]
    return apply(command, options)


@click.command()
@click.argument("directory", metavar="DIR")
@click.argument("url", metavar="URL")
@_options
def push(directory: str, url: str, overwrite: bool, threads: int, quiet: bool) -> None:
    """Copy the finished datasets at or below DIR to URL (s3://bucket/name, gs://…, hf://datasets/owner/name).

    Files are checked before they go; the manifest goes last, and without it a set is none. After a kill the same command
    goes on; where all is there it does nothing. A data set on the hub is made if it is not there, with a card.
    """
    from corpus.remote.transport import transport_of
    from corpus.transfer.push import Push

    _check(url, is_remote(url))
    if url.startswith("hf://"):
        from corpus.transfer.hub import HubPush

        done = HubPush(Path(directory), url, threads, overwrite, quiet).run()
    else:
        done = Push(Path(directory), url, transport_of(url), threads, overwrite, quiet).run()
    if not quiet:
        click.echo(done, err=True)


@click.command()
@click.argument("url", metavar="URL")
@click.argument("directory", metavar="DIR")
@_options
def pull(url: str, directory: str, overwrite: bool, threads: int, quiet: bool) -> None:
    """Copy the finished datasets at or below URL to DIR, checked against the digests of their manifests.

    After a kill the same command goes on; where all is there and whole it does nothing.
    """
    from corpus.remote.transport import transport_of
    from corpus.transfer.pull import Pull

    _check(url, is_remote(url))
    done = Pull(url, Path(directory), transport_of(url), threads, overwrite, quiet).run()
    if not quiet:
        click.echo(done, err=True)


def _check(url: str, remote: bool) -> None:
    if not remote:
        raise UsageError(f"{url} is no URL: give one such as s3://bucket/name; on one machine any copy will do.")
