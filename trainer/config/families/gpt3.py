"""GPT-3 (Brown et al. 2020, arXiv 2005.14165), in GPT-2's form, and small models of it.

The paper's layers alternate between dense and locally banded sparse attention; here all are dense. It raises the batch
from 32k tokens to the whole over the first 4 to 12 billion tokens and lets the cosine end at 260 of 300 billion, which is
left out too: `training.batch_ramp` makes a ramp.
"""

from __future__ import annotations

from collections.abc import Mapping

from trainer.config.families.preset import Preset, paper, tiny
from trainer.models.shape import ModelShape


def gpt_shape(layers: int, d_model: int, heads: int, vocabulary: int = 50257, length: int = 2048) -> ModelShape:
    """Section 2.1 and Radford et al. 2019: LayerNorm before attention and MLP, tanh GELU, learned positions, biases."""
    return ModelShape(
        layers=layers,
        d_model=d_model,
        heads=heads,
        n_kv_heads=heads,
        head_size=d_model // heads,
        feed_forward=4 * d_model,
        vocabulary=vocabulary,
        sequence_length=length,
        norm="layer-bias",
        norm_epsilon=1e-5,
        activation="gelu-tanh",
        gated=False,
        bias=True,
        tied=True,
        positions="learned",
    )


# Table 2.1; it prints 24 heads of 128 for XL and a width of 5,140 for 13B, which do not fit their other numbers
GPT3: Mapping[str, Preset] = {
    "gpt3-125m": paper(gpt_shape(12, 768, 12), 6e-4, 256),
    "gpt3-350m": paper(gpt_shape(24, 1024, 16), 3e-4, 256),
    "gpt3-760m": paper(gpt_shape(24, 1536, 16), 2.5e-4, 256),
    "gpt3-1.3b": paper(gpt_shape(24, 2048, 16), 2e-4, 512),
    "gpt3-2.7b": paper(gpt_shape(32, 2560, 32), 1.6e-4, 512),
    "gpt3-6.7b": paper(gpt_shape(32, 4096, 32), 1.2e-4, 1024),
    "gpt3-13b": paper(gpt_shape(40, 5120, 40), 1e-4, 1024),
    "gpt3-175b": paper(gpt_shape(96, 12288, 96), 6e-5, 1536),
    "gpt3-tiny": tiny(gpt_shape(12, 768, 12)),
}
