"""Fits of L(C) = a·C^b + c and L(N, D) = E + A/N^α + B/D^β to measured losses, with intervals.

The objective is the *sum* of Huber losses (δ = 1e-3) of log L, as in Hoffmann et al. 2022, section 3.3 (a mean makes
optimizers stop early: Besiroglu et al. 2024). For given exponents both laws are linear in their coefficients, so a grid of
exponents with a linear least-squares solution of relative errors each finds the valley, and Levenberg-Marquardt its floor. Everything is deterministic: the bootstrap draws from a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from corpus.errors import UsageError

Floats: TypeAlias = npt.NDArray[np.float64]
DELTA = 1e-3
"""Of the Huber loss, in nats of log L."""
_STARTS = 6
"""Points of the grid from which the floor is looked for."""
_LEAST, _LARGEST = 1e-4, 3.0
"""Exponents are looked for between these: a few noisy runs would allow steps, which predict nothing."""
_ROUNDS = 300
"""Most steps of the descent."""
_EXPONENTS = np.concatenate([np.geomspace(0.01, 0.1, 12), np.linspace(0.12, 1.5, 47)])


@dataclass(frozen=True)
class Law:
    """A fitted law: log L = log Σ exp(intercept_i − exponent_i · log x_i), the last term without x.

    `intercepts` [terms + 1], `exponents` [terms]; `floor` says whether the irreducible loss is fitted or fixed.
    """

    intercepts: Floats
    exponents: Floats
    objective: float = 0.0

    @property
    def coefficients(self) -> Floats:
        """The factors of the terms, then the irreducible loss."""
        return np.exp(self.intercepts)

    def log_loss(self, logs: Floats) -> Floats:
        """log L at points [n, terms] of log x: [n]."""
        terms = self.intercepts[:-1] - self.exponents * logs
        floor = np.broadcast_to(self.intercepts[-1], (len(logs), 1))
        return np.asarray(np.logaddexp.reduce(np.concatenate([terms, floor], axis=1), axis=1))

    def loss(self, *values: float) -> float:
        """L at one point: C, or N and D."""
        return float(np.exp(self.log_loss(np.log(np.asarray([values], np.float64)))[0]))


def huber(residuals: Floats) -> Floats:
    """The sums of the Huber losses of residuals [..., n]: [...]."""
    size = np.abs(residuals)
    return np.asarray(np.where(size <= DELTA, 0.5 * size**2, DELTA * (size - 0.5 * DELTA)).sum(-1))


def objective(law: Law, values: Floats, losses: Floats) -> float:
    """The sum of Huber losses of a law at points `values` [n, terms] with `losses` [n]."""
    return float(huber(law.log_loss(np.log(values)) - np.log(losses)))


def fit_law(values: Floats, losses: Floats, irreducible: float | None = None) -> Law:
    """The law through points `values` [n, terms] (C; or N, D) with `losses` [n]; `irreducible` fixes its last term.

    A UsageError where there are not more points than numbers to fit, or all points have one size.
    """
    terms = values.shape[1]
    wanted = 2 * terms + (irreducible is None)
    different = len(np.unique(values, axis=0))
    if different <= wanted:
        raise UsageError(
            f"{different} different points are too few for the {wanted} numbers of the law: give at least {wanted + 1} runs"
            + ("." if irreducible is not None else ", or fix the irreducible loss with --irreducible.")
        )
    for column, what in zip(values.T, ("C",) if terms == 1 else ("N", "D"), strict=True):
        if len(np.unique(column)) < 3:
            raise UsageError(f"the runs have fewer than three different values of {what}: vary it.")
    logs, log_losses = np.log(values), np.log(losses)
    starts = _grid(logs, losses, irreducible)
    return min(_polished(starts, logs, log_losses, irreducible), key=lambda law: law.objective)


def _grid(logs: Floats, losses: Floats, irreducible: float | None) -> list[Law]:
    """The best laws of a grid of exponents, whose coefficients are the linear solution for relative errors."""
    terms = logs.shape[1]
    middle = logs.mean(0)
    grid = np.stack(np.meshgrid(*[_EXPONENTS] * terms, indexing="ij"), -1).reshape(-1, terms)
    powers = np.exp(-grid[:, None, :] * (logs - middle))  # [grid, n, terms]
    fixed = 0.0 if irreducible is None else irreducible
    columns = powers if irreducible is not None else np.concatenate([powers, np.ones((*powers.shape[:2], 1))], 2)
    columns, wanted = columns / losses[:, None], (losses - fixed) / losses
    square = columns.transpose(0, 2, 1) @ columns
    # a little ridge: two equal exponents of N and D that move together leave the matrix singular
    square += 1e-12 * np.eye(square.shape[-1]) * np.trace(square, axis1=1, axis2=2)[:, None, None]
    right = np.einsum("gnk,n->gk", columns, wanted)
    solution = np.linalg.solve(square, right[..., None])[..., 0]
    errors = ((np.einsum("gnk,gk->gn", columns, solution) - wanted) ** 2).sum(1)
    errors[(solution[:, :terms] <= 0).any(1)] = np.inf
    if irreducible is None:
        # a floor below nothing is none: such exponents are started from a small one
        solution[:, -1] = np.maximum(solution[:, -1], 1e-3 * losses.min())
    found = []
    for number in np.argsort(errors, kind="stable")[:_STARTS]:
        if not np.isfinite(errors[number]):
            break
        factors = np.log(solution[number, :terms]) + grid[number] * middle
        floor = solution[number, -1] if irreducible is None else max(fixed, 1e-300)
        found.append(Law(np.append(factors, np.log(floor)), grid[number]))
    if not found:
        raise UsageError("the losses do not fall with size: no power law goes through these runs.")
    return found


@dataclass(frozen=True)
class _Batch:
    """Laws in work, all at once: `numbers` [laws, free + terms] are the fitted intercepts (at the middle of the logs), then
    the exponents; `fixed` the last intercept where it is not fitted."""

    centred: Floats
    fixed: float | None

    @property
    def free(self) -> int:
        """Fitted intercepts."""
        return int(self.centred.shape[1]) + (self.fixed is None)

    def log_terms(self, numbers: Floats) -> Floats:
        """The logs of the terms of every law at every point: [laws, n, terms + 1]."""
        terms = self.centred.shape[1]
        moving = numbers[:, None, :terms] - numbers[:, None, self.free :] * self.centred
        last = np.full(len(numbers), self.fixed) if self.fixed is not None else numbers[:, terms]
        return np.concatenate([moving, np.broadcast_to(last[:, None, None], (*moving.shape[:2], 1))], 2)

    def laws(self, numbers: Floats, middle: Floats, objectives: Floats) -> list[Law]:
        """The laws of some numbers, without the centring."""
        terms = self.centred.shape[1]
        intercepts = self.log_terms(numbers)[:, 0].copy()
        intercepts[:, :terms] = numbers[:, :terms] + numbers[:, self.free :] * middle
        return [
            Law(line, exponents, float(value))
            for line, exponents, value in zip(intercepts, numbers[:, self.free :], objectives, strict=True)
        ]


def _polished(starts: Sequence[Law], logs: Floats, log_losses: Floats, irreducible: float | None) -> list[Law]:
    """The floors of the valleys of `starts`: Levenberg-Marquardt over all of them at once, with the weights of Huber's
    loss. `log_losses` are [n], or [starts, n] for each its own."""
    middle = logs.mean(0)
    terms = logs.shape[1]
    fixed = None if irreducible is None else float(starts[0].intercepts[-1])
    batch = _Batch(logs - middle, fixed)
    numbers = np.stack([np.append(start.intercepts[: batch.free], start.exponents) for start in starts])
    numbers[:, :terms] -= numbers[:, batch.free :] * middle
    damping = np.full(len(starts), 1e-3)
    residuals, jacobian = _linearised(batch, numbers, log_losses)
    objectives = huber(residuals)
    for _ in range(_ROUNDS):
        weights = np.minimum(1.0, DELTA / np.maximum(np.abs(residuals), 1e-300))
        weighted = jacobian * weights[..., None]
        square = weighted.transpose(0, 2, 1) @ jacobian
        slope = np.einsum("gnk,gn->gk", weighted, residuals)
        diagonal = np.einsum("gkk->gk", square)
        square = square + np.eye(square.shape[-1]) * (damping[:, None] * diagonal + 1e-14)[:, None, :]
        tried = numbers - np.clip(np.linalg.solve(square, slope[..., None])[..., 0], -3, 3)
        tried[:, batch.free :] = np.clip(tried[:, batch.free :], _LEAST, _LARGEST)
        new_residuals, new_jacobian = _linearised(batch, tried, log_losses)
        values = huber(new_residuals)
        better = values < objectives
        settled = np.abs(values - objectives) <= 1e-10 * objectives + 1e-24
        numbers = np.where(better[:, None], tried, numbers)
        residuals = np.where(better[:, None], new_residuals, residuals)
        jacobian = np.where(better[:, None, None], new_jacobian, jacobian)
        objectives = np.where(better, values, objectives)
        damping = np.clip(np.where(better, damping * 0.2, damping * 5), 1e-12, 1e8)
        if (settled | (damping >= 1e8)).all():
            break
    return batch.laws(numbers, middle, objectives)


def _linearised(batch: _Batch, numbers: Floats, log_losses: Floats) -> tuple[Floats, Floats]:
    """Residuals [laws, n] and their derivatives [laws, n, numbers]."""
    log_terms = batch.log_terms(numbers)
    top = log_terms.max(2, keepdims=True)
    parts = np.exp(log_terms - top)
    whole = parts.sum(2, keepdims=True)
    shares = parts / whole
    residuals = (top + np.log(whole))[..., 0] - log_losses
    terms = batch.centred.shape[1]
    return residuals, np.concatenate([shares[..., : batch.free], -shares[..., :terms] * batch.centred], 2)


@dataclass(frozen=True)
class Bootstrap:
    """A law with the laws of a parametric bootstrap around it.

    Each draw takes a scale of the noise that the residuals allow (their variance over a χ² draw, so that intervals of few
    points are as wide as Student's), new losses of the law with that noise, and fits again.
    """

    law: Law
    draws: tuple[Law, ...]
    noises: Floats
    level: float

    def interval(self, number: Callable[[Law], float], noisy: bool = False) -> tuple[float, float]:
        """Between which values a number of the law lies at `level`; `noisy`: a loss that a new run will measure."""
        values, own = np.array([number(draw) for draw in self.draws]), number(self.law)
        normal = NormalDist()
        # bias-corrected percentiles (Efron 1981): the draws of a flat valley lie to one side of it
        below = ((values < own).sum() + 0.5 * (values == own).sum()) / len(values)
        bias = normal.inv_cdf(min(max(below, 0.5 / len(values)), 1 - 0.5 / len(values)))
        tail = normal.inv_cdf((1 + self.level) / 2)
        shares = [normal.cdf(2 * bias - tail), normal.cdf(2 * bias + tail)]
        if noisy:
            generator = np.random.default_rng(1)
            values = values * np.exp(self.noises * generator.standard_normal(len(values)))
        low, high = np.quantile(values, shares, method="weibull")
        return float(low), float(high)


def bootstrap(
    values: Floats,
    losses: Floats,
    *,
    draws: int = 200,
    level: float = 0.95,
    seed: int = 0,
    irreducible: float | None = None,
) -> Bootstrap:
    """`fit_law` with its bootstrap; arguments as there."""
    law = fit_law(values, losses, irreducible)
    logs = np.log(values)
    centre = law.log_loss(logs)
    freedom = len(losses) - 2 * values.shape[1] - (irreducible is None)
    spread = ((np.log(losses) - centre) ** 2).sum()
    generator = np.random.default_rng(seed)
    noises = np.sqrt(spread / generator.chisquare(freedom, draws))
    drawn = centre + noises[:, None] * generator.standard_normal((draws, len(losses)))
    return Bootstrap(law, tuple(_polished([law] * draws, logs, drawn, irreducible)), noises, level)
