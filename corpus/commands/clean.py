"""`corpus clean`: remove what a finished run no longer needs."""

from __future__ import annotations

from dataclasses import asdict
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
    """Remove the rows of a finished run's intermediate datasets; the final documents, tokens and packed rows stay.

    Of each the manifest, the drops, the records set aside, samples and reports stay, so that status, the summary,
    inspect and explain still know what became of every record. A rerun that needs the rows makes them again.
    """
    from corpus.data.run_state import clean as remove
    from corpus.data.verify import PLAN
    from corpus.engine.lock import locked
    from corpus.engine.progress import megabytes

    if not Path(output).is_dir():
        raise UsageError(f"{output} does not exist: give the output of corpus run.")
    if not Path(output, PLAN).exists():  # before the lock, which would leave its file there
        raise UsageError(f"{output} is not the output of corpus run: remove single datasets yourself.")
    with locked(Path(output), lambda line: click.echo(line, err=True)):
        freed = remove(Path(output), dry_run)
    if as_json:
        print_json(
            {"dry_run": dry_run, "bytes": sum(entry.bytes for entry in freed), "freed": list(map(asdict, freed))}
        )
        return
    if quiet:
        return
    verb = "would free" if dry_run else "freed"
    for entry in freed:
        click.echo(f"{verb} {megabytes(entry.bytes)} of {entry.path} ({entry.shards:,} shards)")
    size, kept = (megabytes(sum(getattr(entry, name) for entry in freed)) for name in ("bytes", "kept"))
    click.echo(f"{verb} {size} in {len(freed)} datasets; their manifests, drops and reports stay ({kept})")
