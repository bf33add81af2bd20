"""`corpus cancel`: end what Slurm does for an output."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("output", metavar="OUT")
def cancel(output: str) -> None:
    """End all jobs of Slurm that work on OUT. What is finished is kept; the same command goes on."""
    from pipelines.recipes.slurm_chain import cancel_run

    number = cancel_run(Path(output))
    click.echo(f"{number} jobs ended" if number else f"no job of yours works on {output}")
