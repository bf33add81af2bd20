"""LaMDA (Thoppilan et al. 2022, arXiv 2201.08239): T5's relative positions, gated GELU, wide attention.

Not published and chosen here: RMSNorm before attention and MLP, no biases and tied embeddings (as T5 has them), the
optimizer (AdamW with GPT-3's rate for the size), sequences of 1,024.
"""

from __future__ import annotations

from collections.abc import Mapping

from trainer.config.families.preset import Preset, paper, tiny
from trainer.models.shape import ModelShape


def _shape(layers: int, d_model: int, heads: int) -> ModelShape:
    """Section 3 and appendix D: heads of 128 whatever the width, d_ff = 8·d, a vocabulary of 32,000."""
    return ModelShape(
        layers=layers,
        d_model=d_model,
        heads=heads,
        n_kv_heads=heads,
        head_size=128,
        feed_forward=8 * d_model,
        vocabulary=32000,
        sequence_length=1024,
        activation="gelu",
        tied=True,
        positions="t5",
    )


# batches of 256K tokens
LAMDA: Mapping[str, Preset] = {
    "lamda-2b": paper(_shape(10, 2560, 40), 1.6e-4, 256),
    "lamda-8b": paper(_shape(16, 4096, 64), 1.2e-4, 256),
    "lamda-137b": paper(_shape(64, 8192, 128), 6e-5, 256),
    "lamda-tiny": tiny(_shape(10, 2560, 40)),
}
