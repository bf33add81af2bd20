"""Galactica (Taylor et al. 2022, arXiv 2211.09085): OPT's form without biases, with GELU.

Dropout is that of `training.dropout`; the paper drops attention's weights too.
"""

from __future__ import annotations

from collections.abc import Mapping

from trainer.config.families.opt import opt_shape
from trainer.config.families.preset import Preset, paper, tiny
from trainer.models.shape import ModelShape


def _shape(layers: int, d_model: int, heads: int) -> ModelShape:
    """Section 4.1: GELU, no biases in linear layers or norms (nor scales in these, as its weights have it), learned
    positions."""
    return opt_shape(
        layers,
        d_model,
        heads,
        50000,
        norm="layer-unscaled",
        activation="gelu",
        bias=False,
        initial_deviation=0.02,
    )


def _model(shape: ModelShape, lr: float, batch_size: int, warmup: float = 375e6) -> Preset:
    return paper(shape, lr, batch_size, warmup=warmup, schedule="linear", dropout=0.1)


# Table 5, with 120B's rate as it is printed
GALACTICA: Mapping[str, Preset] = {
    "galactica-125m": _model(_shape(12, 768, 12), 6e-4, 256),
    "galactica-1.3b": _model(_shape(24, 2048, 32), 2e-4, 512),
    "galactica-6.7b": _model(_shape(32, 4096, 32), 1.2e-4, 1024),
    "galactica-30b": _model(_shape(48, 7168, 56), 1e-4, 1024),
    "galactica-120b": _model(_shape(96, 10240, 80), 7e-6, 1024, 1.125e9),
    "galactica-tiny": tiny(_shape(12, 768, 12)),
}
