"""Gopher (Rae et al. 2021, arXiv 2112.11446), with Adam and weight decay 0.

The paper names the parameters, RMSNorm and Transformer-XL's positions, and is GPT-2 otherwise (Radford et al. 2019). What
it does not say is chosen here: biases as GPT-2 has them, the vectors u and v of each layer, ε 1e-6.
"""

from __future__ import annotations

from collections.abc import Mapping

from trainer.config.families.preset import Preset, paper, tiny
from trainer.models.shape import ModelShape


def gopher_shape(layers: int, d_model: int, heads: int, head_size: int) -> ModelShape:
    """Section 3.1: 13·layers·d² parameters and one embedding, to which the names of the models round."""
    return ModelShape(
        layers=layers,
        d_model=d_model,
        heads=heads,
        n_kv_heads=heads,
        head_size=head_size,
        feed_forward=4 * d_model,
        vocabulary=32000,
        sequence_length=2048,
        activation="gelu-tanh",
        gated=False,
        bias=True,
        tied=True,
        positions="transformer-xl",
    )


def _model(shape: ModelShape, lr: float, batch_size: int, clip: float = 1.0) -> Preset:
    """Section 3.2: 1,500 steps of warm-up, cosine to a tenth."""
    warmup = 1500 * batch_size * shape.sequence_length
    return paper(shape, lr, batch_size, warmup=warmup, clip=clip, weight_decay=0.0)


# Table 1. 280B's batch grows from 3M tokens to 6M; the paper does not say when: training.batch_ramp does
GOPHER: Mapping[str, Preset] = {
    "gopher-44m": _model(gopher_shape(8, 512, 16, 32), 6e-4, 128),
    "gopher-117m": _model(gopher_shape(12, 768, 12, 64), 6e-4, 128),
    "gopher-417m": _model(gopher_shape(12, 1536, 12, 128), 2e-4, 128),
    "gopher-1.4b": _model(gopher_shape(24, 2048, 16, 128), 2e-4, 128),
    "gopher-7.1b": _model(gopher_shape(32, 4096, 32, 128), 1.2e-4, 1024, clip=0.25),
    "gopher-280b": _model(gopher_shape(80, 16384, 128, 128), 4e-5, 1536, clip=0.25),
    "gopher-tiny": tiny(gopher_shape(8, 512, 16, 32)),
}
