"""The options of `trainer doremi`; nothing here needs torch, so that they can be listed without."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpus.config import check_options
from corpus.option import option, option_required
from trainer.config.options import DEVICE_DOC, DEVICES


@dataclass(frozen=True)
class DoremiOptions:
    """What DoReMi trains, and its constants."""

    output: Path = option_required("directory of the weights and of what they come from")
    proxy: str = option_required("name of the proxy's model, such as llama-60m")
    steps: int = option_required("steps of the proxy (and of a reference that is trained here)", least=1)
    reference: Path | None = option(
        None, "a run to compare with. Default: the proxy's model is trained by the reference weights first"
    )
    rounds: int = option(1, "rounds; each later one takes the last one's weights for the reference's", least=1)
    batch_size: int = option(64, "sequences of a step, at least one of each domain", least=2)
    step_size: float = option(1.0, "η, how fast the weights move", above=0)
    smoothing: float = option(1e-3, "c, the uniform part of the weights", least=0, below=1)
    settle: float = option(1e-3, "rounds end where no weight moves by this much", least=0)
    serves: float | None = option(
        None, "FLOPs of the run that the weights are for: what the search costs of it", above=0
    )
    settings: tuple[str, ...] = option(
        (), "a setting of the proxy, as for trainer fit", flag="--set", metavar="KEY=VALUE"
    )
    seed: int = option(0, "seed of the proxy and of the order of rows", least=0)
    threads: int | None = option(None, "CPU threads. Default: all", least=1)
    device: str | None = option(None, DEVICE_DOC, choices=DEVICES)

    def __post_init__(self) -> None:
        check_options(self)
