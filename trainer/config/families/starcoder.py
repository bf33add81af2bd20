"""StarCoder (Li et al. 2023, arXiv 2305.06161) and SantaCoder (Allal et al. 2023, arXiv 2301.03988): GPT-2's form with one
key head. Half of their sequences are cut for fill-in-the-middle, which is a matter of the data (corpus map fim)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from trainer.config.families.gpt3 import gpt_shape
from trainer.config.families.preset import Preset, paper, tiny
from trainer.models.shape import ModelShape


def _shape(layers: int, d_model: int, heads: int, vocabulary: int = 49152, length: int = 8192) -> ModelShape:
    """Multi-query attention; the first weights have a deviation of 1/sqrt(d)."""
    return replace(gpt_shape(layers, d_model, heads, vocabulary, length), n_kv_heads=1, initial_deviation=d_model**-0.5)


def _model(shape: ModelShape, lr: float, batch_size: int) -> Preset:
    """2,000 steps of warm-up, cosine to a tenth."""
    return paper(shape, lr, batch_size, warmup=2000 * batch_size * shape.sequence_length, dropout=0.1)


STARCODER: Mapping[str, Preset] = {
    # 300,000 steps of a cosine of 600,000
    "santacoder": paper(_shape(24, 2048, 16, 49280, 2048), 2e-4, 192, warmup=0.02, dropout=0.1),
    "starcoder-1b": _model(_shape(24, 2048, 16), 4e-4, 128),
    "starcoder-3b": _model(_shape(36, 2816, 22), 5e-4, 256),
    "starcoder-7b": _model(_shape(42, 4096, 32), 3e-4, 512),
    "starcoder-15b": _model(_shape(40, 6144, 48), 3e-4, 512),
    "starcoder-tiny": tiny(_shape(24, 2048, 16)),
}
