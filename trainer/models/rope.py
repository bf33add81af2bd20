"""Rotary positions (Su et al. 2021): each pair of features is turned by an angle that grows with the position.

Feature i is paired with i + head_size/2, as `transformers` does it, so that exported weights need no permutation.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rotary_table(length: int, head_size: int, base: float) -> Tensor:
    """Cosines and sines of positions 0 … length-1: float32 [2, length, head_size / 2]."""
    frequencies = base ** (-torch.arange(0, head_size, 2, dtype=torch.float32) / head_size)
    angles = torch.arange(length, dtype=torch.float32)[:, None] * frequencies[None, :]
    return torch.stack((angles.cos(), angles.sin()))


def rotate(x_BHTE: Tensor, table_2TE: Tensor) -> Tensor:
    """Turn the heads of `x` by the angles of their positions, in float32 whatever the dtype of `x`.

    x: [B, H, T, E]; table: [2, T, E/2], the rows of the positions of `x`.
    """
    cosine, sine = table_2TE
    first, second = x_BHTE.float().chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1).type_as(x_BHTE)
