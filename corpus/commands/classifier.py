"""The command that trains a classifier, by which documents are judged."""

from __future__ import annotations

from typing import Any

import click

from corpus.cli_options import output_option
from corpus.commands.options import build_config, config_options, existing, run_options, show_result, stage_options
from corpus.engine.runner import run_stage
from corpus.errors import UsageError
from corpus.quality.classifier import TrainClassifierConfig, TrainClassifierStage, summary


@click.command("train-classifier")
@click.option("--positive", multiple=True, metavar="DOCS", help="Documents as wanted. (repeatable)")
@click.option("--negative", multiple=True, required=True, metavar="DOCS", help="Random documents. (repeatable)")
@output_option()
@config_options(TrainClassifierConfig)
@stage_options
def train_classifier(positive: tuple[str, ...], negative: tuple[str, ...], output: str, **values: Any) -> None:
    """Train a classifier that tells documents as wanted, such as pages that an encyclopedia cites, from random ones.

    It is a fastText model (model.bin), which the library reads, too. As many negative as positive documents of each length
    are chosen by the hash of their ids. With --cited the positive ones are those of --negative that an encyclopedia cites. What it is worth, by documents that it was not trained on, is in _report.json.
    `corpus filter --rules reference --set reference.model=OUTPUT` judges documents by it.
    """
    config = build_config(TrainClassifierConfig, values)
    if not positive and not config.cited:
        raise UsageError("There are no positive documents: give --positive DOCS, or --cited LINKS.")
    stage = TrainClassifierStage(existing((*positive, *negative)), len(positive), config)
    manifest = run_stage(stage, output, run_options(values))
    show_result(values, output, manifest, lambda: summary(manifest.extra["classifier"]))
