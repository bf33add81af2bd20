"""ALiBi (Press et al. 2022): scores fall with the distance, at each head's own rate."""

from __future__ import annotations

import torch
from torch import Tensor


def slopes(heads: int) -> Tensor:
    """How much a head's scores fall with each position: float32 [H].

    With m the largest power of two that is at most H: 2^(-8i/m), i from 1 to m; what is left takes every other rate of 2m
    heads.
    """
    whole = 1 << (heads.bit_length() - 1)
    first = [2.0 ** (-8 * i / whole) for i in range(1, whole + 1)]
    rest = [2.0 ** (-8 * (2 * i - 1) / (2 * whole)) for i in range(1, heads - whole + 1)]
    return torch.tensor(first + rest, dtype=torch.float32)


def distance_scores(heads: int, length: int) -> Tensor:
    """What is added to the scores of a head at each distance: float32 [H, L].

    BLOOM adds slope · position of the key, which differs by a constant of the query that softmax takes out; the distance
    is exact near the query in bfloat16 too.
    """
    return -slopes(heads)[:, None] * torch.arange(length, dtype=torch.float32)
