"""`corpus status`: what is done below an output, and what a rerun would do."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from corpus.cli_options import json_option, print_json


@click.command()
@click.argument("output", metavar="OUT")
@json_option("Print the states as one JSON object.")
def status(output: str, as_json: bool) -> None:
    """Say what is done below OUT and what a rerun would do."""
    from corpus.data.run_state import stage_states

    states = stage_states(Path(output))
    todo = [entry for entry in states if entry.state not in ("done", "cleaned")]
    if as_json:
        print_json({"to_do": len(todo), "stages": [asdict(entry) for entry in states]})
        return
    for entry in states:
        click.echo(f"{entry.state:10} {entry.path}  {entry.detail}")
    cleaned = sum(entry.state == "cleaned" for entry in states)
    if todo:
        also = f", and of the {cleaned} cleaned ones those that they need" if cleaned else ""
        click.echo(f"a rerun would do {len(todo)} of {len(states)} stages{also}")
    else:
        click.echo("all done; a rerun would do nothing")
