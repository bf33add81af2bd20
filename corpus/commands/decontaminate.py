"""`corpus decontaminate`: take the texts of evaluation sets out of documents."""

from __future__ import annotations

from typing import Any

import click

from corpus.cli_options import output_option
from corpus.commands.options import (
    build_config,
    config_options,
    drop_alarm,
    existing,
    run_options,
    show_result,
    stage_options,
)
from corpus.data.manifest import Manifest
from corpus.decontaminate.stage import DecontaminateConfig, DecontaminateStage
from corpus.engine.runner import run_stage


@click.command()
@click.argument("documents", nargs=-1, required=True, metavar="DOCS…")
@output_option()
@config_options(DecontaminateConfig)
@stage_options
@drop_alarm
def decontaminate(documents: tuple[str, ...], output: str, **values: Any) -> None:
    """Take the texts of evaluation sets out of documents, as GPT-3 did or as PaLM measured it.

    What was found, and in which documents, is in OUTPUT/_matches. That and the printed line tell what DOCS had, before
    documents were cut or dropped. The palm preset drops documents that have enough of a text by themselves, so a text
    whose n-grams are scattered over documents is found, and stays.
    """
    stage = DecontaminateStage(existing(documents), build_config(DecontaminateConfig, values))
    manifest = run_stage(stage, output, run_options(values))
    show_result(values, output, manifest, lambda: [_summary(manifest)])


def _summary(manifest: Manifest) -> str:
    found = manifest.extra["evaluation"]
    short = f", {found['short']:,} too short to look for" if found["short"] else ""
    return (
        f"{found['contaminated']:,} of {found['texts']:,} evaluation texts found in the input{short}; {manifest.extra['cut']:,} "
        f"documents cut, {sum(manifest.counts['documents'].dropped.values()):,} dropped"
    )
