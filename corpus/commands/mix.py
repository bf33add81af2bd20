"""`corpus mix`: plan a mixture, or make it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from corpus.cli_options import (
    Quantity,
    apply,
    build_config,
    config_options,
    field_option,
    json_option,
    output_option,
    print_json,
)
from corpus.commands.options import execution_options, existing, run_options
from corpus.data.schema import NARROW_VOCABULARY
from corpus.errors import UsageError
from corpus.mixture.pack.stage import MixConfig, MixStage
from corpus.mixture.plan.counts import load_counts
from corpus.mixture.plan.plan import Plan
from corpus.mixture.plan.table import bytes_text, render, render_padding
from corpus.option import Bounds


@click.command()
@click.argument("tokens", nargs=-1, metavar="[TOKENS…]")
@output_option("Directory to write; not with --plan.", required=False)
@click.option("--plan", "only_plan", is_flag=True, help="Print the table of the mixture and write nothing.")
@click.option("--counts", metavar="FILE", help="With --plan: YAML or JSON of domains and their tokens, for TOKENS.")
@click.option(
    "--vocab-size",
    type=Quantity("count", Bounds(least=1)),
    help="With --counts: over 65,536 pieces an id takes 4 bytes instead of 2.",
)
@field_option(MixConfig, "tokens", dest="budget")
@config_options(MixConfig, without=("tokens",))
@json_option("Print the plan, or what came of it, as one JSON object.")
@lambda command: apply(command, execution_options())
def mix(
    tokens: tuple[str, ...],
    output: str | None,
    only_plan: bool,
    counts: str | None,
    vocab_size: int | None,
    budget: int | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Mix domains by weights and pack training sequences.

    TOKENS are token datasets, or directories of them. Shares, epochs and sequences of every domain are printed first;
    --plan stops there.
    """
    settings = build_config(MixConfig, values | {"tokens": budget})
    if counts is not None:
        if not only_plan:
            raise UsageError("--counts only plans: add --plan, or give token datasets instead.")
        if tokens:
            raise UsageError("Counts stand in for token datasets: give --counts or TOKENS, not both.")
        _echo_plan(*_plan_counts(settings, counts, vocab_size), as_json)
        return
    if vocab_size is not None:
        raise UsageError("--vocab-size belongs to --counts: token datasets know their own.")
    if not tokens:
        raise UsageError("There are no tokens to mix; give token datasets, or --plan with --counts FILE.")
    if output is None and not only_plan:
        raise UsageError("Mixing needs --output DIR; --plan alone writes nothing.")
    stage = MixStage(existing(tokens), settings)
    if only_plan:
        _echo_plan(stage.plan(), stage.document_counts(), as_json)
        return
    _mix(stage, str(output), as_json, values)


def _mix(stage: MixStage, output: str, as_json: bool, values: dict[str, Any]) -> None:
    from corpus.engine.runner import run_stage

    options = run_options(values)
    plan = stage.plan()
    if not (options.quiet or as_json):
        click.echo(render(plan))
    manifest = run_stage(stage, output, options)
    if stage.packing.best_fit:
        found = {line["domain"]: (line["rows"], line["stream"]) for line in manifest.extra["domains"]}
        plan = plan.fitted(found)
        if not (options.quiet or as_json):
            click.echo(render_padding(plan))
    if as_json:
        print_json({"output": output, **_plan_json(plan, stage.document_counts())})


def _plan_counts(settings: MixConfig, path: str, vocab_size: int | None) -> tuple[Plan, dict[str, int]]:
    from corpus.mixture.plan.plan import plan_mixture
    from corpus.mixture.plan.weights import load_mixture

    if settings.split == "validation":
        raise UsageError("A plan from counts is one of training: leave --split validation out.")
    if not settings.weights:
        raise UsageError("Mixing needs a mixture; give --weights with a weights file or a recipe.")
    found, documents = load_counts(path)
    wide = (vocab_size or 0) > NARROW_VOCABULARY
    return plan_mixture(load_mixture(settings.weights), found, settings.request(wide)), documents


def _plan_json(plan: Plan, documents: Mapping[str, int]) -> dict[str, Any]:
    return {
        "basis": plan.basis,
        "sequence_length": plan.sequence_length,
        "rows": plan.rows,
        "bytes": sum(domain.bytes for domain in plan.domains),
        "work_bytes": plan.work_bytes(documents),
        "domains": [domain.as_json() for domain in plan.domains],
        "messages": list(plan.messages),
    }


def _echo_plan(plan: Plan, documents: Mapping[str, int], as_json: bool) -> None:
    if as_json:
        print_json(_plan_json(plan, documents))
        return
    click.echo(render(plan))
    size = sum(domain.bytes for domain in plan.domains)
    work = bytes_text(plan.work_bytes(documents))
    click.echo(f"The sequences take {bytes_text(size)} of disk, and {work} more while they are made.")
