"""Fits against laws that are known: exponents, intervals, published constants."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from corpus.errors import UsageError
from trainer.science.chinchilla import CORRECTED, ParametricLoss
from trainer.science.power_law import Floats, bootstrap, fit_law, huber, objective


def _parametric(seed: int, noise: float, points: int = 60) -> tuple[Floats, Floats]:
    """Sizes and ratios as in Hoffmann et al., losses of the corrected law with noise."""
    generator = np.random.default_rng(seed)
    parameters = np.exp(generator.uniform(np.log(5e7), np.log(1e10), points))
    tokens = parameters * np.exp(generator.uniform(np.log(3), np.log(300), points))
    losses = np.array([CORRECTED(n, d) for n, d in zip(parameters, tokens, strict=True)])
    return np.stack([parameters, tokens], 1), losses * np.exp(noise * generator.standard_normal(points))


def _compute(seed: int, noise: float, points: int = 8) -> tuple[Floats, Floats]:
    generator = np.random.default_rng(seed)
    compute = np.geomspace(1e17, 1e21, points)
    return compute[:, None], (60 * compute**-0.08 + 1.6) * np.exp(noise * generator.standard_normal(points))


def test_without_noise_the_law_comes_back() -> None:
    values, losses = _parametric(0, 0.0)
    law = fit_law(values, losses)
    assert law.exponents == pytest.approx([0.3478, 0.3658], rel=1e-4)
    assert law.coefficients == pytest.approx([482.01, 2085.43, 1.8172], rel=1e-3)
    values, losses = _compute(0, 0.0)
    law = fit_law(values, losses)
    assert law.exponents == pytest.approx([0.08], rel=1e-3)
    assert law.coefficients == pytest.approx([60, 1.6], rel=3e-3)


def test_no_other_optimizer_finds_a_lower_sum() -> None:
    # L-BFGS from many starts, as the papers do it, on the sum of Huber losses
    values, losses = _parametric(3, 5e-3, 40)
    law = fit_law(values, losses)
    logs, log_losses = np.log(values), np.log(losses)

    def total(x: Floats) -> float:
        terms = np.stack([x[0] - x[3] * logs[:, 0], x[1] - x[4] * logs[:, 1], np.full(len(logs), x[2])])
        return float(huber(np.logaddexp.reduce(terms, axis=0) - log_losses))

    starts = [
        (a, b, e, alpha, beta) for a in (0, 10) for b in (0, 10) for e in (0, 1) for alpha in (0.5,) for beta in (0.5,)
    ]
    best = min(
        minimize(total, np.array(start, float), method="Nelder-Mead", options={"maxfev": 4000}).fun for start in starts
    )
    assert law.objective <= best * (1 + 1e-6)
    assert law.objective == pytest.approx(objective(law, values, losses))


def test_huber_is_square_near_zero_and_straight_beyond() -> None:
    assert huber(np.array([5e-4])) == pytest.approx(0.5 * 25e-8)
    assert huber(np.array([1.0])) == pytest.approx(1e-3 * (1 - 5e-4))


def test_an_outlier_moves_the_law_less_than_least_squares() -> None:
    values, losses = _parametric(1, 1e-4)
    losses[7] *= 1.5
    assert fit_law(values, losses).exponents == pytest.approx([0.3478, 0.3658], abs=0.01)


@pytest.mark.parametrize("kind", ["compute", "parametric"])
@pytest.mark.parametrize("trials", [12, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_intervals_hold_the_true_exponents(kind: str, trials: int) -> None:
    true = [0.08] if kind == "compute" else [0.3478, 0.3658]
    held = np.zeros(len(true))
    for seed in range(1000, 1000 + trials):
        values, losses = _compute(seed, 3e-3) if kind == "compute" else _parametric(seed, 2e-3)
        found = bootstrap(values, losses, draws=150, level=0.98, seed=seed)
        for column, exponent in enumerate(true):
            low, high = found.interval(lambda law, column=column: float(law.exponents[column]))  # type: ignore[misc]
            held[column] += low <= exponent <= high
    # intervals of 98 % hold it in at least 95 % of many trials; of twelve one may fail
    assert (held >= (0.95 * trials if trials > 100 else trials - 1)).all()


def test_extrapolation_as_gpt_4s_report_does_it() -> None:
    # a law in C from runs of at most a 10,000th of the compute predicts the loss there
    trials, held = 12, 0
    for seed in range(trials):
        values, losses = _compute(seed, 1e-3, 10)
        found = bootstrap(values, losses, draws=120, seed=seed)
        low, high = found.interval(lambda law: law.loss(1e25))
        held += low <= 60 * 1e25**-0.08 + 1.6 <= high
        assert found.law.loss(1e25) == pytest.approx(60 * 1e25**-0.08 + 1.6, rel=0.03)
    assert held >= trials - 1


def test_a_fixed_floor_needs_a_point_less() -> None:
    values, losses = _compute(0, 0.0, 3)
    with pytest.raises(UsageError, match="3 different points are too few for the 3 numbers"):
        fit_law(values, losses)
    law = fit_law(values, losses, irreducible=1.6)
    assert law.exponents == pytest.approx([0.08], rel=1e-4) and law.coefficients[1] == pytest.approx(1.6)


def test_what_no_law_goes_through_is_refused() -> None:
    with pytest.raises(UsageError, match="fewer than three different values of N"):
        fit_law(np.stack([np.full(8, 1e6), np.geomspace(1e6, 1e9, 8)], 1), np.linspace(4, 3, 8))
    with pytest.raises(UsageError, match="do not fall"):
        fit_law(np.geomspace(1e6, 1e9, 8)[:, None], np.linspace(3, 4, 8))


def test_compute_optimal_exponent_of_the_fit() -> None:
    values, losses = _parametric(0, 0.0)
    law = fit_law(values, losses)
    (a, b, e), (alpha, beta) = law.coefficients, law.exponents
    fitted = ParametricLoss(float(e), float(a), float(b), float(alpha), float(beta))
    assert fitted.optimum()[1] == pytest.approx(CORRECTED.optimum()[1], rel=1e-3)
