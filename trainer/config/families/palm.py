"""PaLM (Chowdhery et al. 2022, arXiv 2204.02311), and small models of its shape."""

from __future__ import annotations

from collections.abc import Mapping

from trainer.config.families.preset import Preset
from trainer.models.shape import ModelShape
from trainer.optim.config import OptimizerConfig
from trainer.optim.schedules import ScheduleConfig

_OPTIMIZER = OptimizerConfig(name="palm-adafactor", lr=1e-2)
_SCHEDULE = ScheduleConfig(name="inverse-square-root", warmup=0.0, hold=10000.0)
_Z_LOSS = 1e-4


def _shape(layers: int, d_model: int, heads: int, head_size: int, vocabulary: int) -> ModelShape:
    """Section 2: parallel blocks, multi-query attention, SwiGLU of the full 4d, tied embeddings."""
    return ModelShape(
        layers=layers,
        d_model=d_model,
        heads=heads,
        n_kv_heads=1,
        head_size=head_size,
        feed_forward=4 * d_model,
        vocabulary=vocabulary,
        sequence_length=2048,
        block="parallel",
        norm="layer",
        tied=True,
        scaled_logits=True,
        initialisation="palm",
    )


def _paper(shape: ModelShape, batch_size: int, batch_ramp: str = "") -> Preset:
    return Preset(shape, _OPTIMIZER, _SCHEDULE, batch_size, _Z_LOSS, fixed=True, batch_ramp=batch_ramp)


def _small(shape: ModelShape, batch_size: int) -> Preset:
    schedule = ScheduleConfig(name="inverse-square-root", warmup=0.0, hold=0.1)
    return Preset(shape, _OPTIMIZER, schedule, batch_size, _Z_LOSS)


# Table 1 has 8B's batch grow from 256 to 512 sequences and 62B's from 512 to 1,024, but the paper gives steps for 540B's
# alone: the two keep their first size here, unless training.batch_ramp says when they grow
PALM: Mapping[str, Preset] = {
    "palm-8b": _paper(_shape(32, 4096, 16, 256, 256000), 256),
    "palm-62b": _paper(_shape(64, 8192, 32, 256, 256000), 512),
    "palm-540b": _paper(_shape(118, 18432, 48, 256, 256000), 512, "0:512,50000:1024,115000:2048"),
    "palm-tiny": _small(_shape(4, 128, 4, 64, 32000), 8),
    "palm-125m": _small(_shape(12, 768, 12, 64, 32000), 256),
}
