"""The laws of compute-optimal training against the numbers that the papers print."""

from __future__ import annotations

import math

import pytest

from trainer.science.allocation import Allocation, AllocationLaw
from trainer.science.chinchilla import (
    APPROACH_1,
    APPROACH_2,
    APPROACH_3_CORRECTED,
    APPROACH_3_PRINTED,
    APPROACH_3_UNROUNDED,
    CORRECTED,
    PRINTED,
    TWENTY,
    UNROUNDED,
)
from trainer.science.kaplan import KAPLAN, PF_DAY, critical_batch
from trainer.science.known_runs import KNOWN_RUNS
from trainer.science.overtraining import least_total, tokens_for
from trainer.science.repetition import best_with, effective_tokens, repeated_loss

B, T = 1e9, 1e12
# parameters: FLOPs and tokens of approach 1 (Table 3) and of approach 2 (Table A3), Hoffmann et al. 2022
TABLES = {
    "1": {
        0.4 * B: ("1.92e19", "8.0B"), 1 * B: ("1.21e20", "20.2B"), 10 * B: ("1.23e22", "205.1B"),
        175 * B: ("3.85e24", "3.7T"), 280 * B: ("9.90e24", "5.9T"), 520 * B: ("3.43e25", "11.0T"),
        1 * T: ("1.27e26", "21.2T"), 10 * T: ("1.30e28", "216.2T"),
    },
    "2": {
        0.4 * B: ("1.84e19", "7.7B"), 1 * B: ("1.20e20", "20.0B"), 10 * B: ("1.32e22", "219.5B"),
        175 * B: ("4.54e24", "4.3T"), 280 * B: ("1.18e25", "7.1T"), 520 * B: ("4.19e25", "13.4T"),
        1 * T: ("1.59e26", "26.5T"), 10 * T: ("1.75e28", "292.0T"),
    },
}  # fmt: skip
LAWS = {"1": APPROACH_1, "2": APPROACH_2}
# the same for approach 3; 175B is printed as 1.26e24
TABLE_A3_APPROACH_3 = {
    0.4 * B: 2.21e19, 1 * B: 1.62e20, 10 * B: 2.46e22, 67 * B: 1.71e24, 175 * B: 1.26e25, 280 * B: 3.52e25,
    520 * B: 1.36e26, 1 * T: 5.65e26, 10 * T: 8.55e28,
}  # fmt: skip


def _printed(tokens: float, like: str) -> str:
    return f"{tokens / (B if like[-1] == 'B' else T):.1f}{like[-1]}"


@pytest.mark.parametrize(("approach", "parameters"), [(a, n) for a, rows in TABLES.items() for n in rows])
def test_tables_3_and_a3_within_their_rounding(approach: str, parameters: float) -> None:
    compute, tokens = TABLES[approach][parameters]
    found = LAWS[approach].at_parameters(parameters)
    assert _printed(found.tokens, tokens) == tokens
    # the paper's FLOPs come from unrounded tokens: the last of three digits can differ by one
    assert found.compute == pytest.approx(float(compute), rel=6e-3)


def test_row_of_67_billion_is_of_no_power_law_through_the_others() -> None:
    # it has the tokens of a 70B model, and in Table 3 Gopher's FLOPs
    assert _printed(APPROACH_1.at_parameters(67 * B).tokens, "T") == "1.4T"
    assert _printed(APPROACH_1.at_parameters(70 * B).tokens, "T") == "1.5T"
    assert _printed(APPROACH_2.at_parameters(67 * B).tokens, "T") == "1.6T"
    assert _printed(APPROACH_2.at_parameters(70 * B).tokens, "T") == "1.7T"


@pytest.mark.parametrize("parameters", TABLE_A3_APPROACH_3)
def test_unrounded_constants_are_near_approach_3s_column(parameters: float) -> None:
    # the column is of yet another fit: the exponents .46 and .54 are the same, the sizes within a tenth
    found = APPROACH_3_UNROUNDED.at_compute(TABLE_A3_APPROACH_3[parameters])
    assert found.parameters == pytest.approx(parameters, rel=0.1)


def test_exponents_are_those_of_table_2() -> None:
    found = [round(law.exponent, 2) for law in (APPROACH_1, APPROACH_2, APPROACH_3_UNROUNDED)]
    assert found == [0.50, 0.49, 0.46]


@pytest.mark.parametrize(
    ("law", "ratio"), [(APPROACH_3_PRINTED, 93), (APPROACH_3_UNROUNDED, 59), (APPROACH_3_CORRECTED, 18), (TWENTY, 20)]
)
def test_tokens_a_parameter_at_chinchillas_budget(law: AllocationLaw, ratio: int) -> None:
    assert round(law.at_compute(5.76e23).ratio) == ratio


def test_printed_and_corrected_agree_at_small_budgets() -> None:
    printed, corrected = (law.at_compute(1e18).ratio for law in (APPROACH_3_PRINTED, APPROACH_3_CORRECTED))
    assert round(printed, 1) == round(corrected, 1) == 25.7


@pytest.mark.parametrize("law", [APPROACH_1, APPROACH_3_CORRECTED, KAPLAN])
def test_optima_of_compute_parameters_and_tokens_are_one(law: AllocationLaw) -> None:
    optimum = law.at_compute(3e21)
    assert optimum.compute == pytest.approx(3e21)
    assert law.at_parameters(optimum.parameters).tokens == pytest.approx(optimum.tokens)
    assert law.at_tokens(optimum.tokens).parameters == pytest.approx(optimum.parameters)


@pytest.mark.parametrize("loss", [PRINTED, UNROUNDED, CORRECTED])
def test_the_closed_form_is_the_minimum(loss: object) -> None:
    assert callable(loss) and hasattr(loss, "optimum")
    coefficient, exponent = loss.optimum()
    parameters = coefficient * 1e22**exponent
    at = [loss(parameters * factor, 1e22 / 6 / parameters / factor) for factor in (0.99, 1.0, 1.01)]
    assert min(at) == at[1]
    assert loss.compute_for(at[1]) == pytest.approx(1e22, rel=1e-6)
    assert loss.compute_for(loss.irreducible) == math.inf


def test_kaplan() -> None:
    assert KAPLAN.at_compute(PF_DAY).parameters == pytest.approx(1.3e9)
    assert KAPLAN.loss is not None
    # with unlimited data L(N) = (8.8e13/N)^.076 up to the joint fit's constants
    assert KAPLAN.loss(1e9, 1e30) == pytest.approx((6.4e13 / 1e9) ** 0.076)
    assert critical_batch(2.0) == pytest.approx(2e8 / 2 ** (1 / 0.21))


def test_papers_models_lie_where_their_authors_put_them() -> None:
    chinchilla, palm, small = (KNOWN_RUNS[name] for name in ("Chinchilla 70B", "PaLM 540B", "LLaMA 7B"))
    gpt3, large = KNOWN_RUNS["GPT-3 175B"], KNOWN_RUNS["LLaMA 65B"]
    assert chinchilla.ratio == 20
    assert palm.compute == pytest.approx(2.53e24, rel=2e-3)
    assert (round(palm.ratio, 1), round(gpt3.ratio, 1)) == (1.4, 1.7)
    assert round(large.ratio, 1) == 21.5 and round(small.ratio) == 149
    # PaLM's size is 3.8 times the optimum of its compute, LLaMA 65B's within a tenth of it, LLaMA 7B's 2.7 times below
    assert palm.parameters / APPROACH_1.at_compute(palm.compute).parameters == pytest.approx(3.8, abs=0.05)
    assert large.parameters / APPROACH_1.at_compute(large.compute).parameters == pytest.approx(1.0, abs=0.1)
    assert APPROACH_1.at_compute(small.compute).parameters / small.parameters == pytest.approx(2.7, abs=0.05)


def test_muennighoffs_losses() -> None:
    # the two that the README of the paper's repository prints
    assert repeated_loss(6.34e9, 242e9, 25e9) == pytest.approx(2.2256440889984477, rel=1e-12)
    assert repeated_loss(8.67e9, 178e9, 25e9) == pytest.approx(2.2269634075087867, rel=1e-12)


def test_worth_of_epochs() -> None:
    worth = [effective_tokens(epochs, 1.0) for epochs in (1, 2, 4, 8, 16, 40)]
    assert [float(f"{value:.3g}") for value in worth] == [1.0, 1.97, 3.73, 6.62, 10.6, 15.2]


def test_repetition_wants_fewer_parameters_and_more_epochs() -> None:
    # the README's search over factors of 1/3 to 3 on a grid finds 227B tokens, 9.1 epochs, 6.8B parameters
    best = best_with(25e9, 6 * 8.67e9 * 178e9)
    assert best.allocation.parameters == pytest.approx(6.8e9, rel=0.01)
    assert best.epochs == pytest.approx(9.1, rel=0.01)
    assert best.loss < repeated_loss(8.67e9, 178e9, 25e9)


def test_without_repetition_the_loss_is_that_of_the_law() -> None:
    plenty = best_with(1e15, 1e20)
    assert plenty.epochs < 1 and plenty.loss == plenty.fresh_loss


def test_overtraining_is_the_least_of_a_grid() -> None:
    optimum, used = APPROACH_3_CORRECTED.at_compute(1e22), 5e11
    found = least_total(CORRECTED, 1e22, used)
    loss = CORRECTED(optimum.parameters, optimum.tokens)
    assert CORRECTED(found.parameters, found.tokens) == pytest.approx(loss, rel=1e-9)

    def total(each: Allocation) -> float:
        return each.compute + 2 * each.parameters * used

    sizes = [optimum.parameters * 0.99**k for k in range(120)]
    grid = [Allocation(n, tokens_for(CORRECTED, loss, n)) for n in sizes]
    assert total(found) <= min(total(each) for each in grid) * (1 + 1e-9)
    assert found.parameters < 0.9 * optimum.parameters
    # without use it is the optimum
    assert least_total(CORRECTED, 1e22, 1.0).parameters == pytest.approx(optimum.parameters, rel=1e-3)
