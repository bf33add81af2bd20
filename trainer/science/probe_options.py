"""The options of `trainer probe`; nothing here needs torch, so that they can be listed without."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpus.config import check_options
from corpus.option import option, option_required
from trainer.config.options import DEVICE_DOC, DEVICES
from trainer.run.picture import check_ending


@dataclass(frozen=True)
class ProbeOptions:
    """What is read, and what counts as near zero."""

    data: Path = option_required("a packed set, or a directory of them, whose sequences are read")
    sequences: int = option(64, "sequences, spread over the sets", least=1)
    near: float = option(0.1, "an activation below this part of the RMS of its token's is near zero", above=0, below=1)
    batch_size: int = option(4, "sequences at once", least=1)
    device: str | None = option(None, DEVICE_DOC, choices=DEVICES)
    plot: Path | None = option(
        None, "write the sparsity of each layer over the steps as a drawing: SVG, PDF or PNG by its ending"
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.plot is not None:
            check_ending(self.plot)
