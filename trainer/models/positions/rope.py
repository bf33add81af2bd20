"""Rotary positions (Su et al. 2021): each pair of features is turned by an angle that grows with the position.

Feature i is paired with i + rotary size/2, as `transformers` does it, so that exported weights need no permutation.
"""

from __future__ import annotations

import math
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
    if shape.rotary_size % 2 or not shape.rotary_size:
        size = f"{shape.rotary_size} of {shape.head_size}" if shape.rope_share < 1 else f"{shape.head_size}"
        raise UsageError(f"model.head_size is {size}: rotary positions need an even number.")
    if shape.rope_scaling == "llama3" and not shape.rope_high_factor > shape.rope_low_factor:
        raise UsageError(
            f"model.rope_high_factor ({shape.rope_high_factor:g}) must be above model.rope_low_factor "
            f"({shape.rope_low_factor:g})."
        )


def rotary_table(shape: ModelShape) -> Tensor:
    """Cosines and sines of all positions: float32 [2, sequence length, rotary size / 2]."""
    angles = torch.arange(shape.sequence_length, dtype=torch.float32)[:, None] * frequencies(shape)[None, :]
    return torch.stack((angles.cos(), angles.sin()))


def frequencies(shape: ModelShape) -> Tensor:
    """Radians a position of each pair: float32 [rotary size / 2].

    "linear" divides all by the factor (Chen et al. 2023). "llama3" divides those whose waves are long, leaves short ones
    and goes over from one to the other in between (Llama 3.1).
    """
    size = shape.rotary_size
    plain = shape.rope_base ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)
    if shape.rope_scaling == "none":
        return plain
    scaled = plain / shape.rope_factor
    if shape.rope_scaling == "linear":
        return scaled
    waves = shape.rope_original_length * plain / (2 * math.pi)
    low, high = shape.rope_low_factor, shape.rope_high_factor
    share = ((waves - low) / (high - low)).clamp(0.0, 1.0)
    return (1 - share) * scaled + share * plain


def rotate(x_BHTE: Tensor, table_2TE: Tensor) -> Tensor:
    """Turn the heads of `x` by the angles of their positions, in float32 whatever the dtype of `x`.

    x: [B, H, T, E]; table: [2, T, R/2], the rows of the positions of `x`; the first R ≤ E features of a head are turned.
    """
    size = 2 * table_2TE.shape[-1]
    if size < x_BHTE.shape[-1]:
        return torch.cat((rotate(x_BHTE[..., :size], table_2TE), x_BHTE[..., size:]), dim=-1)
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
