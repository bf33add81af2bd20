"""Loss spikes: how they are noticed, and how far a run goes back and how much it skips because of one (PaLM 5.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from corpus.config import check_options
from corpus.option import option

MODES = ("rewind", "skip-update", "stop", "ignore")
_SHORT = 1000
"""Runs of fewer steps go back and skip a share of their steps instead of fixed numbers."""
_SHARE = 0.05
_BACK = 100
_SKIP = 300
_LEAST = 20
"""Fewest steps in the window before it says anything."""
_LOSS_FLOOR = 0.02
_NORM_FLOOR = 0.2
"""Least deviations of log loss and of the log gradient norm: a calm window must not make small moves look large."""
_MAD = 1.4826
"""Median absolute deviation to standard deviation, for a normal law."""


@dataclass(frozen=True)
class SpikeConfig:
    """What counts as a spike, and what is done about it."""

    mode: str = option("rewind", "what a spike does to the run", choices=MODES)
    window: int = option(128, "steps that a new one is compared with; at most a fifth of the run, but 20", least=_LEAST)
    loss_threshold: float = option(
        8.0, "robust deviations of the log loss above the window's median; 0: never", least=0
    )
    gradient_threshold: float = option(
        10.0, "robust deviations of the log gradient norm above the window's median; 0: never", least=0
    )
    back: int = option(0, "steps to go back at least; 0: 100, or 5 % of a run of fewer than 1,000 steps", least=0)
    skip: int = option(
        0, "batches to skip around the spike; 0: 300, or 5 % of a run of fewer than 1,000 steps", least=0
    )
    max_rewinds: int = option(3, "rewinds of a run; one more spike stops it", least=0)

    def __post_init__(self) -> None:
        check_options(self, "spikes.")

    def steps_compared(self, steps: int) -> int:
        """Steps in the window of a run of `steps`: short, where the loss still falls fast."""
        return min(self.window, max(_LEAST, steps // 5))

    def steps_back(self, steps: int) -> int:
        """Steps that a run of `steps` goes back at least."""
        return self.back or (_BACK if steps >= _SHORT else max(1, round(_SHARE * steps)))

    def batches_skipped(self, steps: int) -> int:
        """Batches that a run of `steps` skips at each rewind."""
        return self.skip or (_SKIP if steps >= _SHORT else max(1, round(_SHARE * steps)))

    def reserve(self, steps: int) -> int:
        """Batches that a run of `steps` keeps in reserve for its rewinds."""
        if self.mode != "rewind":
            return 0
        if self.skip or steps >= _SHORT:
            return self.max_rewinds * self.batches_skipped(steps)
        return int(self.max_rewinds * _SHARE * steps)


@dataclass
class SpikeDetector:
    """Compares each step with the median and the median absolute deviation of the last ones.

    Its window is part of the state of a run: the same steps give the same verdicts, also after a resume.
    """

    config: SpikeConfig
    size: int
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)

    def judge(self, loss: float, norm: float, warming: bool) -> str | None:
        """Why a step is a spike, None where it is none; the window stays as it is.

        loss: mean cross-entropy in nats; norm: of the gradient before clipping. While the learning rate is `warming` up
        losses and gradients move much, and thresholds are twice as high.
        """
        if not math.isfinite(loss):
            return "the loss is not finite"
        if not math.isfinite(norm):
            return "the gradient is not finite"
        slack = 2.0 if warming else 1.0
        for what, value, window, floor, threshold in (
            ("loss", loss, self.losses, _LOSS_FLOOR, self.config.loss_threshold),
            ("gradient norm", norm, self.norms, _NORM_FLOOR, self.config.gradient_threshold),
        ):
            if len(window) < _LEAST or not threshold:
                continue
            middle, deviation = robust(window)
            distance = (_log(value) - middle) / max(deviation, floor)
            if distance > slack * threshold:
                return (
                    f"the {what} is {value:.4g}, {distance:.1f} deviations above the last {len(window)} steps' median "
                    f"of {math.exp(middle):.4g}"
                )
        return None

    def accept(self, loss: float, norm: float) -> None:
        """Let a step that was done into the window."""
        self.losses = [*self.losses, _log(loss)][-self.size :]
        self.norms = [*self.norms, _log(norm)][-self.size :]

    def record(self) -> dict[str, list[float]]:
        """The window, for a checkpoint."""
        return {"losses": list(self.losses), "norms": list(self.norms)}

    def restore(self, record: Mapping[str, Any]) -> None:
        """Become what `record` gave."""
        self.losses, self.norms = list(record["losses"]), list(record["norms"])


def robust(values: Sequence[float]) -> tuple[float, float]:
    """Median, and median absolute deviation scaled to a standard deviation."""
    middle = median(values)
    return middle, _MAD * median([abs(value - middle) for value in values])


def _log(value: float) -> float:
    return math.log(max(value, 1e-12))
