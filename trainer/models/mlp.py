"""The feed-forward layer: output(f(up(x))), or gated (Shazeer 2020): output(f(gate(x)) · up(x))."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.models.shape import ModelShape


def _relu_squared(x: Tensor) -> Tensor:
    return functional.relu(x).square()


_FUNCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu-tanh": partial(functional.gelu, approximate="tanh"),
    "relu": functional.relu,
    "relu-squared": _relu_squared,
}


class MLP(nn.Module):
    """One projection up, or a fused one of gate and up, and one back; [B, T, D] -> [B, T, D]."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.widths = (shape.feed_forward,) * (2 if shape.gated else 1)
        self.function = shape.activation
        self.project = nn.Linear(shape.d_model, sum(self.widths), bias=shape.bias)
        self.output = nn.Linear(shape.feed_forward, shape.d_model, bias=shape.bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Apply the layer to every position."""
        output: Tensor = self.output(self._activate(self.project(x_BTD)))
        return output

    def _activate(self, projected: Tensor) -> Tensor:
        """[B, T, F], or of gates and ups [B, T, 2F] -> [B, T, F]."""
        if len(self.widths) == 1:
            return _FUNCTIONS[self.function](projected)
        if self.function == "silu":
            return _gated(projected)
        gate, up = projected.chunk(2, dim=-1)
        return _FUNCTIONS[self.function](gate) * up


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
