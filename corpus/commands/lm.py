"""The commands of language models, by which documents are judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from corpus.commands.options import build_config, config_options, existing, run_options, stage_options
from corpus.engine.runner import run_stage
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
