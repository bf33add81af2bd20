"""GPT-NeoX-20B (Black et al. 2022, arXiv 2204.06745): parallel blocks, a quarter of each head rotated."""

from __future__ import annotations

from collections.abc import Mapping

from trainer.config.families.preset import Preset, paper
from trainer.models.shape import ModelShape


def neox_shape(layers: int, d_model: int, heads: int, vocabulary: int = 50304, small: bool = True) -> ModelShape:
    """Section 2.1: attention parallel to the MLP with a norm for each, partial rotary positions, biases. The activation is
    the tanh form that gpt-neox computes; transformers' files of these models name the exact one.

    `small`: the first weights of section 2.2; otherwise GPT-2's.
    """
    return ModelShape(
        layers=layers,
        d_model=d_model,
        heads=heads,
        n_kv_heads=heads,
        head_size=d_model // heads,
        feed_forward=4 * d_model,
        vocabulary=vocabulary,
        sequence_length=2048,
        block="parallel-two-norms",
        norm="layer-bias",
        norm_epsilon=1e-5,
        activation="gelu-tanh",
        gated=False,
        bias=True,
        rope_share=0.25,
        initialisation="small" if small else "gpt",
    )


# Table 5: 0.97e-5 is printed for the rate, the configuration and Table 1 have 0.97e-4; weight decay 0.01
NEOX: Mapping[str, Preset] = {
    "neox-20b": paper(neox_shape(44, 6144, 64, 50432), 0.97e-4, 1536, warmup=0.01, weight_decay=0.01),
}
