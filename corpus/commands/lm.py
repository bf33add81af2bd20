"""The commands of language models, by which documents are judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from corpus.cli_options import output_option
from corpus.commands.options import build_config, config_options, existing, run_options, show_result, stage_options
from corpus.engine.runner import run_stage
from corpus.quality.lm.cutoffs import CutoffsConfig, CutoffsStage, summary
from corpus.quality.lm.stage import TrainLmConfig, TrainLmStage
from corpus.quality.lm.stage import summary as model_summary


@click.command("train-lm")
@click.argument("documents", nargs=-1, required=True, metavar="DOCS…")
@output_option()
@config_options(TrainLmConfig)
@stage_options
def train_lm(documents: tuple[str, ...], output: str, **values: Any) -> None:
    """Train the language model of one language as CCNet did, on the encyclopedia for example.

    Writes OUTPUT/LANGUAGE/sp.model, a SentencePiece unigram model, and OUTPUT/LANGUAGE/lm.arpa, n-grams of its pieces with
    interpolated modified Kneser-Ney smoothing, as KenLM's lmplz gives them. OUTPUT is what filter's rule perplexity takes
    as its models.
    """
    config = build_config(TrainLmConfig, values)
    place = Path(output) / config.language
    manifest = run_stage(TrainLmStage(existing(documents), config), place, run_options(values))
    show_result(values, place, manifest, lambda: [model_summary(manifest.extra["lm"])])


@click.command("lm-cutoffs")
@click.argument("documents", nargs=-1, required=True, metavar="DOCS…")
@output_option()
@config_options(CutoffsConfig)
@stage_options
def lm_cutoffs(documents: tuple[str, ...], output: str, **values: Any) -> None:
    """Measure at which perplexities documents of reference are parted into head, middle and tail.

    DOCS went through filter --rules perplexity, or are scored by --models. Writes the percentiles 0 to 99 of each language as
    OUTPUT/cutoffs.csv, the form of CCNet's cutoff.csv; that rule takes OUTPUT as its cutoffs.
    """
    config = build_config(CutoffsConfig, values)
    manifest = run_stage(CutoffsStage(existing(documents), config), output, run_options(values))
    show_result(values, output, manifest, lambda: summary(manifest.extra["cutoffs"], config.min_documents))
