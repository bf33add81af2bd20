"""`trainer scale fit`: the laws through some runs, what they predict, and what the largest runs say of that."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpus.errors import UsageError
from trainer.science.chart import Axis, Series, draw
from trainer.science.chinchilla import ParametricLoss
from trainer.science.isoflop import IsoFlop, isoflop
from trainer.science.measurements import Measurement, check_losses, columns, read_runs, read_table
from trainer.science.power_law import Bootstrap, Law, bootstrap
from trainer.science.scale_options import ScaleFitOptions


@dataclass(frozen=True)
class Prediction:
    """A loss that the law predicts, with the interval of what a run will measure; `measured` where there is one."""

    name: str
    compute: float
    loss: float
    low: float
    high: float
    measured: float | None = None


@dataclass(frozen=True)
class ScaleFit:
    """The fit and what follows from it."""

    options: ScaleFitOptions
    points: tuple[Measurement, ...]
    fitted: Bootstrap
    predictions: tuple[Prediction, ...]
    profiles: IsoFlop

    @property
    def numbers(self) -> dict[str, tuple[float, tuple[float, float]]]:
        """The law's numbers by their names, each with its interval."""
        if self.options.law == "compute":
            readers: dict[str, Callable[[Law], float]] = {
                "a": lambda law: float(law.coefficients[0]),
                "b": lambda law: -float(law.exponents[0]),
                "c": lambda law: float(law.coefficients[1]),
            }
        else:
            readers = {
                "E": lambda law: float(law.coefficients[2]),
                "A": lambda law: float(law.coefficients[0]),
                "B": lambda law: float(law.coefficients[1]),
                "alpha": lambda law: float(law.exponents[0]),
                "beta": lambda law: float(law.exponents[1]),
                "exponent of N in C": lambda law: float(law.exponents[1] / law.exponents.sum()),
            }
        return {name: (read(self.fitted.law), self.fitted.interval(read)) for name, read in readers.items()}


def read_measurements(paths: Sequence[Path], options: ScaleFitOptions) -> list[Measurement]:
    """The points of runs and of CSV tables."""
    tables = [path for path in paths if path.is_file()]
    runs = [path for path in paths if not path.is_file()]
    points = [point for path in tables for point in read_table(path)]
    if runs:
        points += read_runs(runs, options.domain, options.training_loss)
    check_losses(points)
    return sorted(points, key=lambda point: point.compute)


def fit_scale(points: Sequence[Measurement], options: ScaleFitOptions) -> ScaleFit:
    """Fit the law of `options` to all points but the largest that are held out."""
    kept = list(points[: len(points) - options.held_out])
    names = ("compute",) if options.law == "compute" else ("parameters", "tokens")
    if not kept:
        raise UsageError(f"{options.held_out} of {len(points)} runs are held out: nothing is left to fit.")
    fitted = bootstrap(
        columns(kept, *names),
        columns(kept, "loss")[:, 0],
        draws=options.draws,
        level=options.interval,
        seed=options.seed,
        irreducible=options.irreducible,
    )
    predictions = [
        _predicted(fitted, point.name, point.compute, [getattr(point, name) for name in names], point.loss)
        for point in points[len(kept) :]
    ]
    target = _target(options, fitted.law)
    if target is not None:
        predictions.append(_predicted(fitted, "target", *target))
    return ScaleFit(options, tuple(kept), fitted, tuple(predictions), isoflop(kept))


def _target(options: ScaleFitOptions, law: Law) -> tuple[float, list[float]] | None:
    """FLOPs and arguments of the law at the target, None where none is given."""
    n, d, c = options.target_parameters, options.target_tokens, options.target_compute
    if n is not None and d is not None:
        return 6.0 * n * d, [float(n), float(d)]
    if c is None:
        return None
    if options.law == "compute":
        return c, [c]
    coefficient, exponent = _parametric(law).optimum()
    best = coefficient * c**exponent
    return c, [best, c / 6 / best]


def _parametric(law: Law) -> ParametricLoss:
    (a, b, e), (alpha, beta) = law.coefficients, law.exponents
    return ParametricLoss(float(e), float(a), float(b), float(alpha), float(beta))


def _predicted(
    fitted: Bootstrap, name: str, compute: float, values: Sequence[float], measured: float | None = None
) -> Prediction:
    low, high = fitted.interval(lambda law: law.loss(*values), noisy=True)
    return Prediction(name, compute, fitted.law.loss(*values), low, high, measured)


def fit_lines(fit: ScaleFit) -> Iterator[str]:
    """The fit as lines: points, law, predictions, IsoFLOP minima."""
    options, width = fit.options, max(len(point.name) for point in fit.points)
    yield f"{'':<{width}}  {'parameters':>14}  {'tokens':>16}  {'FLOPs':>9}  {'loss':>7}  law minus loss"
    names = ("compute",) if options.law == "compute" else ("parameters", "tokens")
    for point in fit.points:
        value = fit.fitted.law.loss(*[getattr(point, name) for name in names])
        yield (
            f"{point.name:<{width}}  {point.parameters:>14,.0f}  {point.tokens:>16,.0f}  {point.compute:>9.3g}  "
            f"{point.loss:>7.4f}  {value - point.loss:+.4f}"
        )
    law = "L(C) = a·C^b + c" if options.law == "compute" else "L(N, D) = E + A/N^α + B/D^β"
    yield f"{law} through {len(fit.points)} runs; sum of Huber losses {fit.fitted.law.objective:.4g}"
    for name, (value, (low, high)) in fit.numbers.items():
        fixed = options.irreducible is not None and name in ("c", "E")
        yield f"  {name} = {value:.5g}" + (" (given)" if fixed else f" ({low:.4g} to {high:.4g})")
    if options.law == "parametric":
        coefficient, exponent = _parametric(fit.fitted.law).optimum()
        yield f"  compute-optimal: N = {coefficient:.4g}·C^{exponent:.4f}, D = C/6N"
    yield f"intervals hold {options.interval:.0%} of {options.draws} draws of a parametric bootstrap"
    for prediction in fit.predictions:
        text = (
            f"{prediction.name}: {prediction.compute:.3g} FLOPs, predicted {prediction.loss:.4f} "
            f"({prediction.low:.4f} to {prediction.high:.4f})"
        )
        if prediction.measured is not None:
            inside = prediction.low <= prediction.measured <= prediction.high
            away = prediction.loss / prediction.measured - 1
            text += f", measured {prediction.measured:.4f}: {'inside' if inside else 'outside'}, {away:+.2%}"
        yield text
    yield from _isoflop_lines(fit.profiles)


def _isoflop_lines(profiles: IsoFlop) -> Iterator[str]:
    for profile in profiles.profiles:
        best = "its minimum lies outside of them" if profile.best is None else f"best size {profile.best:,.0f}"
        yield f"IsoFLOP {profile.compute:.3g}: {len(profile.runs)} sizes, {best}"
    if profiles.exponent is not None:
        yield f"IsoFLOP: N = {profiles.coefficient:.4g}·C^{profiles.exponent:.4f}"


def fit_json(fit: ScaleFit) -> dict[str, Any]:
    """The fit for programs."""
    return {
        "law": fit.options.law,
        "points": [vars(point) for point in fit.points],
        "objective": fit.fitted.law.objective,
        "numbers": {
            name: {"value": value, "low": low, "high": high} for name, (value, (low, high)) in fit.numbers.items()
        },
        "predictions": [vars(prediction) for prediction in fit.predictions],
        "isoflop": {
            "coefficient": fit.profiles.coefficient,
            "exponent": fit.profiles.exponent,
            "budgets": [{"compute": each.compute, "best": each.best} for each in fit.profiles.profiles],
        },
    }


def draw_fit(fit: ScaleFit, path: Path) -> None:
    """Losses over compute: the fitted runs, the law (at the points' own N and D), predictions with their intervals."""
    runs = Series("fitted", [(p.compute, p.loss) for p in fit.points], False, [p.name for p in fit.points])
    series = [runs]
    if fit.options.law == "compute":
        ends = [p.compute for p in fit.points] + [p.compute for p in fit.predictions]
        grid = np.geomspace(min(ends), max(ends), 60)
        series.append(Series("law", [(float(c), fit.fitted.law.loss(float(c))) for c in grid]))
    if fit.predictions:
        series.append(
            Series(
                "predicted",
                [(p.compute, p.loss) for p in fit.predictions],
                False,
                spread=[(p.low, p.high) for p in fit.predictions],
            )
        )
    reached = [(p.compute, p.measured) for p in fit.predictions if p.measured is not None]
    if reached:
        series.append(Series("measured", reached, False))
    assert all(math.isfinite(p.loss) for p in fit.points)
    draw(path, "Loss over compute", Axis("FLOPs", log=True), Axis("nats per token"), series)
