"""The settings of an optimizer. Nothing here needs torch: they can be listed and checked without it."""

from __future__ import annotations

from dataclasses import dataclass

from corpus.config import check_options
from corpus.option import option


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer and its numbers."""

    name: str = option("adamw", "the optimizer", choices=("adamw", "palm-adafactor"))
    lr: float = option(3e-4, "peak learning rate", above=0)
    beta1: float = option(0.9, "decay of the first moment", least=0, below=1)
    beta2: float = option(0.95, "adamw: decay of the second moment (palm-adafactor uses 1 - k^-0.8)", least=0, below=1)
    epsilon: float = option(1e-8, "adamw: added to the root of the second moment", above=0)
    weight_decay: float = option(
        0.1, "adamw: decoupled weight decay of matrices (palm-adafactor uses lr²); 0: none", least=0
    )
    clip: float = option(1.0, "largest global norm of the gradient; 0: it is not clipped", least=0)

    def __post_init__(self) -> None:
        check_options(self, "optimizer.")
