"""`corpus mix`: plan a mixture, or make it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from corpus.commands.options import build_config, config_options, execution_options, existing, run_options
from corpus.data.schema import NARROW_VOCABULARY
from corpus.errors import UsageError
from corpus.mixture.pack.stage import MixConfig, MixStage
from corpus.mixture.plan.counts import load_counts, parse_count
from corpus.mixture.plan.plan import Plan
from corpus.mixture.plan.table import bytes_text, render, render_padding


class TokenCount(click.ParamType[int]):
    """A whole number of tokens: 300000, 780B, 1.4T."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        count = parse_count(value)
        if count is None:
            self.fail(f"'{value}' is no number of tokens such as 300000, 780B or 1.4T.", param, ctx)
        return count


def _execution_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(execution_options()):
        command = option(command)
    return command


@click.command()
@click.argument("tokens", nargs=-1, metavar="[TOKENS…]")
@click.option("--output", "-o", type=click.Path(file_okay=False), help="Directory to write; not with --plan.")
@click.option("--plan", "only_plan", is_flag=True, help="Print the table of the mixture and write nothing.")
@click.option("--counts", metavar="FILE", help="With --plan: YAML or JSON of domains and their tokens, for TOKENS.")
@click.option(
    "--vocab-size", type=click.IntRange(1), help="With --counts: over 65,536 pieces an id takes 4 bytes instead of 2."
)
@click.option("--tokens", "budget", type=TokenCount(), default=None, help="Tokens to train on, for example 1.4T.")
@config_options(MixConfig, without=("tokens",))
@_execution_options
def mix(
    tokens: tuple[str, ...],
    output: str | None,
    only_plan: bool,
    counts: str | None,
    vocab_size: int | None,
    budget: int | None,
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
        _echo_plan(*_plan_counts(settings, counts, vocab_size))
        return
    if vocab_size is not None:
        raise UsageError("--vocab-size belongs to --counts: token datasets know their own.")
    if not tokens:
        raise UsageError("There are no tokens to mix; give token datasets, or --plan with --counts FILE.")
    if output is None and not only_plan:
        raise UsageError("Mixing needs --output DIR; --plan alone writes nothing.")
    stage = MixStage(existing(tokens), settings)
    if only_plan:
        _echo_plan(stage.plan(), stage.document_counts())
        return
    _mix(stage, str(output), values)


def _mix(stage: MixStage, output: str, values: dict[str, Any]) -> None:
    from corpus.engine.runner import run_stage

    options = run_options(values)
    if not options.quiet:
        click.echo(render(stage.plan()))
    manifest = run_stage(stage, output, options)
    if not options.quiet and stage.packing.best_fit:
        found = {line["domain"]: (line["rows"], line["stream"]) for line in manifest.extra["domains"]}
        click.echo(render_padding(stage.plan().fitted(found)))


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


def _echo_plan(plan: Plan, documents: Mapping[str, int]) -> None:
    click.echo(render(plan))
    size = sum(domain.bytes for domain in plan.domains)
    work = bytes_text(plan.work_bytes(documents))
    click.echo(f"The sequences take {bytes_text(size)} of disk, and {work} more while they are made.")
