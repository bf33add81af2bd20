"""Llama 3 (Llama team 2024, arXiv 2407.21783): grouped-query attention, a large vocabulary, rotary base 500,000."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.config.families.preset import Preset, paper, tiny
from trainer.models.shape import ModelShape

_BATCH = 512
"""Sequences of 8,192: 4M tokens, the 405B model's first size (section 3.4.1)."""

_WARMUP = 8000 * _BATCH * 8192
"""Tokens of 8,000 steps."""


def _shape(layers: int, d_model: int, heads: int, feed_forward: int, **further: Any) -> ModelShape:
    """Section 3.2 and Table 3: eight key heads, SwiGLU, RMSNorm, sequences of 8,192."""
    return ModelShape(
        layers=layers,
        d_model=d_model,
        heads=heads,
        n_kv_heads=8,
        head_size=d_model // heads,
        feed_forward=feed_forward,
        vocabulary=128256,
        sequence_length=8192,
        norm_epsilon=1e-5,
        rope_base=500000.0,
        **further,
    )


# what the 3.1 and 3.2 models read 131,072 tokens with
_SCALED: dict[str, Any] = {"rope_scaling": "llama3", "rope_factor": 32.0, "rope_original_length": 8192, "tied": True}

# rates of Table 3, of which 405B decays to 8e-7 (section 3.4.1); the small models of 3.2 were pruned and distilled, so that theirs is that of the 8B
LLAMA3: Mapping[str, Preset] = {
    "llama3-8b": paper(_shape(32, 4096, 32, 14336), 3e-4, _BATCH, warmup=_WARMUP),
    "llama3-70b": paper(_shape(80, 8192, 64, 28672), 1.5e-4, _BATCH, warmup=_WARMUP),
    "llama3-405b": paper(
        _shape(126, 16384, 128, 53248),
        8e-5,
        _BATCH,
        warmup=_WARMUP,
        batch_ramp="0:512,252M:1024,2.87T:2048",
        final=0.01,
    ),
    "llama3.2-1b": paper(_shape(16, 2048, 32, 8192, **_SCALED), 3e-4, _BATCH, warmup=_WARMUP),
    "llama3.2-3b": paper(_shape(28, 3072, 24, 8192, **_SCALED), 3e-4, _BATCH, warmup=_WARMUP),
    "llama3-tiny": tiny(_shape(32, 4096, 32, 14336), n_kv_heads=2),
}
