"""The commands of single stages. Their options are the fields of the stage's configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from corpus.commands.options import Quantity, build_config, config_options, existing, run_options, stage_options
from corpus.dedup.lines import DedupConfig, DedupStage
from corpus.filters.filter import FilterConfig, FilterStage
from corpus.langid import LangidConfig, LangidStage
from corpus.mixture.mix import MixConfig, MixStage
from corpus.mixture.table import render
from corpus.split import SplitConfig, SplitStage
from corpus.stage.runner import run_stage
from corpus.stage.stage import Stage
from tokenizer.tokenize import TokenizeConfig, TokenizeStage
from tokenizer.train import TrainTokenizerConfig, TrainTokenizerStage


def _documents_command(
    name: str, config: type[Any], make: Callable[[tuple[str, ...], Any], Stage], help: str
) -> click.Command:
    """A command from documents to documents."""

    @click.argument("documents", nargs=-1, required=True, metavar="DOCS…")
    @stage_options
    @config_options(config)
    def command(documents: tuple[str, ...], output: str, **values: Any) -> None:
        stage = make(existing(documents), build_config(config, values))
        run_stage(stage, output, run_options(values))

    return click.command(name, help=help)(command)


dedup = _documents_command(
    "dedup",
    DedupConfig,
    DedupStage,
    """Remove repeated lines or documents.

    With the defaults a line that repeats across documents goes everywhere, as in CCNet.
    """,
)

langid = _documents_command(
    "langid", LangidConfig, LangidStage, "Identify languages with fastText's lid.176 and keep the wanted ones."
)

filter_ = _documents_command("filter", FilterConfig, FilterStage, "Drop documents of low quality by named rules.")

train_tokenizer = _documents_command(
    "train-tokenizer",
    TrainTokenizerConfig,
    TrainTokenizerStage,
    "Train a SentencePiece tokenizer with the settings of a paper on a seeded sample of the documents.",
)

split = _documents_command(
    "split",
    SplitConfig,
    SplitStage,
    "Write one side of a split into training and validation documents; run it once for each --side.",
)


@click.command()
@click.argument("documents", nargs=-1, required=True, metavar="DOCS…")
@stage_options
@click.option("--tokenizer", required=True, metavar="MODEL", help="A SentencePiece model or train-tokenizer's output.")
@config_options(TokenizeConfig)
def tokenize(documents: tuple[str, ...], output: str, tokenizer: str, **values: Any) -> None:
    """Turn the documents of one domain into token ids, each document ended by the end-of-document id."""
    stage = TokenizeStage(existing(documents), tokenizer, build_config(TokenizeConfig, values))
    run_stage(stage, output, run_options(values))


@click.command()
@click.argument("tokens", nargs=-1, required=True, metavar="TOKENS…")
@stage_options
@click.option("--tokens", "budget", type=Quantity(), default=None, help="Tokens to train on, for example 1.4T.")
@config_options(MixConfig, without=("tokens",))
def mix(tokens: tuple[str, ...], output: str, budget: int | None, **values: Any) -> None:
    """Mix domains by weights and pack training rows."""
    stage = MixStage(existing(tokens), build_config(MixConfig, values | {"tokens": budget}))
    options = run_options(values)
    if not options.quiet:
        click.echo(render(stage.plan()))
    run_stage(stage, output, options)
