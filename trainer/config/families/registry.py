"""The models by name, with the recipe of their paper: data, nothing else.

`fixed` presets are a paper's model: their vocabulary and sequence length do not follow the data. The others take both
from the packed set, so the numbers here only serve to count parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from corpus.errors import UsageError
from corpus.option import nearest
from trainer.models.shape import ModelShape
from trainer.optim.optimizers import OptimizerConfig
from trainer.optim.schedules import ScheduleConfig


@dataclass(frozen=True)
class Preset:
    """A model and how its paper trained it. `batch_size` is in rows, that of the start where there is a `batch_ramp`:
    `START:ROWS,...`, from which step (or token: 3B) on a batch has how many rows."""

    shape: ModelShape
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    batch_size: int
    z_loss: float = 0.0
    fixed: bool = False
    batch_ramp: str = ""


def _llama(layers: int, width: int, heads: int, feed_forward: int) -> ModelShape:
    """LLaMA (Touvron et al. 2023, section 2.2 and Table 2): RMSNorm before, SwiGLU of 2/3·4d, rotary, no biases."""
    return ModelShape(
        layers=layers,
        width=width,
        heads=heads,
        key_heads=heads,
        head_size=width // heads,
        feed_forward=feed_forward,
        vocabulary=32000,
        sequence_length=2048,
    )


def _palm(layers: int, width: int, heads: int, head_size: int, vocabulary: int) -> ModelShape:
    """PaLM (Chowdhery et al. 2022, section 2): parallel blocks, multi-query, SwiGLU of the full 4d, tied embeddings."""
    return ModelShape(
        layers=layers,
        width=width,
        heads=heads,
        key_heads=1,
        head_size=head_size,
        feed_forward=4 * width,
        vocabulary=vocabulary,
        sequence_length=2048,
        block="parallel",
        norm="layer",
        tied=True,
        scaled_logits=True,
        initialisation="palm",
    )


def _llama_recipe(shape: ModelShape, lr: float) -> Preset:
    # "4M tokens" is 2,048 rows of 2,048
    return Preset(shape, OptimizerConfig(lr=lr), ScheduleConfig(), batch_size=2048, fixed=True)


_PALM_OPTIMIZER = OptimizerConfig(name="palm-adafactor", lr=1e-2)
_PALM_SCHEDULE = ScheduleConfig(name="inverse-square-root", warmup=0.0, hold=10000.0)
PALM_Z_LOSS = 1e-4


def _palm_recipe(shape: ModelShape, batch_size: int, batch_ramp: str = "") -> Preset:
    return Preset(shape, _PALM_OPTIMIZER, _PALM_SCHEDULE, batch_size, PALM_Z_LOSS, fixed=True, batch_ramp=batch_ramp)


def _small_llama(shape: ModelShape, lr: float, batch_size: int) -> Preset:
    # short runs: the warm-up is a share of the run
    return Preset(shape, OptimizerConfig(lr=lr), ScheduleConfig(warmup=0.05), batch_size)


def _small_palm(shape: ModelShape, batch_size: int) -> Preset:
    schedule = ScheduleConfig(name="inverse-square-root", warmup=0.0, hold=0.1)
    return Preset(shape, _PALM_OPTIMIZER, schedule, batch_size, PALM_Z_LOSS)


# PaLM's Table 1 has 8B's batch grow from 256 to 512 rows and 62B's from 512 to 1,024, but the paper gives steps for
# 540B's alone: the two keep their first size here, unless training.batch_ramp says when they grow
PRESETS: Mapping[str, Preset] = {
    "llama-7b": _llama_recipe(_llama(32, 4096, 32, 11008), 3e-4),
    "llama-13b": _llama_recipe(_llama(40, 5120, 40, 13824), 3e-4),
    "llama-33b": _llama_recipe(_llama(60, 6656, 52, 17920), 1.5e-4),
    "llama-65b": _llama_recipe(_llama(80, 8192, 64, 22016), 1.5e-4),
    "palm-8b": _palm_recipe(_palm(32, 4096, 16, 256, 256000), 256),
    "palm-62b": _palm_recipe(_palm(64, 8192, 32, 256, 256000), 512),
    "palm-540b": _palm_recipe(_palm(118, 18432, 48, 256, 256000), 512, "0:512,50000:1024,115000:2048"),
    "llama-tiny": _small_llama(_llama(4, 128, 4, 512), 3e-3, 8),
    "llama-60m": _small_llama(_llama(8, 512, 8, 1536), 1e-3, 32),
    "llama-125m": _small_llama(_llama(12, 768, 12, 2048), 6e-4, 256),
    "palm-tiny": _small_palm(_palm(4, 128, 4, 64, 32000), 8),
    "palm-125m": _small_palm(_palm(12, 768, 12, 64, 32000), 256),
}


def find_preset(name: str) -> Preset:
    """The preset of that name, or a UsageError that names the nearest."""
    if name not in PRESETS:
        raise UsageError(f"there is no model '{name}': {nearest(name, PRESETS)}")
    return PRESETS[name]
