"""OPT (Zhang et al. 2022, arXiv 2205.01068).

Its launcher also drops attention's weights at 0.1 and nothing of the embedding; here dropout is that of
`training.dropout`, of the embedding and of what attention and MLP add.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.config.families.preset import Preset, paper, tiny
from trainer.models.shape import ModelShape


def opt_shape(layers: int, d_model: int, heads: int, vocabulary: int, **changes: Any) -> ModelShape:
    """GPT-3's form with ReLU, and two rows before the first position's."""
    fields: dict[str, Any] = {
        "layers": layers,
        "d_model": d_model,
        "heads": heads,
        "n_kv_heads": heads,
        "head_size": d_model // heads,
        "feed_forward": 4 * d_model,
        "vocabulary": vocabulary,
        "sequence_length": 2048,
        "norm": "layer-bias",
        "norm_epsilon": 1e-5,
        "activation": "relu",
        "gated": False,
        "bias": True,
        "tied": True,
        "positions": "learned",
        "position_offset": 2,
        "initial_deviation": 0.006,
    }
    return ModelShape(**fields | changes)


def _model(layers: int, d_model: int, heads: int, lr: float, batch_size: int, **changes: Any) -> Preset:
    shape = opt_shape(layers, d_model, heads, 50272, **changes)
    return paper(shape, lr, batch_size, schedule="linear", dropout=0.1)


# Table 1 and the launcher; the paper names 1.2e-4 for 175B, the launcher 3e-5. 350M has its norms after attention and MLP
OPT: Mapping[str, Preset] = {
    "opt-125m": _model(12, 768, 12, 6e-4, 256),
    "opt-350m": _model(24, 1024, 16, 3e-4, 256, block="post-norm", embedding_size=512),
    "opt-1.3b": _model(24, 2048, 32, 2e-4, 512),
    "opt-2.7b": _model(32, 2560, 32, 1.6e-4, 512),
    "opt-6.7b": _model(32, 4096, 32, 1.2e-4, 1024),
    "opt-13b": _model(40, 5120, 40, 1e-4, 2048),
    "opt-30b": _model(48, 7168, 56, 1e-4, 2048),
    "opt-66b": _model(64, 9216, 72, 8e-5, 1024),
    "opt-175b": _model(96, 12288, 96, 1.2e-4, 1024),
    "opt-tiny": tiny(opt_shape(12, 768, 12, 50272)),
}
