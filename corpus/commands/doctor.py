"""`corpus doctor`: what this machine has, what it lacks, and how to mend what is wrong."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import click

from corpus.cli_options import json_option, print_json


@click.command()
@click.option(
    "-o",
    "--output",
    default=".",
    show_default="the working directory",
    metavar="DIR",
    help="Where outputs will be written: its file system is tried, with 64 MB that are removed again.",
)
@json_option("Print the findings as one JSON object.")
@click.pass_context
def doctor(context: click.Context, output: str, as_json: bool) -> None:
    """Look at versions, models and their licences, packages that shadow each other, cores, memory, the disk and its file
    system, torch and its devices, Ray and Slurm; say how to mend what is wrong. Exit 1 if there is a problem.

    Nothing is changed.
    """
    from corpus.doctor.look import look_at

    findings = []
    for topic, group in groupby(look_at(Path(output)), lambda finding: finding.topic):
        if not as_json:
            click.echo(topic)
        for finding in group:
            findings.append(finding)
            if not as_json:
                click.echo(finding.line())
    problems = sum(finding.state == "problem" for finding in findings)
    if as_json:
        print_json({"problems": problems, "findings": [asdict(finding) for finding in findings]})
    else:
        click.echo(f"{problems} problems" if problems else "no problem")
    if problems:
        context.exit(1)
