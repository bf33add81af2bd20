"""Loss spikes and slow divergence: how they are noticed, and how far a run goes back and how much it skips because of
one (PaLM 5.1). What the thresholds find and what they cost in false alarms: `benchmarks/spikes.py`, docs/benchmarks.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

from corpus.config import check_options
from corpus.option import option

MODES = ("rewind", "skip-update", "stop", "ignore")
EXHAUSTED = ("continue", "stop")
_SHORT = 1000
"""Runs of fewer steps go back and skip a share of their steps instead of fixed numbers."""
_SHARE = 0.05
_BACK = 100
_SKIP = 300
_LEAST = 20
"""Fewest steps in the window before it says anything."""
_FULL = 128
"""Steps in a window for which the thresholds are as they stand; 20 of them give deviations that are a quarter off."""
_LOSS_FLOOR = 0.02
_NORM_FLOOR = 0.2
"""Least deviations of log loss and of the log gradient norm: a calm window must not make small moves look large."""
_MAD = 1.4826
"""Median absolute deviation to standard deviation, for a normal law."""
_CHANCE = 8.0
"""Deviations of a window's median that it must rise above the best one to be a divergence, however low the threshold."""
_BOTH = 1.5
"""Deviations that each of two steps must have for them to count together, and the loss beside a high gradient norm."""


@dataclass(frozen=True)
class SpikeConfig:
    """What counts as a spike, and what is done about it."""

    mode: str = option("rewind", "what a spike does to the run", choices=MODES)
    window: int = option(128, "steps that a new one is compared with; at most a fifth of the run, but 20", least=_LEAST)
    loss_threshold: float = option(
        4.6, "robust deviations of the log loss above the window's median; 0: never", least=0
    )
    sustained_threshold: float = option(
        3.7, "the same for two steps in a row, their sum divided by the root of 2; 0: never", least=0
    )
    gradient_threshold: float = option(
        10.0,
        "robust deviations of the log gradient norm, in two steps in a row or with a raised loss; 0: never",
        least=0,
    )
    divergence_threshold: float = option(
        0.06, "slow divergence: rise of the window's median log loss over its best; 0: never", least=0
    )
    back: int = option(0, "steps to go back at least; 0: 100, or 5 % of a run of fewer than 1,000 steps", least=0)
    skip: int = option(
        0, "batches to skip around the spike; 0: 300, or 5 % of a run of fewer than 1,000 steps", least=0
    )
    max_rewinds: int = option(3, "rewinds within budget_steps steps", least=0)
    budget_steps: int = option(1000, "steps over which max_rewinds counts", least=1)
    exhausted: str = option(
        "continue", "what a spike does where max_rewinds are used up: go on with it, or stop", choices=EXHAUSTED
    )

    def __post_init__(self) -> None:
        check_options(self, "spikes.")

    def steps_compared(self, steps: int) -> int:
        """Steps in the window of a run of `steps`: short, where the loss still falls fast."""
        return min(self.window, max(_LEAST, steps // 5))

    def steps_back(self, steps: int) -> int:
        """Steps that a run of `steps` goes back at least."""
        return self.back or (_BACK if steps >= _SHORT else max(1, round(_SHARE * steps)))

    def reach(self, steps: int) -> int:
        """Steps that a run of `steps` can have to go back: a divergence is seen after about two windows."""
        return self.steps_back(steps) + (2 * self.steps_compared(steps) if self.divergence_threshold else 0)

    def batches_skipped(self, steps: int) -> int:
        """Batches that a run of `steps` skips at each rewind."""
        return self.skip or (_SKIP if steps >= _SHORT else max(1, round(_SHARE * steps)))


@dataclass(frozen=True)
class Alarm:
    """What is wrong with a step, in words, and the last step before it began."""

    reason: str
    before: int


@dataclass
class SpikeDetector:
    """Compares each step with the median and the median absolute deviation of the last ones, and their median with the
    best one so far.

    Its window is part of the state of a run: the same steps give the same verdicts, also after a resume.
    """

    config: SpikeConfig
    size: int
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    last: tuple[float, float] = (0.0, 0.0)
    """Deviations of the last step, of loss and norm."""
    best: tuple[float, int] | None = None
    """The lowest median of a whole window, and the step it ended with."""

    def judge(self, step: int, loss: float, norm: float, warming: bool) -> Alarm | None:
        """Why a step is a spike or shows a divergence, None where it does not; the window stays as it is.

        loss: mean cross-entropy in nats; norm: of the gradient before clipping. While the learning rate is `warming` up
        losses and gradients move much, and thresholds are twice as high.
        """
        if not math.isfinite(loss):
            return Alarm("the loss is not finite", step - 1)
        if not math.isfinite(norm):
            return Alarm("the gradient is not finite", step - 1)
        slack = 2.0 if warming else 1.0
        # the fewer steps, the less sure is their deviation
        slack *= (_FULL / max(1, min(_FULL, len(self.losses)))) ** 0.25
        return self._spike(step, loss, norm, slack) or self._divergence(slack)

    def _spike(self, step: int, loss: float, norm: float, slack: float) -> Alarm | None:
        if len(self.losses) < _LEAST:
            return None
        config = self.config
        of_loss, of_norm = self._deviations(loss, norm)
        if config.loss_threshold and of_loss > slack * config.loss_threshold:
            return Alarm(_above("loss", loss, of_loss, self.losses), step - 1)
        both = (of_loss + self.last[0]) / math.sqrt(2)
        raised = min(of_loss, self.last[0]) > slack * _BOTH
        if config.sustained_threshold and raised and both > slack * config.sustained_threshold:
            return Alarm(f"for two steps {_above('loss', loss, of_loss, self.losses)}", step - 2)
        threshold = slack * config.gradient_threshold
        if threshold and of_norm > threshold and self.last[1] > threshold:
            return Alarm(f"for two steps {_above('gradient norm', norm, of_norm, self.norms)}", step - 2)
        if threshold and of_norm > threshold and of_loss > slack * _BOTH:
            said = f"{_above('gradient norm', norm, of_norm, self.norms)}, with a loss of {loss:.4g}"
            return Alarm(said, step - 1)
        return None

    def _divergence(self, slack: float) -> Alarm | None:
        threshold = slack * self.config.divergence_threshold
        if self.best is None or not threshold or len(self.losses) < self.size:
            return None
        lowest, step = self.best
        half = self.size // 2
        middle = median(self.losses)
        # of neighbours' differences, which a slope does not widen
        deviation = robust([after - before for before, after in pairwise(self.losses)])[1] / math.sqrt(2)
        # the best of many medians is a low one by chance alone: a median's own deviation is 1.25 / sqrt(size) of a step's
        chance = slack * _CHANCE * 1.2533 * deviation / math.sqrt(self.size)
        # a loss that has come down again since is no divergence, however high it was
        if middle - lowest <= max(threshold, chance) or median(self.losses[half:]) <= median(self.losses[:half]):
            return None
        return Alarm(
            f"the median loss of the last {self.size} steps has risen to {math.exp(middle):.4g} from "
            f"{math.exp(lowest):.4g} at step {step}",
            # the middle of the best window: its end has part of the rise already
            max(0, step - half),
        )

    def _deviations(self, loss: float, norm: float) -> tuple[float, float]:
        """Robust deviations of a step above the window's medians, of log loss and log gradient norm."""
        if len(self.losses) < _LEAST:
            return 0.0, 0.0
        return _distance(loss, self.losses, _LOSS_FLOOR), _distance(norm, self.norms, _NORM_FLOOR)

    def accept(self, step: int, loss: float, norm: float) -> None:
        """Let a step that was done into the window."""
        self.last = self._deviations(loss, norm)
        self.losses = [*self.losses, _log(loss)][-self.size :]
        self.norms = [*self.norms, _log(norm)][-self.size :]
        if len(self.losses) == self.size:
            middle = median(self.losses)
            if self.best is None or middle < self.best[0]:
                self.best = (middle, step)

    def forget_best(self) -> None:
        """Compare with what is to come alone: settings have changed, or a divergence was let pass."""
        self.best = None

    def record(self) -> dict[str, Any]:
        """The window, for a checkpoint."""
        return {
            "losses": list(self.losses),
            "norms": list(self.norms),
            "last": list(self.last),
            "best": None if self.best is None else list(self.best),
        }

    def restore(self, record: Mapping[str, Any]) -> None:
        """Become what `record` gave."""
        self.losses, self.norms = list(record["losses"]), list(record["norms"])
        self.last = (record["last"][0], record["last"][1])
        self.best = None if record["best"] is None else (record["best"][0], record["best"][1])


def robust(values: Sequence[float]) -> tuple[float, float]:
    """Median, and median absolute deviation scaled to a standard deviation."""
    middle = median(values)
    return middle, _MAD * median([abs(value - middle) for value in values])


def _distance(value: float, window: Sequence[float], floor: float) -> float:
    middle, deviation = robust(window)
    return (_log(value) - middle) / max(deviation, floor)


def _above(what: str, value: float, distance: float, window: Sequence[float]) -> str:
    return (
        f"the {what} is {value:.4g}, {distance:.1f} deviations above the last {len(window)} steps' median of "
        f"{math.exp(median(window)):.4g}"
    )


def _log(value: float) -> float:
    return math.log(max(value, 1e-12))
