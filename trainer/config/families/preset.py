"""What a family's file says of each of its models."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    dropout: float = 0.0


def paper(
    shape: ModelShape,
    lr: float,
    batch_size: int,
    *,
    warmup: float = 375e6,
    schedule: str = "cosine",
    clip: float = 1.0,
    weight_decay: float = 0.1,
    dropout: float = 0.0,
    batch_ramp: str = "",
    final: float = 0.1,
) -> Preset:
    """A paper's model with AdamW (0.9, 0.95): `warmup` in tokens, or below 1 a share of the run, then
    `schedule` down to the share `final` of the peak."""
    steps = warmup if warmup < 1 else float(max(1, round(warmup / (batch_size * shape.sequence_length))))
    plan = ScheduleConfig(name=schedule, warmup=steps, final=final)
    return Preset(
        shape,
        OptimizerConfig(lr=lr, clip=clip, weight_decay=weight_decay),
        plan,
        batch_size,
        fixed=True,
        batch_ramp=batch_ramp,
        dropout=dropout,
    )


def tiny(shape: ModelShape, **changes: object) -> Preset:
    """A model of four layers in the form of `shape` for short runs and tests; `changes` of its sizes come last. Its
    vocabulary and sequence length follow the data."""
    heads = 4
    small = replace(
        shape,
        layers=4,
        d_model=128,
        heads=heads,
        n_kv_heads=max(1, heads * shape.n_kv_heads // shape.heads),
        head_size=32,
        feed_forward=512,
        vocabulary=32000,
        sequence_length=2048,
        initial_deviation=0.02,
    )
    small = replace(small, **changes)  # type: ignore[arg-type]  # fields by name
    # short runs: the warm-up is a share of the run
    return Preset(small, OptimizerConfig(lr=3e-3), ScheduleConfig(warmup=0.05), batch_size=8)
