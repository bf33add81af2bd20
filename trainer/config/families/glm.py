"""GLM-130B (Zeng et al. 2022, arXiv 2210.02414), its causal part: norms after attention and MLP with DeepNorm, GEGLU.

Spans to fill in, and the two-way attention within a prompt, are no part of it: what is left of the released model without
them is a decoder with rotary positions. The code's scaling of each layer's scores cancels out and is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from trainer.config.families.preset import Preset, paper, tiny
from trainer.models.shape import ModelShape

_SHAPE = ModelShape(
    layers=70,
    d_model=12288,
    heads=96,
    n_kv_heads=96,
    head_size=128,
    feed_forward=32768,
    vocabulary=150528,
    sequence_length=2048,
    block="glm",
    norm="layer-bias",
    norm_epsilon=1e-5,
    activation="gelu",
    bias=True,
    tied=True,
    initialisation="glm",
)

# Table 11: the batch grows from 192 to 4,224 over 2.5 % of 400 billion tokens, here in twelve steps of 336
_RAMP = "0:192," + ",".join(f"{round(10 / 12 * n, 2)}B:{192 + 336 * n}" for n in range(1, 13))

GLM: Mapping[str, Preset] = {
    "glm-130b": paper(_SHAPE, 8e-5, 192, warmup=0.005, dropout=0.1, batch_ramp=_RAMP),
    "glm-tiny": tiny(_SHAPE),
}
