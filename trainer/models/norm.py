"""Norms. Shapes: any leading dimensions, the last is the width."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from corpus.errors import UsageError
from trainer.models.shape import ModelShape


class RMSNorm(nn.Module):
    """x / sqrt(mean(x²) + ε) · scale (Zhang & Sennrich 2019; LLaMA section 2.2)."""

    scale: nn.Parameter | None

    def __init__(self, width: int, epsilon: float, scaled: bool = True) -> None:
        super().__init__()
        self.register_parameter("scale", nn.Parameter(torch.ones(width)) if scaled else None)
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension, in float32 whatever the input's dtype."""
        # by hand: on a CPU torch's own rms_norm is three times slower than this
        wide = x.float()
        normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.epsilon)
        return (normed if self.scale is None else normed * self.scale).type_as(x)


class LayerNorm(nn.Module):
    """Layer normalisation with a scale and a bias, with a scale alone (PaLM section 2), or with neither."""

    scale: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, width: int, epsilon: float, scaled: bool = True, biased: bool = False) -> None:
        super().__init__()
        self.register_parameter("scale", nn.Parameter(torch.ones(width)) if scaled else None)
        self.register_parameter("bias", nn.Parameter(torch.zeros(width)) if biased else None)
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        scale = None if self.scale is None else self.scale.type_as(x)
        bias = None if self.bias is None else self.bias.type_as(x)
        return functional.layer_norm(x, (x.shape[-1],), scale, bias, self.epsilon)


def build_norm(shape: ModelShape) -> nn.Module:
    """The norm that `shape.norm` names."""
    kind, _, form = shape.norm.partition("-")
    scaled = form != "unscaled"
    if kind == "rms":
        return RMSNorm(shape.d_model, shape.norm_epsilon, scaled)
    return LayerNorm(shape.d_model, shape.norm_epsilon, scaled, form == "bias")


def check_norm(shape: ModelShape) -> None:
    """A UsageError where the settings of the norms make no sense."""
    if not shape.norm_epsilon >= 0:
        raise UsageError(f"model.norm_epsilon is {shape.norm_epsilon}: give a number of at least 0.")
