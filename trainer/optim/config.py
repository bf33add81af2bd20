"""The settings of an optimizer. Nothing here needs torch: they can be listed and checked without it."""

from __future__ import annotations

from dataclasses import dataclass

from corpus.errors import UsageError
from corpus.option import option


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer and its numbers."""

    name: str = option("adamw", "the optimizer", choices=("adamw", "palm-adafactor"))
    lr: float = option(3e-4, "peak learning rate")
    beta1: float = option(0.9, "decay of the first moment")
    beta2: float = option(0.95, "adamw: decay of the second moment (palm-adafactor uses 1 - k^-0.8)")
    epsilon: float = option(1e-8, "adamw: added to the root of the second moment")
    weight_decay: float = option(0.1, "adamw: decoupled weight decay of matrices (palm-adafactor uses lr²); 0: none")
    clip: float = option(1.0, "largest global norm of the gradient; 0: it is not clipped")

    def __post_init__(self) -> None:
        for name in ("lr", "epsilon"):
            if not getattr(self, name) > 0:
                raise UsageError(f"optimizer.{name} is {getattr(self, name)}: give a number above 0.")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"optimizer.{name} is {getattr(self, name)}: give a number in [0, 1).")
        for name in ("weight_decay", "clip"):
            if getattr(self, name) < 0:
                raise UsageError(f"optimizer.{name} is {getattr(self, name)}: give a number of at least 0.")
