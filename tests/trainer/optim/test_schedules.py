"""Golden tables of every schedule."""

from __future__ import annotations

import pytest

from corpus.errors import UsageError
from trainer.optim.schedules import SCHEDULES, ScheduleConfig, factor, length_of

# runs of 100 steps, warm-up 10 (noam: 16), final 0.1; worked out by hand
GOLDEN: dict[str, dict[int, float]] = {
    "constant": {1: 0.1, 5: 0.5, 10: 1.0, 55: 1.0, 100: 1.0},
    "cosine": {1: 0.1, 5: 0.5, 10: 1.0, 55: 0.55, 100: 0.1, 40: 0.775, 70: 0.325},
    "linear": {1: 0.1, 10: 1.0, 55: 0.55, 100: 0.1, 19: 0.91},
    "inverse-square-root": {1: 0.1, 10: 1.0, 16: 1.0, 25: 0.8, 64: 0.5, 100: 0.4},
    "noam": {1: 1 / 16, 4: 0.25, 16: 1.0, 64: 0.5, 100: 0.4},
    "wsd": {1: 0.1, 10: 1.0, 79: 1.0, 80: 1.0, 85: 0.775, 90: 0.55, 100: 0.1},
}


def test_there_is_a_table_for_each() -> None:
    assert set(GOLDEN) == set(SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
def test_golden_table(name: str) -> None:
    config = ScheduleConfig(name=name, warmup=16 if name == "noam" else 10, hold=16, decay=20, final=0.1)
    for step, wanted in GOLDEN[name].items():
        assert factor(config, step, 100) == pytest.approx(wanted, abs=1e-12), step


def test_palm_is_one_over_root_k_after_ten_thousand_steps() -> None:
    palm = ScheduleConfig(name="inverse-square-root", warmup=0, hold=10000)
    for step, rate in ((1, 1e-2), (10_000, 1e-2), (10_001, 10_001**-0.5), (40_000, 40_000**-0.5)):
        assert 1e-2 * factor(palm, step, 255_000) == pytest.approx(rate, rel=1e-12)


def test_lengths_below_one_are_shares() -> None:
    assert length_of(0.05, 200) == 10
    assert length_of(2000, 200) == 2000
    assert length_of(0, 200) == 0


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_short_runs_have_rates_above_zero(name: str, steps: int) -> None:
    config = ScheduleConfig(name=name, warmup=0.3, hold=0.3, decay=0.3)
    rates = [factor(config, step, steps) for step in range(1, steps + 1)]
    assert all(0 < rate <= 1 for rate in rates)


def test_negative_lengths_are_refused() -> None:
    with pytest.raises(UsageError, match="warmup"):
        ScheduleConfig(warmup=-1)
