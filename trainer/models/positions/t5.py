"""T5's relative positions (Raffel et al. 2020, section 2.1): a learned score of each head for each range of distances.

One table for all layers; the causal form, in which all buckets are of the past.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.models.count import T5_BUCKETS
from trainer.models.shape import ModelShape

FARTHEST = 128
"""The distance from which on all are one range."""


def distance_buckets(length: int) -> Tensor:
    """The bucket of each distance: int64 [L]. Half are of one distance each, the others grow by a constant factor."""
    distance = torch.arange(length)
    exact = T5_BUCKETS // 2
    ratio = (distance.clamp(min=1).float() / exact).log() / math.log(FARTHEST / exact)
    far = (exact + (ratio * (T5_BUCKETS - exact)).long()).clamp(max=T5_BUCKETS - 1)
    return torch.where(distance < exact, distance, far)


class RelativeScores(nn.Module):
    """The learned scores of each bucket and head."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(T5_BUCKETS, shape.heads))

    def forward(self, bucket_L: Tensor) -> Tensor:
        """What is added to the scores of a head at each distance: [H, L]."""
        return functional.embedding(bucket_L, self.weight).T
