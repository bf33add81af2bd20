"""BLOOM (BigScience 2022, arXiv 2211.05100): ALiBi, a norm after the embedding. Its files say fp16, of 176B bf16."""

from __future__ import annotations

from collections.abc import Mapping

from trainer.config.families.preset import Preset, paper, tiny
from trainer.models.shape import ModelShape


def _shape(layers: int, d_model: int, heads: int) -> ModelShape:
    """Section 3.2: GPT-3's form with ALiBi for positions. The deviation is that of 176B, 1/sqrt(3·d), at every size."""
    return ModelShape(
        layers=layers,
        d_model=d_model,
        heads=heads,
        n_kv_heads=heads,
        head_size=d_model // heads,
        feed_forward=4 * d_model,
        vocabulary=250880,
        sequence_length=2048,
        norm="layer-bias",
        norm_epsilon=1e-5,
        activation="gelu-tanh",
        gated=False,
        bias=True,
        tied=True,
        embedding_norm=True,
        positions="alibi",
        initial_deviation=0.0048,
    )


# Table 3 and the launchers; the batch grows from 192 over the first 20 billion tokens there, and the rate ends at 1e-5,
# but at 6e-6 for 176B
BLOOM: Mapping[str, Preset] = {
    "bloom-560m": paper(_shape(24, 1024, 16), 3e-4, 256, final=1e-5 / 3e-4),
    "bloom-1b1": paper(_shape(24, 1536, 16), 2.5e-4, 256, final=1e-5 / 2.5e-4),
    "bloom-1b7": paper(_shape(24, 2048, 16), 2e-4, 512, final=1e-5 / 2e-4),
    "bloom-3b": paper(_shape(30, 2560, 32), 1.6e-4, 512, final=1e-5 / 1.6e-4),
    "bloom-7b1": paper(_shape(30, 4096, 32), 1.2e-4, 512, final=1e-5 / 1.2e-4),
    "bloom-176b": paper(_shape(70, 14336, 112), 6e-5, 2048),
    "bloom-tiny": tiny(_shape(24, 1024, 16)),
}
