"""The options of `trainer regmix`; nothing here needs torch, so that they can be listed without."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpus.config import check_options
from corpus.errors import UsageError
from corpus.option import option, option_required
from trainer.config.options import DEVICE_DOC, DEVICES

MEAN = "mean"
"""The target that is no domain: the mean over all of them."""


@dataclass(frozen=True)
class RegmixOptions:
    """What RegMix draws, trains and fits."""

    output: Path = option_required("directory of the mixture and of what it comes from")
    validation: Path = option_required("a packed set, or a directory of them, whose losses are predicted")
    proxy: str = option_required("name of the proxies' model, such as llama-tiny")
    steps: int = option_required("steps of each proxy", least=1)
    mixtures: int = option(64, "mixtures that are drawn, with a proxy each", least=8)
    target: str = option(MEAN, "the validation domain whose loss is to be least, or mean of them all", metavar="DOMAIN")
    batch_size: int = option(64, "sequences of a step", least=1)
    temperature: float = option(0.5, "power of the domains' tokens around which mixtures are drawn", least=0)
    weakest: float = option(0.1, "least strength of the Dirichlet draws: mixtures of few domains", above=0)
    strongest: float = option(5.0, "greatest strength: mixtures near the middle", above=0)
    most: float = option(15.0, "a domain has at most so many times its part of the tokens", above=0)
    regression: str = option(
        "best",
        "what predicts; best: the one that ranks left-out mixtures better",
        choices=("best", "linear", "lightgbm"),
    )
    draws: int = option(100_000, "mixtures whose losses are predicted", least=1)
    keep: int = option(128, "the answer is the mean of so many best of them", least=1)
    serves: float | None = option(
        None, "FLOPs of the run that the mixture is for: what the search costs of it", above=0
    )
    settings: tuple[str, ...] = option(
        (), "a setting of the proxies, as for trainer fit", flag="--set", metavar="KEY=VALUE"
    )
    seed: int = option(0, "seed of draws, proxies and the order of rows", least=0)
    threads: int | None = option(None, "CPU threads. Default: all", least=1)
    device: str | None = option(None, DEVICE_DOC, choices=DEVICES)

    def __post_init__(self) -> None:
        check_options(self)
        if self.weakest > self.strongest:
            raise UsageError(f"--weakest {self.weakest:g} is above --strongest {self.strongest:g}: give a range.")
        if self.keep > self.draws:
            raise UsageError(f"--keep {self.keep} is more than --draws {self.draws}: give fewer.")
