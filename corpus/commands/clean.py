"""`corpus clean`: remove what a finished run no longer needs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from corpus.cli_options import json_option, print_json, quiet_option
from corpus.errors import UsageError


@click.command()
@click.argument("output", metavar="OUT")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@quiet_option()
@json_option("Print what was removed as one JSON object.")
def clean(output: str, dry_run: bool, quiet: bool, as_json: bool) -> None:
    """Remove intermediate datasets of a finished run; the final documents, tokens and packed rows stay."""
    from corpus.data.run_state import clean as remove
    from corpus.data.verify import PLAN
    from corpus.engine.lock import locked

    if not Path(output).is_dir():
        raise UsageError(f"{output} does not exist: give the output of corpus run.")
    if not Path(output, PLAN).exists():  # before the lock, which would leave its file there
        raise UsageError(f"{output} is not the output of corpus run: remove single datasets yourself.")
    with locked(Path(output), lambda line: click.echo(line, err=True)):
        removed = remove(Path(output), dry_run)
    if as_json:
        entries = [{"path": str(path), "bytes": size} for path, size in removed]
        print_json({"dry_run": dry_run, "bytes": sum(size for _, size in removed), "removed": entries})
        return
    if quiet:
        return
    for path, size in removed:
        click.echo(f"{'would remove' if dry_run else 'removed'} {path} ({size / 1e6:,.1f} MB)")
    print(f"{sum(size for _, size in removed) / 1e6:,.1f} MB in {len(removed)} directories", file=sys.stderr)
