"""The SwiGLU feed-forward layer (Shazeer 2020): output(silu(gate(x)) · up(x)), no biases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.models.count import Count
from trainer.models.shape import ModelShape


class SwiGLU(nn.Module):
    """Fused gate and up projection; [B, T, D] -> [B, T, D]."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.widths = (shape.feed_forward, shape.feed_forward)
        self.project = nn.Linear(shape.d_model, 2 * shape.feed_forward, bias=False)
        self.output = nn.Linear(shape.feed_forward, shape.d_model, bias=False)

    @staticmethod
    def count(shape: ModelShape) -> Count:
        """Its parameters."""
        return Count(3 * shape.d_model * shape.feed_forward)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Apply the layer to every position."""
        output: Tensor = self.output(_gated(self.project(x_BTD)))
        return output


def _gated(both_BTF: Tensor) -> Tensor:
    """silu(gate) · up, where the last dimension holds gates, then ups."""
    if torch.compiler.is_compiling():  # the compiler fuses the formula itself
        gate, up = both_BTF.chunk(2, dim=-1)
        return functional.silu(gate) * up
    apply: Callable[[Tensor], Tensor] = _Gated.apply
    return apply(both_BTF)


class _Gated(torch.autograd.Function):
    """The product with nothing kept but its input, and both gradients written where they are wanted."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        ctx.save_for_backward(both)
        gate, up = both.chunk(2, dim=-1)
        return functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Tensor:
        (both,) = ctx.saved_tensors
        gate, up = both.chunk(2, dim=-1)
        gradient = torch.empty_like(both)
        for_gate, for_up = gradient.chunk(2, dim=-1)
        torch.mul(upstream[0], functional.silu(gate), out=for_up)
        torch.ops.aten.silu_backward.grad_input(upstream[0] * up, gate, grad_input=for_gate)
        return gradient
