"""The commands of `trainer` that plan, fit and measure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from corpus.cli_options import Group, Number, build_config, config_options, json_option, print_json, quiet_option
from corpus.option import Bounds
from trainer.api import share_cores
from trainer.science.doremi_options import DoremiOptions
from trainer.science.memorization_options import MemorizationOptions
from trainer.science.plan import PlanOptions
from trainer.science.probe_options import ProbeOptions
from trainer.science.regmix_options import RegmixOptions
from trainer.science.scale_options import ScaleFitOptions

_DIRECTORY = click.Path(path_type=Path)


@click.command(name="plan", short_help="Size, tokens, batch and time for a budget.")
@config_options(PlanOptions)
@json_option()
def plan_command(as_json: bool, **options: Any) -> None:
    """How large a model, on how many tokens, for a budget: by Chinchilla's three approaches, with published and corrected
    constants, and by Kaplan's; what a corpus holds of it, a shape, batch and rate, memory and time. Two of the compute,
    --parameters and --tokens place a training among the optimal ones."""
    from trainer.science.footprint import footprint_json, footprint_lines
    from trainer.science.plan import make_plan, plan_json
    from trainer.science.plan_text import draw_plan, plan_lines

    plan = make_plan(build_config(PlanOptions, options))
    if plan.options.plot is not None:
        draw_plan(plan, plan.options.plot)
    if as_json:
        print_json({**plan_json(plan), "shape": footprint_json(plan)})
        return
    for line in (*plan_lines(plan), *footprint_lines(plan)):
        click.echo(line)


@click.command(short_help="What a run can say by heart.")
@click.argument("run", type=_DIRECTORY)
@config_options(MemorizationOptions)
@quiet_option()
@json_option("Print one JSON object, with every hit.")
def memorization(run: Path, quiet: bool, as_json: bool, **options: Any) -> None:
    """How much of its training text RUN continues word for word: by domain and by how often it occurs in training, against
    validation text, each hit traced to its document."""
    share_cores()
    from trainer.science.memorization import measure_memorization
    from trainer.science.memorization_report import draw_memorization, memorization_json, memorization_lines

    asked = build_config(MemorizationOptions, options)
    found = measure_memorization(run, asked, note(quiet))
    if asked.plot is not None:
        draw_memorization(found, asked.plot)
    if as_json:
        print_json(memorization_json(found))
        return
    for line in memorization_lines(found):
        click.echo(line)


@click.command(short_help="Weights of domains, by DoReMi.")
@click.argument("packed", type=_DIRECTORY)
@config_options(DoremiOptions)
@quiet_option()
@json_option()
def doremi(packed: Path, quiet: bool, as_json: bool, **options: Any) -> None:
    """Weigh the domains of PACKED by where a small proxy can still learn (DoReMi): a mixture.yaml for corpus mix --weights.
    A finished reference, and finished rounds, are taken as they are when the same command is given again."""
    share_cores()
    from trainer.science.doremi import run_doremi
    from trainer.science.doremi_report import doremi_json, doremi_lines, draw_weights, mixture_of

    asked = build_config(DoremiOptions, options)
    found = run_doremi(packed, asked, note(quiet))
    mixture = mixture_of(found, packed, asked)
    draw_weights(found, asked.output / "weights.svg")
    if as_json:
        print_json(doremi_json(found))
        return
    for line in doremi_lines(found, asked):
        click.echo(line)
    click.echo(f"mixture: {mixture}")


@click.command(short_help="Shares of domains, by RegMix.")
@click.argument("packed", type=_DIRECTORY)
@config_options(RegmixOptions)
@quiet_option()
@json_option("Print one JSON object, with every mixture and its losses.")
def regmix(packed: Path, quiet: bool, as_json: bool, **options: Any) -> None:
    """The mixture of the domains of PACKED with the least predicted loss (RegMix): small proxies on mixtures at random, a
    regression, and a mixture.yaml for corpus mix --weights. Proxies that are trained are taken as they are when the same
    command is given again."""
    share_cores()
    from trainer.science.mixture_file import write_mixture
    from trainer.science.regmix import run_regmix
    from trainer.science.regmix_report import regmix_json, regmix_lines

    asked = build_config(RegmixOptions, options)
    found = run_regmix(packed, asked, note(quiet))
    comments = (
        "RegMix: the mixture with the least predicted loss (corpus mix --weights)",
        f"{found.proxies} proxies {asked.proxy} of {asked.steps} steps of {asked.batch_size} sequences, {found.regression}",
    )
    mixture = write_mixture(asked.output, found.weights, comments, found.data)
    if as_json:
        print_json(regmix_json(found))
        return
    for line in regmix_lines(found, asked):
        click.echo(line)
    click.echo(f"mixture: {mixture}")


@click.command(name="noise", short_help="Critical batch of a run, from its noise scale.")
@click.argument("run", type=_DIRECTORY)
@json_option()
def noise_command(run: Path, as_json: bool) -> None:
    """The gradient noise scale of RUN, which was trained with --noise-scale: the batch that spends as much on steps as on
    tokens, as a function of the loss, and a ramp that follows it."""
    from trainer.science.critical_batch import critical_batch, noise_json, noise_lines

    found = critical_batch(run)
    if as_json:
        print_json(noise_json(found))
        return
    for line in noise_lines(found):
        click.echo(line)


@click.command(short_help="How a run's layers work, step by step.")
@click.argument("run", type=_DIRECTORY)
@config_options(ProbeOptions)
@quiet_option()
@json_option("Print one JSON object: of each step the measures of each layer.")
def probe(run: Path, quiet: bool, as_json: bool, **options: Any) -> None:
    """At every checkpoint of RUN, and for its first weights as the control: how sparse the feed-forward layers are, which
    neurons are never used or serve one domain, how sharp attention is, and the norms."""
    share_cores()
    from trainer.science.probe import probe_run
    from trainer.science.probe_report import draw_probe, probe_json, probe_lines

    asked = build_config(ProbeOptions, options)
    found = probe_run(run, asked, note(quiet))
    if asked.plot is not None:
        draw_probe(found, asked.plot)
    if as_json:
        print_json(probe_json(found))
        return
    for line in probe_lines(found):
        click.echo(line)


@click.command(short_help="Whether a filter, a mixture or a setting helps.")
@click.argument("grid", type=_DIRECTORY)
@quiet_option()
@json_option()
def sweep(grid: Path, quiet: bool, as_json: bool) -> None:
    """Train the variants that GRID names, of recipes, data or settings, with equal budgets and the same seeds, and compare
    their losses by domain on the same validation sets; and say what each stage did to their data. What is made and trained
    is taken as it is when the same command is given again."""
    share_cores()
    from trainer.science.sweep import run_sweep
    from trainer.science.sweep_report import sweep_json, sweep_lines

    found = run_sweep(grid, note(quiet))
    if as_json:
        print_json(sweep_json(found))
        return
    for line in sweep_lines(found):
        click.echo(line)


@click.group(cls=Group, short_help="Scaling laws: train a ladder, fit, extrapolate.")
def scale() -> None:
    """Scaling laws from runs of this machine."""


@scale.command(name="run", short_help="Train the ladder of a YAML file.")
@click.argument("grid", type=_DIRECTORY)
@quiet_option()
def scale_run(grid: Path, quiet: bool) -> None:
    """Train the runs that GRID names, smallest first; the same command again goes on where it was stopped."""
    share_cores()
    from trainer.science.ladder import run_ladder

    for path in run_ladder(grid, note(quiet)):
        click.echo(path)


@scale.command(name="fit", short_help="Fit a law to runs, and extrapolate.")
@click.argument("runs", type=_DIRECTORY, nargs=-1, required=True)
@config_options(ScaleFitOptions)
@json_option()
def scale_fit(runs: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """Fit a law to the losses of finished RUNS, or of CSV files with the columns parameters, tokens and loss: its numbers with
    intervals, what it predicts for a target and for the largest runs, IsoFLOP minima."""
    share_cores()
    from trainer.science.scale_fit import draw_fit, fit_json, fit_lines, fit_scale, read_measurements

    asked = build_config(ScaleFitOptions, options)
    fitted = fit_scale(read_measurements(runs, asked), asked)
    if asked.plot is not None:
        draw_fit(fitted, asked.plot)
    if as_json:
        print_json(fit_json(fitted))
        return
    for line in fit_lines(fitted):
        click.echo(line)


@scale.command(name="pass-rate", short_help="Fit pass rates, and extrapolate.")
@click.argument("table", type=_DIRECTORY)
@click.option("--target-compute", type=Number(Bounds(above=0)), required=True, help="FLOPs to extrapolate to.")
@json_option()
def scale_pass_rate(table: Path, target_compute: float, as_json: bool) -> None:
    """Fit -E[log pass rate] = a·C^-k, the form of GPT-4's report, to TABLE, a CSV file with the columns compute, pass_rate
    and problem; problems that a model never solves are left out."""
    from trainer.science.pass_rate import fit_pass_rates, pass_rate_json, pass_rate_lines, read_pass_rates

    rates = read_pass_rates(table)
    law = fit_pass_rates(rates)
    if as_json:
        print_json(pass_rate_json(rates, law, target_compute))
        return
    for line in pass_rate_lines(rates, law, target_compute):
        click.echo(line)


def note(quiet: bool) -> Callable[[str], None]:
    """What is said besides a result goes to standard error, or nowhere."""
    return silent if quiet else lambda text: click.echo(text, err=True)


def silent(text: str) -> None:
    """What a quiet command says."""
