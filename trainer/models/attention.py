"""Causal self-attention with rotary positions and any number of key heads (one: multi-query, Shazeer 2019).

Shape suffixes: B rows, T positions, S positions seen, D width, H query heads, K key heads, E head size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.models.rope import rotate
from trainer.models.shape import ModelShape


@dataclass
class LayerCache:
    """Keys and values of the positions one layer has seen in generation: [B, K, capacity, E] each."""

    keys: Tensor
    values: Tensor

    def extend(self, start: int, keys_BKTE: Tensor, values_BKTE: Tensor) -> tuple[Tensor, Tensor]:
        """Store the positions from `start` on; give all positions so far."""
        stop = start + keys_BKTE.shape[2]
        self.keys[:, :, start:stop] = keys_BKTE
        self.values[:, :, start:stop] = values_BKTE
        return self.keys[:, :, :stop], self.values[:, :, :stop]


class Attention(nn.Module):
    """Fused query, key and value projection, scaled dot products, output projection; no biases."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.widths = (shape.query_width, shape.key_width, shape.key_width)
        self.heads, self.key_heads, self.head_size = shape.heads, shape.key_heads, shape.head_size
        self.project = nn.Linear(shape.width, sum(self.widths), bias=False)
        self.output = nn.Linear(shape.query_width, shape.width, bias=False)

    def forward(
        self,
        x_BTD: Tensor,
        table_2TE: Tensor,
        mask_B1TT: Tensor | None = None,
        cache: LayerCache | None = None,
        start: int = 0,
    ) -> Tensor:
        """Attend to earlier positions: [B, T, D] -> [B, T, D].

        `mask` (True: may look) replaces the causal rule and must contain it. With a `cache` the input is the positions
        from `start` on: a whole prompt at 0, then one at a time.
        """
        B, T, _ = x_BTD.shape
        query, key, value = self.project(x_BTD).split(self.widths, dim=-1)
        query_BHTE = rotate(query.view(B, T, self.heads, self.head_size).transpose(1, 2), table_2TE)
        key_BKSE = rotate(key.view(B, T, self.key_heads, self.head_size).transpose(1, 2), table_2TE)
        value_BKSE = value.view(B, T, self.key_heads, self.head_size).transpose(1, 2)
        if cache is not None:
            assert start == 0 or T == 1, "a cache is filled by a prompt, then one position at a time"
            key_BKSE, value_BKSE = cache.extend(start, key_BKSE, value_BKSE)
        mixed_BHTE = functional.scaled_dot_product_attention(
            query_BHTE,
            key_BKSE,
            value_BKSE,
            attn_mask=mask_B1TT,
            is_causal=mask_B1TT is None and T > 1,
            enable_gqa=self.key_heads != self.heads,
        )
        output: Tensor = self.output(mixed_BHTE.transpose(1, 2).reshape(B, T, -1))
        return output


def document_mask(document_BT: Tensor) -> Tensor:
    """The causal mask that keeps documents apart: [B, T] document numbers -> bool [B, 1, T, T] (True: may look)."""
    length = document_BT.shape[1]
    causal_TT = torch.ones(length, length, dtype=torch.bool, device=document_BT.device).tril()
    same_BTT = document_BT[:, :, None] == document_BT[:, None, :]
    return (same_BTT & causal_TT)[:, None]
