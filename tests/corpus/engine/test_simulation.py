"""The simulator keeps to what schedules must, and says that 10,000 tasks on 1,000 cores end in time."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.engine.simulation import QUANTILES, drawn, quantiles, simulate

_SHAPE = [0.41, 0.41, *[0.96] * 3, *[0.99] * 4, *[1.0] * 3, *[1.04] * 7, 1.57, 1.57]
"""Durations of the tasks of `corpus filter` over books in pieces, as parts of their mean (quantiles)."""
_STRAGGLERS, _SLOW = 0.01, 2.0
"""A part of the tasks takes so many times as long: a busy host."""


def twin(durations: list[float], cores: int) -> float:
    """The end of a schedule without failures: each task on the core that is free first."""
    free = [0.0] * cores
    for duration in durations:
        free[free.index(min(free))] += duration
    return max(free)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=60), st.integers(1, 20))
def test_without_failures_it_is_list_scheduling(durations: list[float], cores: int) -> None:
    found = simulate(durations, cores)
    assert found.seconds == pytest.approx(twin(durations, min(cores, len(durations)))) and not found.repeated
    assert found.seconds <= sum(durations) / cores + max(durations) + 1e-6  # Graham's bound


@given(st.lists(st.floats(1, 10), min_size=1, max_size=60), st.integers(1, 20), st.integers(0, 5))
def test_failures_cost_time_and_are_counted(durations: list[float], cores: int, seed: int) -> None:
    found = simulate(durations, cores, failing=0.1, seed=seed)
    assert found == simulate(durations, cores, failing=0.1, seed=seed)
    assert found.given_up or (found.seconds >= max(durations) and found.seconds >= sum(durations) / cores - 1e-6)


def test_a_phase_whose_tasks_always_fail_is_given_up() -> None:
    assert simulate([1.0] * 5, 2, failing=1.0).given_up


def test_durations_are_drawn_from_what_was_measured() -> None:
    measured = [random.Random(n).lognormvariate(0, 0.5) for n in range(500)]
    shape = quantiles(measured)
    assert len(shape) == QUANTILES and shape[0] == min(measured) and shape[-1] == max(measured)
    values = drawn(shape, 1000, 5000.0)
    assert sum(values) == pytest.approx(5000) and max(values) / min(values) == pytest.approx(
        shape[-1] / shape[0], rel=0.2
    )
    assert drawn([], 3, 6.0) == [2.0, 2.0, 2.0] == drawn([0.0], 3, 6.0)


@pytest.mark.parametrize("seed", range(6))
def test_ten_thousand_tasks_on_a_thousand_cores(seed: int) -> None:
    draw = random.Random(seed)
    measured = drawn(_SHAPE, 10_000, 10_000 * 60.0, seed)
    durations = [duration * (_SLOW if draw.random() < _STRAGGLERS else 1) for duration in measured]
    found = simulate(durations, 1000, failing=0.01, seed=seed)
    ideal = sum(durations) / 1000
    assert not found.given_up and 60 < found.repeated < 140
    assert ideal < found.seconds <= 1.3 * ideal
