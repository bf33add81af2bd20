"""The options of `trainer scale fit`; nothing here needs NumPy or torch, so that they can be listed without."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpus.config import check_options
from corpus.errors import UsageError
from corpus.option import option
from trainer.run.picture import check_ending


@dataclass(frozen=True)
class ScaleFitOptions:
    """How runs are fitted."""

    law: str = option("compute", "L(C) = a·C^b + c, or L(N, D) = E + A/N^α + B/D^β", choices=("compute", "parametric"))
    target_compute: float | None = option(None, "FLOPs to extrapolate to", above=0)
    target_parameters: int | None = option(None, "with --target-tokens: a model to extrapolate to", least=1)
    target_tokens: int | None = option(None, "its tokens", least=1)
    held_out: int = option(0, "the largest runs (by compute) that are predicted and not fitted", least=0)
    domain: str | None = option(None, "the validation loss of one domain. Default: of the mixture")
    training_loss: bool = option(False, "the mean of the last training losses instead of the validation loss")
    irreducible: float | None = option(None, "fix the irreducible loss, which a few runs cannot tell", least=0)
    draws: int = option(400, "samples of the bootstrap", least=20, most=20000)
    interval: float = option(0.95, "share of the intervals", above=0, below=1)
    seed: int = option(0, "seed of the bootstrap", least=0)
    plot: Path | None = option(None, "write runs, law and interval as a drawing: SVG, PDF or PNG by its ending")

    def __post_init__(self) -> None:
        check_options(self)
        if self.plot is not None:
            check_ending(self.plot)
        if (self.target_parameters is None) != (self.target_tokens is None):
            raise UsageError("--target-parameters and --target-tokens say one target together: give both.")
        if self.target_parameters is not None and (self.law == "compute" or self.target_compute is not None):
            raise UsageError("--target-parameters and --target-tokens are for --law parametric: give --target-compute.")
