"""Rotary positions (Su et al. 2021): each pair of features is turned by an angle that grows with the position.

Feature i is paired with i + head_size/2, as `transformers` does it, so that exported weights need no permutation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from corpus.errors import UsageError
from trainer.models.shape import ModelShape


def check_rotary(shape: ModelShape) -> None:
    """A UsageError where a shape has no rotary positions."""
    if not shape.rope_base > 0:
        raise UsageError(f"model.rope_base is {shape.rope_base}: give a number above 0.")
    if shape.head_size % 2:
        raise UsageError(f"model.head_size is {shape.head_size}: rotary positions need an even number.")


def rotary_table(length: int, head_size: int, base: float) -> Tensor:
    """Cosines and sines of positions 0 … length-1: float32 [2, length, head_size / 2]."""
    frequencies = base ** (-torch.arange(0, head_size, 2, dtype=torch.float32) / head_size)
    angles = torch.arange(length, dtype=torch.float32)[:, None] * frequencies[None, :]
    return torch.stack((angles.cos(), angles.sin()))


def rotate(x_BHTE: Tensor, table_2TE: Tensor) -> Tensor:
    """Turn the heads of `x` by the angles of their positions, in float32 whatever the dtype of `x`.

    x: [B, H, T, E]; table: [2, T, E/2], the rows of the positions of `x`.
    """
    if torch.compiler.is_compiling():  # the compiler fuses the formula itself
        cosine, sine = table_2TE
        first, second = x_BHTE.float().chunk(2, dim=-1)
        return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1).type_as(x_BHTE)
    apply: Callable[[Tensor, Tensor], Tensor] = _Rotation.apply
    return apply(x_BHTE, table_2TE)


class _Rotation(torch.autograd.Function):
    """A rotation, whose gradient is turned back by the same angles: nothing but the table is kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(table)
        return _turned(x, *table)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        cosine, sine = ctx.saved_tensors[0]
        return _turned(upstream[0], cosine, -sine), None


def _turned(x: Tensor, cosine_TE: Tensor, sine_TE: Tensor) -> Tensor:
    wide = x.float()
    first, second = wide.chunk(2, dim=-1)
    turned = wide * cosine_TE.repeat(1, 2)
    turned_first, turned_second = turned.chunk(2, dim=-1)
    turned_first.addcmul_(second, sine_TE, value=-1)
    turned_second.addcmul_(first, sine_TE)
    return turned.type_as(x)
