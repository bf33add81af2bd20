"""`corpus status`: what is done below an output, and what a rerun would do."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from corpus.cli_options import json_option, print_json
from corpus.errors import UsageError


@click.command()
@click.argument("output", metavar="OUT")
@click.option("--input", "raw", metavar="RAW", help="Where the raw files lie now. Default: where they were read.")
@json_option("Print the states as one JSON object.")
def status(output: str, raw: str | None, as_json: bool) -> None:
    """Say what is done below OUT and what a rerun would do."""
    from corpus.data.run_state import stage_states
    from corpus.remote.path import place
    from pipelines.recipes.growth import read_changes
    from pipelines.recipes.slurm_chain import queue_of

    queue = queue_of(Path(output))
    try:
        states = stage_states(Path(output))
    except UsageError:
        if not queue:
            raise
        states = []  # the first job waits still
    changes = read_changes(Path(output), None if raw is None else place(raw))
    todo = [entry for entry in states if entry.state not in ("done", "cleaned")]
    if as_json:
        print_json(
            {
                "to_do": len(todo),
                "stages": [asdict(entry) for entry in states],
                "raw": [asdict(change) for change in changes],
                "queue": queue,
            }
        )
        return
    for entry in states:
        click.echo(f"{entry.state:10} {entry.path}  {entry.detail}")
    for line in queue:
        click.echo(line)
    for change in changes:
        click.echo(f"{change}: a rerun does again what depends on them")
    if queue:
        if states:
            click.echo(f"{len(todo)} of {len(states)} stages are left")
        return
    cleaned = sum(entry.state == "cleaned" for entry in states)
    if todo:
        also = f", and of the {cleaned} cleaned ones those that they need" if cleaned else ""
        click.echo(f"a rerun would do {len(todo)} of {len(states)} stages{also}")
    elif not changes:
        click.echo("all done; a rerun would do nothing")
