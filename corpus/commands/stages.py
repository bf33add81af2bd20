"""The commands of single stages. Their options are the fields of the stage's configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from corpus.cli_options import output_option, print_json
from corpus.commands.options import (
    build_config,
    config_options,
    drop_alarm,
    existing,
    result_json,
    run_options,
    show_result,
    stage_options,
)
from corpus.commands.plugins import plugin_option
from corpus.data.manifest import MANIFEST
from corpus.dedup.config import DedupConfig, KeysConfig
from corpus.dedup.keeping import KeepKeysStage
from corpus.dedup.levels import dedup_stage
from corpus.engine.document_stage import MapStage
from corpus.engine.runner import check_output, run_stage
from corpus.engine.stage import Stage
from corpus.errors import UsageError
from corpus.heldout.choice import FOLDER as CHOICE_FOLDER
from corpus.heldout.config import ChoiceConfig
from corpus.heldout.side import side_stage
from corpus.heldout.stage import ChoiceStage
from corpus.quality.filter import FilterConfig
from corpus.quality.langid import Langid
from tokenizer.tokenize import TokenizeConfig, TokenizeStage
from tokenizer.train import TrainTokenizerConfig, TrainTokenizerStage


def _documents_command(
    name: str, config: type[Any], make: Callable[[tuple[str, ...], Any], Stage], help: str
) -> click.Command:
    """A command from documents to documents."""

    @click.argument("documents", nargs=-1, required=True, metavar="DOCS…")
    @output_option()
    @config_options(config)
    @stage_options
    @drop_alarm
    def command(documents: tuple[str, ...], output: str, **values: Any) -> None:
        stage = make(existing(documents), build_config(config, values))
        show_result(values, output, run_stage(stage, output, run_options(values)))

    return click.command(name, help=help)(command)


@click.command()
@click.argument("documents", nargs=-1, required=True, metavar="DOCS…")
@output_option()
@config_options(DedupConfig)
@stage_options
@drop_alarm
def dedup(documents: tuple[str, ...], output: str, **values: Any) -> None:
    """Remove repeated lines, documents, books or near-duplicates.

    With the defaults a line that repeats across documents goes everywhere, as in CCNet.
    """
    from corpus.dedup.report import summary

    stage = dedup_stage(existing(documents), build_config(DedupConfig, values))
    show_result(values, output, run_stage(stage, output, run_options(values)), lambda: summary(Path(output)))


@click.command()
@click.argument("documents", nargs=-1, required=True, metavar="DOCS…")
@output_option()
@config_options(KeysConfig)
@stage_options
def dedup_keys(documents: tuple[str, ...], output: str, **values: Any) -> None:
    """Keep the keys of documents that others are compared with again and again: `dedup --against KEYS` then reads these, and
    not the documents."""
    stage = KeepKeysStage(existing(documents), build_config(KeysConfig, values).settings)
    show_result(values, output, run_stage(stage, output, run_options(values)))


langid = _documents_command(
    "langid",
    Langid,
    lambda documents, step: MapStage(documents, "langid", maps=(step,)),
    "Identify languages with fastText's lid.176 and keep the wanted ones.",
)

filter_ = plugin_option(
    _documents_command(
        "filter",
        FilterConfig,
        lambda documents, config: MapStage(documents, "filter", maps=config.maps()),
        "Drop documents of low quality by named rule sets.",
    )
)


@click.command("train-tokenizer")
@click.argument("documents", nargs=-1, required=True, metavar="DOCS…")
@output_option()
@config_options(TrainTokenizerConfig)
@stage_options
def train_tokenizer(documents: tuple[str, ...], output: str, **values: Any) -> None:
    """Train a SentencePiece tokenizer with the settings of a paper on a seeded sample of the documents.

    Writes tokenizer.model, tokenizer.json for Hugging Face and a report of bytes and words per token.
    """
    from tokenizer.report import summary

    stage = TrainTokenizerStage(existing(documents), build_config(TrainTokenizerConfig, values))
    show_result(values, output, run_stage(stage, output, run_options(values)), lambda: summary(Path(output)))


@click.command("export-tokenizer")
@click.argument("model", metavar="MODEL")
@output_option()
@click.option(
    "--eod-piece", default=None, help="The control symbol that ends a document (the model's end of sentence)."
)
@click.option("--nearly", is_flag=True, help="Write files whose ids differ from the model's in rare places, too.")
def export_tokenizer(model: str, output: str, eod_piece: str | None, nearly: bool) -> None:
    """Write tokenizer.json and tokenizer_config.json for Hugging Face from a SentencePiece model.

    The ids are those of the model. Where they cannot be, the command says why and writes nothing.
    """
    from tokenizer.huggingface import write

    differences = write(model, output, eod_piece, nearly)
    if differences:
        click.echo(f"ids can differ from the model's, since {differences}", err=True)


@click.command()
@click.argument("documents", nargs=-1, required=True, metavar="DOCS…")
@output_option()
@click.option(
    "--side",
    type=click.Choice(["both", "train", "validation"]),
    default="both",
    show_default=True,
    help="What to write.",
)
@config_options(ChoiceConfig)
@stage_options
def split(documents: tuple[str, ...], output: str, side: str, **values: Any) -> None:
    """Split validation documents off: both sides into OUTPUT/train and OUTPUT/validation, or one side into OUTPUT.

    A text that is chosen in any of DOCS is validation in all of them. Validation documents are dropped where training has
    most of their lines, with --overlap near also where it has a similar text; training is the other side of DOCS, and what
    --training names. Of several domains each has a folder in the place of a side. What was chosen, and why, is in
    OUTPUT/choice; for one side it is next to OUTPUT, in _choice/.
    """
    from corpus.heldout.report import report_lines

    place = Path(output)
    options = run_options(values)
    existing(values["training"])
    config = build_config(ChoiceConfig, values)
    if side == "train":  # the training side is the same whatever validation is compared with
        config = dataclasses.replace(config, overlap="exact", line_overlap=None, near_overlap=None, training=())
    if side == "both":
        chosen, places = place / "choice", {one: place / one for one in ("train", "validation")}
    else:
        chosen, places = place.absolute().parent / CHOICE_FOLDER / place.absolute().name, {side: place}
    stage = ChoiceStage(existing(documents), config)
    stage.check()
    outputs = [
        (domain, one, directory / domain if len(stage.domains) > 1 else directory)
        for one, directory in places.items()
        for domain in stage.domains
    ]
    _check_places(place, [directory for _, _, directory in outputs], stage)
    choice, written = run_stage(stage, chosen, options), []
    for domain, one, directory in outputs:
        sources = tuple(str(dataset.path) for dataset in stage.domains[domain])
        written.append(run_stage(side_stage(sources, chosen, domain, one), directory, options))
    if values["as_json"]:
        pairs = zip(outputs, written, strict=True)
        sides = [{"domain": domain, "side": one} | result_json(to, made) for (domain, one, to), made in pairs]
        print_json({"output": output, "choice": result_json(chosen, choice), "outputs": sides})
    elif side != "train" and not options.quiet:
        click.echo("\n".join(report_lines(choice)))


def _check_places(output: Path, directories: Sequence[Path], stage: ChoiceStage) -> None:
    """Refuse outputs of a split before anything is written: over a dataset that holds them, or over an input."""
    for directory in directories:
        for parent in directory.parents:
            if parent.is_relative_to(output) and (parent / MANIFEST).exists():
                raise UsageError(f"{parent} is a dataset, and {directory} would lie in it: give another --output.")
        if directory.exists():
            check_output(directory, stage.input_paths())


@click.command()
@click.argument("documents", nargs=-1, required=True, metavar="DOCS…")
@output_option()
@click.option(
    "--tokenizer",
    required=True,
    metavar="MODEL",
    help="A SentencePiece model, train-tokenizer's output, a tokenizer.json or a folder that holds one.",
)
@config_options(TokenizeConfig)
@stage_options
@drop_alarm
def tokenize(documents: tuple[str, ...], output: str, tokenizer: str, **values: Any) -> None:
    """Turn the documents of one domain into token ids, each document ended by the end-of-document id."""
    stage = TokenizeStage(existing(documents), tokenizer, build_config(TokenizeConfig, values))
    show_result(values, output, run_stage(stage, output, run_options(values)))
