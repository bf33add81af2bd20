"""nanochat's models (Karpathy 2025), for ablations: QK-norm, squared ReLU, norms without scales, capped logits.

One number, the depth, makes a model. Its optimizer (Muon) and its rates are not here.
"""

from __future__ import annotations

from collections.abc import Mapping

from trainer.config.families.preset import Preset, tiny
from trainer.models.shape import ModelShape
from trainer.optim.config import OptimizerConfig
from trainer.optim.schedules import ScheduleConfig


def _shape(depth: int) -> ModelShape:
    """A width of 64 · depth in heads of 128."""
    heads = max(1, depth // 2)
    return ModelShape(
        layers=depth,
        d_model=64 * depth,
        heads=heads,
        n_kv_heads=heads,
        head_size=64 * depth // heads,
        feed_forward=4 * 64 * depth,
        vocabulary=65536,
        sequence_length=2048,
        norm="rms-unscaled",
        activation="relu-squared",
        gated=False,
        embedding_norm=True,
        logit_cap=15.0,
        qk_norm=True,
    )


def _model(depth: int) -> Preset:
    schedule = ScheduleConfig(name="wsd", warmup=0.01, decay=0.2, final=0.0)
    return Preset(_shape(depth), OptimizerConfig(lr=6e-4), schedule, batch_size=256)


NANOCHAT: Mapping[str, Preset] = {
    "nanochat-d12": _model(12),
    "nanochat-d20": _model(20),
    "nanochat-d32": _model(32),
    "nanochat-tiny": tiny(_shape(20)),
}
