"""LLaMA (Touvron et al. 2023, arXiv 2302.13971), and small models of its shape."""

from __future__ import annotations

from collections.abc import Mapping

from trainer.config.families.preset import Preset
from trainer.models.shape import ModelShape
from trainer.optim.config import OptimizerConfig
from trainer.optim.schedules import ScheduleConfig


def _shape(layers: int, d_model: int, heads: int, feed_forward: int) -> ModelShape:
    """Section 2.2 and Table 2: RMSNorm before attention and MLP, SwiGLU of 2/3·4d, rotary positions, no biases."""
    return ModelShape(
        layers=layers,
        d_model=d_model,
        heads=heads,
        n_kv_heads=heads,
        head_size=d_model // heads,
        feed_forward=feed_forward,
        vocabulary=32000,
        sequence_length=2048,
    )


def _paper(shape: ModelShape, lr: float) -> Preset:
    # "4M tokens" is 2,048 sequences of 2,048
    return Preset(shape, OptimizerConfig(lr=lr), ScheduleConfig(), batch_size=2048, fixed=True)


def _small(shape: ModelShape, lr: float, batch_size: int) -> Preset:
    # short runs: the warm-up is a share of the run
    return Preset(shape, OptimizerConfig(lr=lr), ScheduleConfig(warmup=0.05), batch_size)


LLAMA: Mapping[str, Preset] = {
    "llama-7b": _paper(_shape(32, 4096, 32, 11008), 3e-4),
    "llama-13b": _paper(_shape(40, 5120, 40, 13824), 3e-4),
    "llama-33b": _paper(_shape(60, 6656, 52, 17920), 1.5e-4),
    "llama-65b": _paper(_shape(80, 8192, 64, 22016), 1.5e-4),
    "llama-tiny": _small(_shape(4, 128, 4, 512), 3e-3, 8),
    "llama-60m": _small(_shape(8, 512, 8, 1536), 1e-3, 32),
    "llama-125m": _small(_shape(12, 768, 12, 2048), 6e-4, 256),
}
