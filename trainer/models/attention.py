"""Causal self-attention with any number of key heads (one: multi-query, Shazeer 2019).

No matrix of scores is ever kept: torch's scaled dot products go over it in blocks. Documents of a sequence are kept
apart by a boolean mask on a CPU and by FlexAttention on a GPU, which leaves the blocks between documents out. Positions
count from the sequence's start in both, since attention sees their differences alone; learned ones, which it does not see,
from the document's.

Shape suffixes: B sequences, T positions, S positions seen, D width, H query heads, K key heads, E head size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache as once
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from corpus.errors import UsageError
from trainer.models.positions.rope import rotate
from trainer.models.positions.transformer_xl import RelativePositions, distances
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


@dataclass(frozen=True)
class DocumentBlocks:
    """A document mask for FlexAttention: torch's block mask, whose type loads the compiler when it is imported, and what is
    added to the scores: [B or 1, H, T, S] or nothing. `position_BT` counts from the start of each document."""

    blocks: Any
    position_BT: Tensor
    scores: Tensor | None = None


Mask = Tensor | DocumentBlocks | None
"""Which position attends to which: bool [B, 1, T, T] (True: it does), FlexAttention's blocks, or the causal rule (None).
Where positions are added to the scores: those and the mask in one, float [B or 1, H, T, S], or as part of the blocks."""


class Attention(nn.Module):
    """Fused query, key and value projection, scaled dot products, output projection."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.widths = (shape.query_width, shape.key_width, shape.key_width)
        self.heads, self.n_kv_heads, self.head_size = shape.heads, shape.n_kv_heads, shape.head_size
        self.rotary = shape.positions == "rope"
        self.qk_epsilon = shape.norm_epsilon if shape.qk_norm else None
        self.project = nn.Linear(shape.d_model, sum(self.widths), bias=shape.bias)
        self.output = nn.Linear(shape.query_width, shape.d_model, bias=shape.bias)
        self.relative = RelativePositions(shape) if shape.positions == "transformer-xl" else None

    @staticmethod
    def check(shape: ModelShape) -> None:
        """A UsageError where a shape has no attention."""
        if shape.heads % shape.n_kv_heads:
            raise UsageError(
                f"model.heads ({shape.heads}) is no multiple of model.n_kv_heads ({shape.n_kv_heads}): give one that is."
            )

    def forward(
        self,
        x_BTD: Tensor,
        table: Tensor,
        mask: Mask = None,
        cache: LayerCache | None = None,
        start: int = 0,
    ) -> Tensor:
        """Attend to earlier positions: [B, T, D] -> [B, T, D].

        `table` is what `LanguageModel` has of the positions: rotary angles [2, T, R/2], or sinusoids of the distances.
        A `mask` replaces the causal rule and contains it. With a `cache` the input is the positions from `start` on: a
        whole prompt at 0, then one at a time.
        """
        B, T, _ = x_BTD.shape
        query_BHTE, key_BKSE, value_BKSE = self._projected(x_BTD, table)
        if cache is not None:
            assert start == 0 or T == 1, "a cache is filled by a prompt, then one position at a time"
            key_BKSE, value_BKSE = cache.extend(start, key_BKSE, value_BKSE)
        if self.relative is not None:
            query_BHTE, scores = self.relative(query_BHTE, table, start)
            mask = with_scores(mask, scores, start)
        mixed_BHTE = _mix(query_BHTE, key_BKSE, value_BKSE, mask)
        output: Tensor = self.output(mixed_BHTE.transpose(1, 2).reshape(B, T, -1))
        return output

    def _projected(self, x_BTD: Tensor, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, H, T, E], keys and values [B, K, T, E], placed and normed as the shape says."""
        B, T, _ = x_BTD.shape
        query, key, value = self.project(x_BTD).split(self.widths, dim=-1)
        query_BHTE = query.view(B, T, self.heads, self.head_size).transpose(1, 2)
        key_BKTE = key.view(B, T, self.n_kv_heads, self.head_size).transpose(1, 2)
        value_BKTE = value.view(B, T, self.n_kv_heads, self.head_size).transpose(1, 2)
        if self.rotary:
            query_BHTE, key_BKTE = rotate(query_BHTE, table), rotate(key_BKTE, table)
        if self.qk_epsilon is not None:
            query_BHTE, key_BKTE = _unit(query_BHTE, self.qk_epsilon), _unit(key_BKTE, self.qk_epsilon)
        return query_BHTE, key_BKTE, value_BKTE

    def weights(self, x_BTD: Tensor, table: Tensor, mask: Tensor | None = None) -> Tensor:
        """How much each position attends to each: float32 [B, H, T, S], which training never makes."""
        query_BHTE, key_BKSE, _ = self._projected(x_BTD, table)
        if mask is None:
            mask = distances(0, x_BTD.shape[1], x_BTD.device) >= 0
        if self.relative is not None:
            query_BHTE, scores_BHTS = self.relative(query_BHTE, table, 0)
            mask = scores_BHTS.masked_fill(~mask, -torch.inf)
        key_BHSE = key_BKSE.repeat_interleave(self.heads // self.n_kv_heads, dim=1)
        scores_BHTS = (query_BHTE @ key_BHSE.transpose(2, 3)).float() * self.head_size**-0.5
        boolean = mask.dtype == torch.bool
        scores_BHTS = scores_BHTS.masked_fill(~mask, -torch.inf) if boolean else scores_BHTS + mask
        shares_BHTS: Tensor = scores_BHTS.softmax(-1)
        return shares_BHTS


def _unit(x_BHTE: Tensor, epsilon: float) -> Tensor:
    """Heads over their RMS, in float32 whatever the dtype."""
    wide = x_BHTE.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)).type_as(x_BHTE)


def with_scores(mask: Mask, scores: Tensor, start: int) -> Mask:
    """The mask that adds `scores`, float [B or 1, H, T, S] of the positions from `start` on, where `mask` lets attend."""
    if isinstance(mask, DocumentBlocks):
        return replace(mask, scores=scores)
    allowed = mask if mask is not None else distances(start, scores.shape[2], scores.device) >= 0
    return scores.masked_fill(~allowed, -torch.inf)


def _mix(query_BHTE: Tensor, key_BKSE: Tensor, value_BKSE: Tensor, mask: Mask) -> Tensor:
    """Softmax-weighted values: [B, H, T, E]."""
    shared = key_BKSE.shape[1] != query_BHTE.shape[1]
    if isinstance(mask, DocumentBlocks):
        mixed: Tensor = _attend_in_documents(query_BHTE, key_BKSE, value_BKSE, mask, shared)
        return mixed
    causal = mask is None and query_BHTE.shape[2] > 1
    return functional.scaled_dot_product_attention(
        query_BHTE, key_BKSE, value_BKSE, attn_mask=mask, is_causal=causal, enable_gqa=shared
    )


def _attend_in_documents(
    query_BHTE: Tensor, key_BKSE: Tensor, value_BKSE: Tensor, mask: DocumentBlocks, shared: bool
) -> Tensor:
    from torch.nn.attention.flex_attention import flex_attention

    added, scores = None, mask.scores
    if scores is not None:
        scores_BHTS = scores.expand(query_BHTE.shape[0], -1, -1, -1)

        def added(score: Tensor, row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return score + scores_BHTS[row, head, query, key]

    mixed: Tensor = _compiled(flex_attention)(
        query_BHTE, key_BKSE, value_BKSE, score_mod=added, block_mask=mask.blocks, enable_gqa=shared
    )
    return mixed


@once
def keep_out_of_blocks() -> None:
    """Before blocks are compiled: attention in documents stays out of them. Inlined into a block FlexAttention gave wrong
    values (torch 2.13, CPU); compiled by itself it does not. Not said where it is defined, for that loads the compiler,
    which is half of a command's start."""
    global _attend_in_documents
    _attend_in_documents = torch.compiler.disable(_attend_in_documents, recursive=False)  # type: ignore[no-untyped-call]  # torch leaves it untyped


def document_mask(document_BT: Tensor) -> Tensor | DocumentBlocks:
    """The causal mask that keeps documents apart, for [B, T] document numbers on the device of the model.

    Padding needs a number of its own: it attends to itself, so that no position is left without any.
    """
    if document_BT.is_cuda:
        return _document_blocks(document_BT)
    length = document_BT.shape[1]
    causal_TT = torch.ones(length, length, dtype=torch.bool, device=document_BT.device).tril()
    same_BTT = document_BT[:, :, None] == document_BT[:, None, :]
    return (same_BTT & causal_TT)[:, None]


def _document_blocks(document_BT: Tensor) -> DocumentBlocks:
    from torch.nn.attention.flex_attention import create_block_mask

    def attends(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query >= key) & (document_BT[row, query] == document_BT[row, key])

    B, T = document_BT.shape
    blocks = _compiled(create_block_mask)(attends, B, None, T, T, device=document_BT.device)
    return DocumentBlocks(blocks, _since_start(document_BT))


def positions_in_documents(mask: Mask) -> Tensor | None:
    """How far each position is behind the start of its document: int64 [B, T]; None for the causal rule."""
    if mask is None:
        return None
    if isinstance(mask, DocumentBlocks):
        return mask.position_BT
    # what attends to itself and to all before it in its document has the document's start as its first
    first_BT = mask[:, 0].to(torch.uint8).argmax(-1)
    return torch.arange(mask.shape[-1], device=mask.device) - first_BT


def _since_start(document_BT: Tensor) -> Tensor:
    position_T = torch.arange(document_BT.shape[1], device=document_BT.device)
    begins_BT = torch.ones_like(document_BT, dtype=torch.bool)
    begins_BT[:, 1:] = document_BT[:, 1:] != document_BT[:, :-1]
    return position_T - (position_T * begins_BT).cummax(1).values


@once
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """FlexAttention has no backward pass unless compiled, and its block mask else goes through one of [B, T, T]."""
    return torch.compile(function, dynamic=False)
