"""`corpus run RECIPE --input RAW --output OUT`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from corpus.cli_options import Quantity, field_option, output_option, print_json
from corpus.commands.options import cache_option, drop_alarm, run_options, stage_options, unreadable_alarm
from corpus.commands.plugins import plugin_option
from corpus.errors import UsageError
from corpus.mixture.pack.stage import MixConfig
from corpus.option import Bounds

if TYPE_CHECKING:
    from pipelines.recipes.recipe import Recipe

_IN_RECIPE = {
    "basis": ("budget", "basis"),
    "tokens": ("budget", "tokens"),
    "exhausted": ("budget", "exhausted"),
    "sequence_length": ("packing", "sequence_length"),
    "vocab_size": ("tokenizer", "vocab_size"),
    "tokenizer": ("tokenizer", "path"),
    "bos_piece": ("tokenizer", "bos_piece"),
    "eod_piece": ("tokenizer", "eod_piece"),
}
"""Options that take the place of a recipe's settings: section and name of each."""
_UNSAID = (None, "auto", "error")
"""What they are where nothing is said."""


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.option(
    "--input",
    "raw",
    required=True,
    metavar="RAW",
    help="Folder, or URL of one, with one folder of raw files per domain.",
)
@output_option()
@click.option("--sequence-length", type=Quantity("count", Bounds(least=1)), help="Instead of the recipe's.")
@click.option("--vocab-size", type=Quantity("count", Bounds(least=1)), help="Instead of the recipe's.")
@click.option("--tokenizer", metavar="PATH", help="Take this tokenizer and train none.")
@click.option("--eod-piece", metavar="PIECE", help="Its symbol that ends a document, where it has no end of sentence.")
@click.option(
    "--bos-piece", metavar="PIECE", help="Its symbol that begins each document, as <s> for released LLaMA models."
)
@field_option(MixConfig, "basis")
@field_option(MixConfig, "tokens")
@field_option(MixConfig, "exhausted")
@click.option(
    "--limit", type=Quantity("count", Bounds(least=1)), help="A first look: only so many records of each raw file."
)
@click.option("--sample", metavar="SHARE", help="A first look: only this part of the records, by hashes of ids, as 1%.")
@click.option(
    "--evaluation",
    multiple=True,
    metavar="FILE",
    help="An evaluation set, as JSON lines: its texts are taken out of all domains (13-grams, as GPT-3). (repeatable)",
)
@click.option("--download", is_flag=True, help="First fetch into RAW what the recipe names as sources.")
@click.option(
    "--download-limit",
    type=Quantity("count", Bounds(least=1)),
    help="With --download: only so many files of each source.",
)
@click.option("--dry-run", is_flag=True, help="Print steps, files and what they will take, and write nothing.")
@plugin_option
@click.option(
    "--retrain",
    multiple=True,
    metavar="MODEL",
    help="A model (tokenizer) to train anew where its texts have changed; by default it is kept. (repeatable)",
)
@click.option("--allow-missing", is_flag=True, help="Go on without the domains that have no input.")
@click.option(
    "--drive", is_flag=True, help="With --executor slurm: wait for the jobs here, and start no chain of them."
)
@click.option("--slurm-chain", hidden=True, default="")
@stage_options
@cache_option
@unreadable_alarm
@drop_alarm
def run(
    recipe: str,
    raw: str,
    output: str,
    retrain: tuple[str, ...],
    allow_missing: bool,
    limit: int | None,
    sample: str | None,
    evaluation: tuple[str, ...],
    download: bool,
    download_limit: int | None,
    dry_run: bool,
    cache: str,
    drive: bool,
    slurm_chain: str,
    as_json: bool,
    **values: Any,
) -> None:
    """Run a whole recipe, from raw dumps to packed rows.

    RECIPE is a YAML file, or the name of a packaged recipe such as llama. After a kill the same command goes on; after
    raw files were added, it reads them and does again what depends on them.
    """
    from corpus.remote.path import place
    from pipelines.recipes.estimate import estimate
    from pipelines.recipes.recipe import load_recipe
    from pipelines.recipes.run import run_recipe
    from pipelines.recipes.slurm_chain import check_options, go_on, refuse_second, start_chain
    from pipelines.recipes.steps import RecipeRun
    from pipelines.recipes.summary import save_summary, summary_json

    loaded = load_recipe(recipe, _settings(values)).sampled(limit, sample).without_texts_of(evaluation)
    options = run_options(values)
    if drive and options.executor != "slurm":
        raise UsageError(f"--drive is of executor slurm, and {options.executor} is chosen: leave it out.")
    if options.executor == "slurm" and (drive or dry_run):
        check_options(options)
    if download and not slurm_chain:
        _fetch(loaded, raw, download_limit, dry_run, as_json, options.quiet)
        if dry_run:
            return
    wanted = RecipeRun(loaded, place(raw), Path(output), allow_missing, retrain, cache=cache)
    if dry_run:
        planned = estimate(wanted, options.workers)
        _print(as_json, planned.to_json(), planned.lines())
        return
    if options.executor == "slurm" and not drive:
        if not slurm_chain:
            said = start_chain(wanted, options, sys.argv[1:])
            _print(as_json, {"output": output, "said": said}, [said])
            return
        if not go_on(wanted, options, slurm_chain, sys.argv[1:]):
            return
    else:
        refuse_second(wanted.output)
        run_recipe(wanted, options)
    summary = save_summary(Path(output))
    if as_json or not options.quiet:
        _print(as_json, summary_json(Path(output)), [summary])


def _settings(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Of each section of a recipe the settings that the command has, in place of the recipe's; they are taken out of `values`."""
    found: dict[str, dict[str, Any]] = {}
    for option, (section, name) in _IN_RECIPE.items():
        value = values.pop(option)
        if value not in _UNSAID:
            found.setdefault(section, {})[name] = value
    return found


def _fetch(recipe: Recipe, raw: str, limit: int | None, dry_run: bool, as_json: bool, quiet: bool) -> None:
    """Fetch what the recipe names as sources into `raw`, or say what would be."""
    from corpus.remote.url import is_remote
    from pipelines.recipes.download import fetch_all, recipe_downloads

    if is_remote(raw):
        raise UsageError(f"--download fetches to this machine, and --input is {raw}: give a folder.")
    downloads = recipe_downloads(recipe, Path(raw), limit)
    if not dry_run:
        fetch_all(downloads, lambda line: None if quiet else click.echo(line, err=True))
        return
    plans = [one.plan() for one in downloads]
    _print(as_json, {"downloads": [one.to_json() for one in plans]}, [line for one in plans for line in one.lines()])


def _print(as_json: bool, value: Any, lines: Sequence[str]) -> None:
    print_json(value) if as_json else click.echo("\n".join(lines))
