"""The recipe of a run that begins with the weights of --init-from and names no model: small steps, a short warm-up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from trainer.config.families.llama import LLAMA
from trainer.config.families.preset import Preset
from trainer.optim.config import OptimizerConfig
from trainer.optim.schedules import ScheduleConfig

# the shape is that of the weights, and this one never used
CHECKPOINT: Mapping[str, Preset] = {
    "checkpoint": replace(
        LLAMA["llama-tiny"], optimizer=OptimizerConfig(lr=2e-5), schedule=ScheduleConfig(warmup=0.03), batch_size=32
    )
}
