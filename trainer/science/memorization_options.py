"""The options of `trainer memorization`; nothing here needs torch, so that they can be listed without."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpus.config import check_options
from corpus.errors import UsageError
from corpus.option import option, option_required
from trainer.config.options import DEVICE_DOC, DEVICES
from trainer.run.picture import check_ending


@dataclass(frozen=True)
class MemorizationOptions:
    """What is drawn and how it is tested."""

    data: Path = option_required("the packed set that the run was trained on")
    validation: Path | None = option(None, "a packed set, or a directory of them: the control")
    samples: int = option(1000, "spans drawn at random, of training and of the control", least=1)
    per_count: int = option(100, "spans of each number of duplicates", least=0)
    prompt: tuple[str, ...] = option((), "tokens that the model is given, several for several lengths. Default: 50")
    continuation: int = option(50, "tokens that it must continue with", least=1, flag="--continue")
    batch_size: int = option(32, "spans at once", least=1)
    seed: int = option(0, "seed of the draw", least=0)
    device: str | None = option(None, DEVICE_DOC, choices=DEVICES)
    plot: Path | None = option(None, "write the shares by duplicates as a drawing: SVG, PDF or PNG by its ending")

    def __post_init__(self) -> None:
        check_options(self)
        if self.plot is not None:
            check_ending(self.plot)
        if any(not text.isdigit() or int(text) < 1 for text in self.prompt):
            raise UsageError(f"--prompt {' '.join(self.prompt)}: give whole numbers of at least 1.")

    @property
    def prompts(self) -> tuple[int, ...]:
        """The lengths of prompts, ascending."""
        return tuple(sorted({int(text) for text in self.prompt})) or (50,)
