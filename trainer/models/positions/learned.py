"""Learned positions: a vector of each position is added to the embedding (GPT-2, GPT-3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.models.shape import ModelShape


class LearnedPositions(nn.Module):
    """The table of the vectors. OPT's has `position_offset` rows in front that no position has."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.offset = shape.position_offset
        self.weight = nn.Parameter(torch.empty(shape.position_offset + shape.sequence_length, shape.d_model))

    def forward(self, start: int, length: int, position_BT: Tensor | None = None) -> Tensor:
        """The vectors of the positions from `start` on, [T, D], or of given ones, [B, T, D]."""
        if position_BT is not None:
            return functional.embedding(position_BT + self.offset, self.weight)
        begin = self.offset + start
        return self.weight[begin : begin + length]
