"""The settings of fine-tuning. Nothing here needs torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from corpus.config import check_options
from corpus.errors import UsageError
from corpus.option import nearest, option
from trainer.models.shape import ModelShape

TARGETS = ("query", "key", "value", "output", "gate", "up", "down")
"""Matrices of a block that can have an adapter: attention's, then the MLP's."""


@dataclass(frozen=True)
class FineTuningConfig:
    """What is trained. The model's own weights stay as they are but for the method `full`."""

    method: str = option(
        "full",
        "all weights, low-rank adapters (LoRA), or soft prompts before each sequence",
        choices=("full", "lora", "prompt"),
    )
    rank: int = option(8, "lora: rank of the adapters", least=1)
    alpha: float = option(16.0, "lora: the adapters' product is scaled by alpha / rank", above=0)
    targets: tuple[str, ...] = option(
        ("query", "value"), f"lora: matrices with an adapter, of {', '.join(TARGETS)}; all: each of them"
    )
    rank_stabilised: bool = option(False, "lora: scale by alpha / sqrt(rank) (rsLoRA)")
    prompt_tokens: int = option(20, "prompt: vectors of the soft prompt", least=1)

    def __post_init__(self) -> None:
        check_options(self, "finetuning.")
        for name in self.targets:
            if name != "all" and name not in TARGETS:
                raise UsageError(f"finetuning.targets has '{name}': {nearest(name, (*TARGETS, 'all'))}")
        if not self.targets:
            raise UsageError("finetuning.targets is empty: name a matrix, such as query,value.")

    @property
    def scale(self) -> float:
        """The factor of the adapters' product (Hu et al. 2021, section 4.1; Kalajdzievski 2023)."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilised else self.rank)

    @property
    def chosen(self) -> tuple[str, ...]:
        """The targets in the order of the model."""
        return tuple(name for name in TARGETS if name in self.targets or "all" in self.targets)


def check_room(shape: ModelShape, config: FineTuningConfig, length: int) -> None:
    """A UsageError where a prompt and a sequence of `length` tokens are longer than the model takes."""
    if config.method == "prompt" and config.prompt_tokens + length > shape.sequence_length:
        raise UsageError(
            f"a soft prompt of {config.prompt_tokens} vectors and sequences of {length:,} tokens are more than the "
            f"{shape.sequence_length:,} that the model takes: mix with --sequence-length "
            f"{max(1, shape.sequence_length - config.prompt_tokens)}, or give fewer finetuning.prompt_tokens."
        )
