"""`corpus remove OUT --input RAW --ids FILE`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from corpus.cli_options import json_option, print_json
from corpus.commands.options import execution_options, run_options
from corpus.commands.plugins import plugin_option
from corpus.errors import UsageError


def _options(command: Any) -> Any:
    for option in reversed(execution_options()):
        command = option(command)
    return command


@click.command()
@click.argument("output", metavar="OUT")
@click.option("--input", "raw", required=True, metavar="RAW", help="The folder of raw files that OUT was made from.")
@click.option("--ids", metavar="FILE", help="Ids of records, one a line.")
@click.option("--urls", metavar="FILE", help="URLs, one a line; scheme, fragment and a last slash do not count.")
@click.option("--hosts", metavar="FILE", help="Hosts, one a line, with all of their subdomains.")
@plugin_option
@_options
@json_option("Print the report as one JSON object.")
def remove(
    output: str, raw: str, ids: str | None, urls: str | None, hosts: str | None, as_json: bool, **values: Any
) -> None:
    """Remove records from a run's output for good, and make anew what was made from them.

    The lists are kept in OUT/removed.json, so that no later run brings a record back. Steps to whose part of the corpus
    none belongs are taken as they are. A report in OUT/removals says where the records stood.
    """
    from corpus.ingest.removal import Removal, read_lines
    from corpus.remote.path import place
    from pipelines.recipes.recipe import load_recipe
    from pipelines.recipes.remove import remove as remove_records
    from pipelines.recipes.steps import RecipeRun

    lists = [read_lines(Path(file)) if file is not None else [] for file in (ids, urls, hosts)]
    named = Removal.of(*lists)
    if not named:
        raise UsageError("nothing is named: give --ids, --urls or --hosts with a file of one entry a line.")
    recipe = Path(output, "recipe.yaml")
    if not recipe.exists():
        raise UsageError(f"{output} is not the output of corpus run: nothing can be removed from it.")
    options = run_options(values)
    run = RecipeRun(load_recipe(str(recipe)), place(raw), Path(output), allow_missing=True)
    report, path = remove_records(run, named, options)
    if as_json:
        print_json(asdict(report) | {"report": str(path)})
