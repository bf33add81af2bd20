"""Pythia (Biderman et al. 2023, arXiv 2304.01373): GPT-NeoX's form at ten sizes, all trained on the same rows."""

from __future__ import annotations

from collections.abc import Mapping

from trainer.config.families.neox import neox_shape
from trainer.config.families.preset import Preset, paper, tiny
from trainer.models.shape import ModelShape


def _model(shape: ModelShape, lr: float) -> Preset:
    """143,000 steps of 1,024 sequences, 1 % of them warm-up."""
    return paper(shape, lr, 1024, warmup=0.01)


# the vocabulary is the tokenizer's, rounded up to 128 · tensor parallelism; 6.9B and 12B fell back to GPT-2's first weights
PYTHIA: Mapping[str, Preset] = {
    "pythia-14m": _model(neox_shape(6, 128, 4), 1e-3),
    "pythia-70m": _model(neox_shape(6, 512, 8), 1e-3),
    "pythia-160m": _model(neox_shape(12, 768, 12), 6e-4),
    "pythia-410m": _model(neox_shape(24, 1024, 16), 3e-4),
    "pythia-1b": _model(neox_shape(16, 2048, 8), 3e-4),
    "pythia-1.4b": _model(neox_shape(24, 2048, 16), 2e-4),
    "pythia-2.8b": _model(neox_shape(32, 2560, 32), 1.6e-4),
    "pythia-6.9b": _model(neox_shape(32, 4096, 32, 50432, small=False), 1.2e-4),
    "pythia-12b": _model(neox_shape(36, 5120, 40, 50688, small=False), 1.2e-4),
    "pythia-tiny": tiny(neox_shape(6, 512, 8)),
}
