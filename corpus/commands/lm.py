"""The commands of language models, by which documents are judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from corpus.cli_options import output_option, quiet_option
from corpus.commands.options import build_config, config_options, existing, run_options, stage_options
from corpus.data.files import write_atomic
from corpus.engine.runner import run_stage
from corpus.quality.lm import cutoffs
from corpus.quality.lm.stage import TrainLmConfig, TrainLmStage, summary


@click.command("train-lm")
@click.argument("documents", nargs=-1, required=True, metavar="DOCS…")
@stage_options
@config_options(TrainLmConfig)
def train_lm(documents: tuple[str, ...], output: str, **values: Any) -> None:
    """Train the language model of one language as CCNet did, on the encyclopedia for example.

    Writes OUTPUT/LANGUAGE/sp.model, a SentencePiece unigram model, and OUTPUT/LANGUAGE/lm.arpa, n-grams of its pieces with
    interpolated modified Kneser-Ney smoothing, as KenLM's lmplz gives them. OUTPUT is what filter's rule perplexity takes
    as its models.
    """
    options = run_options(values)
    config = build_config(TrainLmConfig, values)
    manifest = run_stage(TrainLmStage(existing(documents), config), Path(output) / config.language, options)
    if not options.quiet:
        click.echo(summary(manifest.extra["lm"]))


@click.command("lm-cutoffs")
@click.argument("documents", nargs=-1, required=True, metavar="DOCS…")
@output_option("File to write.", file=True)
@click.option("--language", default="", help="Language of documents without one.")
@quiet_option()
def lm_cutoffs(documents: tuple[str, ...], output: str, language: str, quiet: bool) -> None:
    """Measure at which perplexities documents of reference are parted into head, middle and tail.

    DOCS went through filter --rules perplexity. Writes the percentiles 0 to 99 of each language as CSV, the form of CCNet's
    cutoff.csv, which that rule then takes as its cutoffs.
    """
    values = cutoffs.measure(existing(documents), language)
    write_atomic(Path(output), cutoffs.table(values))
    if not quiet:
        for name, numbers in values.items():
            click.echo(f"{name}: {len(numbers):,} documents")
