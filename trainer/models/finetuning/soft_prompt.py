"""Prompt tuning (Lester et al. 2021): trained vectors before the embeddings of a sequence, the model frozen.

Every document of a sequence attends to the prompt. Positions count from its first vector, so that a later document of a
sequence is further away from it.

Shape suffixes: B sequences, T positions, P vectors of the prompt, D width.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from trainer.models.attention import DocumentBlocks, Mask

NAME = "soft_prompt"
_SEED = 2 << 32


def prompt_weights(prompt_PD: Tensor, embedding_VD: Tensor, seed: int) -> Tensor:
    """The first value of a prompt: the embeddings of tokens that are drawn by the seed (Lester et al., section 3.2), or
    N(0, 0.02²) where they are narrower than the model."""
    generator = torch.Generator().manual_seed(seed + _SEED)
    if prompt_PD.shape[1] != embedding_VD.shape[1]:
        return torch.empty(prompt_PD.shape, device="cpu").normal_(0.0, 0.02, generator=generator)
    chosen = torch.randint(embedding_VD.shape[0], (prompt_PD.shape[0],), generator=generator)
    return embedding_VD.detach().cpu()[chosen]


def with_prompt(prompt_PD: Tensor, x_BTD: Tensor) -> Tensor:
    """The embeddings of sequences with the prompt before each: [B, P + T, D]."""
    return torch.cat((prompt_PD.to(x_BTD.dtype).expand(x_BTD.shape[0], -1, -1), x_BTD), 1)


def prompted(mask: Mask, prompt: int) -> Mask:
    """The mask of sequences with `prompt` vectors before them, which all positions after them attend to."""
    if mask is None:
        return None
    if isinstance(mask, DocumentBlocks):
        return _blocks(mask, prompt)
    length = mask.shape[-1]
    whole = functional.pad(mask, (prompt, 0, prompt, 0), value=True)
    causal = torch.ones(prompt + length, prompt + length, dtype=torch.bool, device=mask.device).tril()
    return whole & causal


def _blocks(mask: DocumentBlocks, prompt: int) -> DocumentBlocks:
    from torch.nn.attention.flex_attention import create_block_mask

    inner = mask.blocks.mask_mod
    B, _, T, _ = mask.blocks.shape

    def attends(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        apart = inner(row, head, (query - prompt).clamp(min=0), (key - prompt).clamp(min=0))
        seen: Tensor = (query >= key) & ((key < prompt) | apart)
        return seen

    size = T + prompt
    blocks = create_block_mask(attends, B, None, size, size, device=mask.blocks.kv_num_blocks.device)
    return replace(mask, blocks=blocks)
