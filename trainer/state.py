"""The whole state of a run: weights, optimizer, random numbers, step, next row, skip ledger. A checkpoint is this."""

from __future__ import annotations

import platform
from typing import Any

import torch
from torch import Tensor

from trainer.checkpoint import Checkpoint
from trainer.config import RunConfig
from trainer.models.model import LanguageModel, fused_sizes, initialise
from trainer.optimizers import build_optimizer, load_optimizer, optimizer_tensors
from trainer.order import RowRange


class TrainingState:
    """What changes from step to step. `step` updates are done; the next one begins at `next_row` (in disk order)."""

    def __init__(self, config: RunConfig) -> None:
        """The state before the first step: a function of the configuration alone."""
        torch.manual_seed(config.training.seed)
        self.config = config
        self.model = LanguageModel(config.model)
        initialise(self.model, config.training.seed)
        self.named = dict(self.model.named_parameters())
        self.optimizer = build_optimizer(config.optimizer, self.named, fused_sizes(self.model))
        self.step = 0
        self.next_row = 0
        self.skipped: tuple[RowRange, ...] = ()

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """The tensors of a checkpoint by file name."""
        return {
            "model": {name: parameter.detach() for name, parameter in self.named.items()},
            "optimizer": optimizer_tensors(self.optimizer, self.named),
            "random": {"torch": torch.get_rng_state()},
        }

    def record(self) -> dict[str, Any]:
        """The rest of a checkpoint: positions, identities, and what bitwise equality depends on."""
        return {
            "step": self.step,
            "next_row": self.next_row,
            "skipped": [[hole.start, hole.stop] for hole in self.skipped],
            "tokens": self.step * self.config.tokens_per_step,
            "config": self.config.digest,
            "data": self.config.data.digest,
            "threads": torch.get_num_threads(),
            "versions": versions(),
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Become the state that was saved."""
        weights = checkpoint.tensors("model")
        with torch.no_grad():
            for name, parameter in self.named.items():
                parameter.copy_(weights[name])
        load_optimizer(self.optimizer, self.named, checkpoint.tensors("optimizer"))
        torch.set_rng_state(checkpoint.tensors("random")["torch"])
        self.step = checkpoint.step
        self.next_row = int(checkpoint.state["next_row"])
        self.skipped = tuple(RowRange(start, stop) for start, stop in checkpoint.state["skipped"])


def versions() -> dict[str, str]:
    """Versions on which the last bit depends."""
    return {"python": platform.python_version(), "torch": str(torch.__version__)}
