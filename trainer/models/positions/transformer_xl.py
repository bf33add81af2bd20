"""Transformer-XL's relative positions (Dai et al. 2019, section 3.3): queries meet projected sinusoids of the distance.

score(i, j) = (q_i + u)·k_j + (q_i + v)·W sinusoid(i - j), all over sqrt(head size); W, u and v are of each layer (the
paper's `untie_r`).

Shape suffixes: B sequences, H heads, T positions, S positions seen, E head size, L distances.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer.models.shape import ModelShape


def sinusoids(length: int, width: int) -> Tensor:
    """The vectors of distances 0 … length-1: float32 [L, width], sines, then cosines."""
    frequencies = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    angles = torch.arange(length, dtype=torch.float32)[:, None] * frequencies
    return torch.cat((angles.sin(), angles.cos()), dim=-1)[:, :width]


class RelativePositions(nn.Module):
    """The projection of the sinusoids and the two vectors that stand for any query."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.heads, self.head_size = shape.heads, shape.head_size
        self.project = nn.Linear(shape.d_model, shape.query_width, bias=False)
        self.content = nn.Parameter(torch.empty(shape.query_width))
        self.position = nn.Parameter(torch.empty(shape.query_width))

    def forward(self, query_BHTE: Tensor, table_LD: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """The queries that meet the keys, [B, H, T, E], and what is added to their scores, [B, H, T, S].

        The queries are at the positions from `start` on, the table has the distances 0 … S-1.
        """
        by_distance_HLE = self.project(table_LD).view(-1, self.heads, self.head_size).transpose(0, 1)
        met_BHTE = query_BHTE + self.position.view(self.heads, 1, self.head_size)
        scores_BHTL = met_BHTE @ by_distance_HLE.transpose(1, 2) * self.head_size**-0.5
        distance_TS = distances(start, query_BHTE.shape[2], query_BHTE.device)
        index = distance_TS.clamp(min=0).expand(scores_BHTL.shape)
        return query_BHTE + self.content.view(self.heads, 1, self.head_size), scores_BHTL.gather(3, index)


def distances(start: int, length: int, device: torch.device) -> Tensor:
    """How far each of the positions start … start+length-1 is behind each position seen: int64 [T, S], negative where the
    position seen is later."""
    query_T = torch.arange(start, start + length, device=device)
    return query_T[:, None] - torch.arange(start + length, device=device)
