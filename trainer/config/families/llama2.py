"""Llama 2 (Touvron et al. 2023, arXiv 2307.09288): LLaMA with grouped-query attention in the largest, twice the length."""

from __future__ import annotations

from collections.abc import Mapping

from trainer.config.families.preset import Preset
from trainer.models.shape import ModelShape
from trainer.optim.config import OptimizerConfig
from trainer.optim.schedules import ScheduleConfig


def _model(layers: int, d_model: int, heads: int, n_kv_heads: int, feed_forward: int, lr: float) -> Preset:
    """Section 2.2 and Table 1: batches of 4M tokens, 2,000 steps of warm-up, cosine to a tenth, AdamW with ε 1e-5."""
    shape = ModelShape(
        layers=layers,
        d_model=d_model,
        heads=heads,
        n_kv_heads=n_kv_heads,
        head_size=d_model // heads,
        feed_forward=feed_forward,
        vocabulary=32000,
        sequence_length=4096,
        norm_epsilon=1e-5,
    )
    return Preset(shape, OptimizerConfig(lr=lr, epsilon=1e-5), ScheduleConfig(), batch_size=1024, fixed=True)


LLAMA2: Mapping[str, Preset] = {
    "llama2-7b": _model(32, 4096, 32, 32, 11008, 3e-4),
    "llama2-13b": _model(40, 5120, 40, 40, 13824, 3e-4),
    "llama2-70b": _model(80, 8192, 64, 8, 28672, 1.5e-4),
}
