"""Learning-rate schedules: the factor of the peak rate at each step. Their length is the run's.

Steps count from 1: step k is the k-th update. At the last step `cosine`, `linear` and `wsd` have reached `final`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from corpus.config import check_options
from corpus.errors import UsageError
from corpus.option import option

SCHEDULES = ("constant", "cosine", "linear", "inverse-square-root", "noam", "wsd")


@dataclass(frozen=True)
class ScheduleConfig:
    """How the learning rate moves over a run. Lengths are steps, or below 1 a share of the run's steps."""

    name: str = option("cosine", "the shape of the schedule", choices=SCHEDULES)
    warmup: float = option(2000.0, "length of the linear warm-up: steps, or below 1 a share of the run", least=0)
    hold: float = option(10000.0, "inverse-square-root: length of the constant part (PaLM: 10,000 steps)", least=0)
    decay: float = option(0.1, "wsd: length of the last, falling part: steps, or below 1 a share of the run", least=0)
    final: float = option(0.1, "cosine, linear, wsd: the last rate as a share of the peak", least=0)
    start: int = option(0, "the step after which the schedule begins; a run that restarts it has one above 0", least=0)

    def __post_init__(self) -> None:
        check_options(self, "schedule.")
        if self.name == "noam" and self.warmup == 0:
            raise UsageError("the noam schedule needs schedule.warmup above 0.")


def length_of(value: float, steps: int) -> int:
    """A length in steps: `value` itself, or below 1 that share of `steps`."""
    return round(value * steps) if value < 1 else round(value)


def in_warmup(schedule: ScheduleConfig, step: int, steps: int) -> bool:
    """Whether the rate is still rising at `step` of a run of `steps`."""
    return step - schedule.start <= length_of(schedule.warmup, steps - schedule.start)


def factor(schedule: ScheduleConfig, step: int, steps: int) -> float:
    """The factor of the peak learning rate at `step` (`schedule.start` + 1 … `steps`)."""
    step, steps = step - schedule.start, steps - schedule.start
    assert 1 <= step <= steps
    warmup = length_of(schedule.warmup, steps)
    if schedule.name == "noam":  # Vaswani et al. 2017, scaled so that the peak is 1 (CPM-1)
        warmup = max(1, warmup)
        return min(math.sqrt(warmup / step), step / warmup)
    if step < warmup:
        return step / warmup
    if schedule.name == "inverse-square-root":  # PaLM section 5: constant, then 1/sqrt(k)
        hold = max(1, length_of(schedule.hold, steps), warmup)
        return min(1.0, math.sqrt(hold / step))
    if schedule.name == "wsd":  # warm-up, stable, decay (Hu et al. 2024)
        decay = max(1, length_of(schedule.decay, steps))
        done = min(1.0, max(0.0, (step - (steps - decay)) / decay))
        return 1.0 - (1.0 - schedule.final) * done
    done = min(1.0, (step - warmup) / max(1, steps - warmup))
    if schedule.name == "cosine":
        return schedule.final + (1.0 - schedule.final) * 0.5 * (1.0 + math.cos(math.pi * done))
    if schedule.name == "linear":
        return 1.0 - (1.0 - schedule.final) * done
    return 1.0
