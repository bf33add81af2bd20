"""The classes of transformers that compute what some shape of ours does."""

from __future__ import annotations

from collections.abc import Sequence

from corpus.errors import UsageError
from trainer.huggingface.bigcode import BIGCODE
from trainer.huggingface.bloom import BLOOM
from trainer.huggingface.falcon import FALCON
from trainer.huggingface.gpt2 import GPT2
from trainer.huggingface.layout import Layout
from trainer.huggingface.llama import LLAMA
from trainer.huggingface.mpt import MPT
from trainer.huggingface.nanochat import NANOCHAT
from trainer.huggingface.neox import NEOX
from trainer.huggingface.opt import OPT
from trainer.models.shape import ModelShape

LAYOUTS: Sequence[Layout] = (LLAMA, GPT2, BIGCODE, NEOX, BLOOM, OPT, FALCON, MPT, NANOCHAT)
"""Of two that compute the same the first is taken."""


def layout_of(shape: ModelShape) -> Layout:
    """The class that computes what a model of this shape does; a UsageError where there is none."""
    for layout in LAYOUTS:
        if layout.computes(shape):
            return layout
    nearest = min(LAYOUTS, key=lambda layout: len(layout.lost(shape)))
    lost = ", ".join(f"model.{name}={getattr(shape, name)}" for name in nearest.lost(shape))
    raise UsageError(
        f"no class of transformers computes what this model does (the nearest, {nearest.architecture}, has no {lost}): "
        "use trainer generate and trainer eval on the run itself."
    )


def layout_named(architecture: str) -> Layout:
    """The class of that name."""
    return next(layout for layout in LAYOUTS if layout.architecture == architecture)
