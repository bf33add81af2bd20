"""−E[log pass rate] = a·C^−k over problems, the form of GPT-4's technical report (section 3.2) for HumanEval; accuracies
take the same form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from corpus.errors import UsageError
from trainer.science.measurements import number_of, read_columns


@dataclass(frozen=True)
class PassRates:
    """Mean log pass rates at some budgets [n], over the `problems` that every fitted model solves at least once; `left_out`
    are the others."""

    compute: npt.NDArray[np.float64]
    mean_log: npt.NDArray[np.float64]
    problems: int
    left_out: int


@dataclass(frozen=True)
class PassLaw:
    """−E[log pass] = a·C^−k with intervals by a parametric bootstrap of the straight line in logs."""

    a: float
    k: float
    draws: npt.NDArray[np.float64]
    level: float

    def pass_rate(self, compute: float) -> float:
        """exp E[log pass]: the geometric mean of the pass rates at a budget."""
        return math.exp(-self.a * compute**-self.k)

    def interval(self, compute: float) -> tuple[float, float]:
        """Of the geometric mean at a budget."""
        values = np.exp(-np.exp(self.draws[:, 0] - self.draws[:, 1] * math.log(compute)))
        return _ends(values, self.level)

    def exponent_interval(self) -> tuple[float, float]:
        """Of k."""
        return _ends(self.draws[:, 1], self.level)


def _ends(values: npt.NDArray[np.float64], level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def read_pass_rates(path: Path) -> PassRates:
    """A CSV file with the columns compute, pass_rate (from 0 to 1, or accuracy), and problem where there are several.

    A problem that a model never solves has no logarithm: it is left out for all models, as in the report. A UsageError
    where a problem is not there at every budget.
    """
    table: dict[str, dict[float, float]] = {}
    for number, row in enumerate(read_columns(path, ("compute", "pass_rate"), ("problem",)), 1):
        compute = number_of(path, number, "compute", row["compute"])
        rate = number_of(path, number, "pass_rate", row["pass_rate"], -1e-9)
        if rate > 1:
            raise UsageError(f"{path}, row {number}: pass_rate is {row['pass_rate']}; give a share from 0 to 1.")
        rates = table.setdefault(row["problem"], {})
        if compute in rates:
            raise UsageError(
                f"{path}, row {number}: the budget {compute:g} has this problem twice: give one row of each."
            )
        rates[compute] = rate
    budgets = sorted({compute for rates in table.values() for compute in rates})
    for problem, rates in table.items():
        if len(rates) < len(budgets):
            raise UsageError(f"{path}: the problem '{problem}' is not there for every budget: give all of its rows.")
    kept = [rates for rates in table.values() if min(rates.values()) > 0]
    if not kept:
        raise UsageError(f"{path} has no problem that every model solves: evaluate with more samples.")
    means = [float(np.mean([math.log(rates[compute]) for rates in kept])) for compute in budgets]
    return PassRates(np.array(budgets), np.array(means), len(kept), len(table) - len(kept))


def fit_pass_rates(rates: PassRates, draws: int = 1000, level: float = 0.95, seed: int = 0) -> PassLaw:
    """The law through some budgets; a UsageError with fewer than three, or where everything is solved."""
    if len(rates.compute) < 3:
        raise UsageError(f"{len(rates.compute)} budgets are too few for the two numbers of the law: give at least 3.")
    if (rates.mean_log >= 0).any():
        raise UsageError("a model solves everything, so that −log of its pass rate has no logarithm: leave it out.")
    logs, values = np.log(rates.compute), np.log(-rates.mean_log)
    line, centre = _line(logs, values)
    generator = np.random.default_rng(seed)
    spread = ((values - centre) ** 2).sum()
    noises = np.sqrt(spread / generator.chisquare(len(logs) - 2, draws))
    drawn = centre + noises[:, None] * generator.standard_normal((draws, len(logs)))
    found = np.array([_line(logs, each)[0] for each in drawn])
    return PassLaw(float(np.exp(line[0])), float(line[1]), found, level)


def _line(
    logs: npt.NDArray[np.float64], values: npt.NDArray[np.float64]
) -> tuple[tuple[float, float], npt.NDArray[np.float64]]:
    """Intercept and falling exponent of a least-squares line, and its values."""
    slope, intercept = np.polyfit(logs, values, 1)
    return (float(intercept), float(-slope)), intercept + slope * logs


def pass_rate_lines(rates: PassRates, law: PassLaw, target: float) -> Iterator[str]:
    """The fit and its prediction as lines."""
    out = f"; {rates.left_out} left out, which some model never solves" if rates.left_out else ""
    yield f"{rates.problems} problems{out}"
    for compute, mean in zip(rates.compute, rates.mean_log, strict=True):
        yield f"{compute:9.3g} FLOPs  pass rate {math.exp(mean):.4f}  law {law.pass_rate(float(compute)):.4f}"
    low, high = law.exponent_interval()
    yield f"-E[log pass] = {law.a:.4g}·C^-{law.k:.4f}  (k from {low:.4f} to {high:.4f})"
    low, high = law.interval(target)
    yield f"target: {target:.3g} FLOPs, pass rate {law.pass_rate(target):.4f} ({low:.4f} to {high:.4f}), geometric mean"


def pass_rate_json(rates: PassRates, law: PassLaw, target: float) -> dict[str, Any]:
    """The same for programs."""
    low, high = law.interval(target)
    return {
        "a": law.a,
        "k": law.k,
        "k_interval": law.exponent_interval(),
        "problems": rates.problems,
        "left_out": rates.left_out,
        "target": {"compute": target, "pass_rate": law.pass_rate(target), "low": low, "high": high},
    }
