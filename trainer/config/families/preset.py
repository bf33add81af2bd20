"""What a family's file says of each of its models."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.models.shape import ModelShape
from trainer.optim.config import OptimizerConfig
from trainer.optim.schedules import ScheduleConfig


@dataclass(frozen=True)
class Preset:
    """A model and how its paper trained it. `batch_size` is in sequences, that of the start where there is a `batch_ramp`:
    `START:SEQUENCES,...`, from which step (or token: 3B) on a batch has how many.

    `fixed` presets are a paper's model: their vocabulary and sequence length do not follow the data. The others take
    both from the packed set, so their numbers here only serve to count parameters.
    """

    shape: ModelShape
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    batch_size: int
    z_loss: float = 0.0
    fixed: bool = False
    batch_ramp: str = ""
