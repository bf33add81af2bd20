"""Norms without bias. Shapes: any leading dimensions, the last is the width."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from corpus.errors import UsageError
from trainer.models.count import Count
from trainer.models.shape import ModelShape


class RMSNorm(nn.Module):
    """x / sqrt(mean(x²) + ε) · scale (Zhang & Sennrich 2019; LLaMA section 2.2)."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension, in float32 whatever the input's dtype."""
        # by hand: on a CPU torch's own rms_norm is three times slower than this
        wide = x.float()
        normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.epsilon)
        return (normed * self.scale).type_as(x)


class LayerNorm(nn.Module):
    """Layer normalisation with a scale and no bias (PaLM section 2)."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        return functional.layer_norm(x, (x.shape[-1],), self.scale.type_as(x), None, self.epsilon)


def build_norm(shape: ModelShape) -> nn.Module:
    """The norm that `shape.norm` names."""
    kind = RMSNorm if shape.norm == "rms" else LayerNorm
    return kind(shape.d_model, shape.norm_epsilon)


def check_norm(shape: ModelShape) -> None:
    """A UsageError where the settings of the norms make no sense."""
    if not shape.norm_epsilon >= 0:
        raise UsageError(f"model.norm_epsilon is {shape.norm_epsilon}: give a number of at least 0.")


def count_norm(shape: ModelShape) -> Count:
    """Parameters of one norm, of either kind."""
    return Count(other=shape.d_model)
