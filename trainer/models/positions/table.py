"""What is known of positions before any training, for each kind of them: the one buffer of a model."""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.models.positions.alibi import distance_scores
from trainer.models.positions.rope import rotary_table
from trainer.models.positions.t5 import distance_buckets
from trainer.models.positions.transformer_xl import distances, sinusoids
from trainer.models.shape import ModelShape


def position_table(shape: ModelShape) -> Tensor:
    """Rotary angles [2, L, R/2], ALiBi's scores of the distances [H, L], T5's buckets of them [L], Transformer-XL's sinusoids
    of them [L, D], or nothing [0]; L is the sequence length."""
    length = shape.sequence_length
    if shape.positions == "rope":
        return rotary_table(shape)
    if shape.positions == "alibi":
        return distance_scores(shape.heads, length)
    if shape.positions == "t5":
        return distance_buckets(length)
    if shape.positions == "transformer-xl":
        return sinusoids(length, shape.d_model)
    return torch.empty(0)


def at_distances(scores_HL: Tensor, start: int, length: int) -> Tensor:
    """Scores by distance as scores of the positions from `start` on and all they can see: [1, H, T, S]."""
    return scores_HL[:, distances(start, length, scores_HL.device).clamp(min=0)][None]
