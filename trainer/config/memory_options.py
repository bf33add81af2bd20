"""The options of `trainer memory`. Nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass

from corpus.config import check_options
from corpus.option import option
from trainer.models.finetuning.config import FineTuningConfig


@dataclass(frozen=True)
class MemoryOptions:
    """For what the table is."""

    sequence_length: int = option(512, "Tokens of a sequence.", least=1)
    micro_batch_size: int = option(4, "Sequences at once.", least=1)
    gpus: int = option(4, "GPUs that share the states where they are sharded.", least=1)
    rank: int = option(8, "Rank of LoRA's adapters.", least=1)
    targets: tuple[str, ...] = option(("query", "value"), "Matrices with an adapter. (repeatable)", metavar="NAME")

    def __post_init__(self) -> None:
        check_options(self)
        _ = self.lora

    @property
    def lora(self) -> FineTuningConfig:
        """The adapters."""
        return FineTuningConfig("lora", rank=self.rank, targets=self.targets)
