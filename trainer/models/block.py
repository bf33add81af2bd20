"""Transformer blocks: where the norms are, and whether attention and MLP follow each other or are parallel."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trainer.models.activation_checkpointing import checkpointed
from trainer.models.attention import Attention, LayerCache, Mask
from trainer.models.dropout import Dropout
from trainer.models.mlp import MLP
from trainer.models.norm import build_norm
from trainer.models.shape import ModelShape


class Block(nn.Module):
    """What all blocks have in common. With `rezero` what attention and MLP add is multiplied by a learned factor each, at
    first 0 (Bachlechner et al. 2020)."""

    gains: nn.Parameter | None

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.checkpointing = "none"
        self._build(shape)
        self.register_parameter("gains", nn.Parameter(torch.zeros(2)) if shape.rezero else None)

    def _build(self, shape: ModelShape) -> None:
        """Make the modules, in the order in which their first weights are drawn."""
        self.attention_norm = build_norm(shape)
        self.attention = Attention(shape)
        self.mlp_norm = build_norm(shape)
        self.mlp = MLP(shape)

    def forward(
        self,
        x_BTD: Tensor,
        table: Tensor,
        mask: Mask = None,
        cache: LayerCache | None = None,
        start: int = 0,
        dropout: Dropout | None = None,
    ) -> Tensor:
        """[B, T, D] -> [B, T, D]; `dropout` goes over what attention and MLP add, the rest is as for `Attention`."""
        return checkpointed(self.checkpointing, self._block, x_BTD, table, mask, cache, start, dropout)

    def _block(
        self, x_BTD: Tensor, table: Tensor, mask: Mask, cache: LayerCache | None, start: int, dropout: Dropout | None
    ) -> Tensor:
        """The block itself: here pre-norm, x + Attention(norm(x)), then x + MLP(norm(x)) (LLaMA section 2.2)."""
        mixed_BTD = self.attention(self.attention_norm(x_BTD), table, mask, cache, start)
        x_BTD = x_BTD + self._added(mixed_BTD, 0, dropout)
        return x_BTD + self._added(self.mlp(self.mlp_norm(x_BTD)), 1, dropout)

    def _added(self, value_BTD: Tensor, site: int, dropout: Dropout | None) -> Tensor:
        """What attention (site 0) or the MLP (1) adds to the residual stream."""
        if dropout is not None:
            value_BTD = dropout.at(site)(value_BTD)
        return value_BTD if self.gains is None else value_BTD * self.gains[site].type_as(value_BTD)


class PostNormBlock(Block):
    """norm(α·x + Attention(x)), then norm(α·x + MLP(x)): α = 1 (Vaswani et al. 2017; OPT-350M), or (2·layers)^¼ (DeepNorm,
    Wang et al. 2022)."""

    alpha: float

    def _build(self, shape: ModelShape) -> None:
        super()._build(shape)
        self.alpha = (2 * shape.layers) ** 0.25 if shape.block == "deep-norm" else 1.0

    def _block(
        self, x_BTD: Tensor, table: Tensor, mask: Mask, cache: LayerCache | None, start: int, dropout: Dropout | None
    ) -> Tensor:
        mixed_BTD = self.attention(x_BTD, table, mask, cache, start)
        x_BTD = self.attention_norm(self.alpha * x_BTD + self._added(mixed_BTD, 0, dropout))
        normed: Tensor = self.mlp_norm(self.alpha * x_BTD + self._added(self.mlp(x_BTD), 1, dropout))
        return normed


class SandwichBlock(Block):
    """x + norm(Attention(norm(x))), then the same with the MLP (CogView section 2.4)."""

    def _build(self, shape: ModelShape) -> None:
        super()._build(shape)
        self.mixed_norm = build_norm(shape)
        self.fed_norm = build_norm(shape)

    def _block(
        self, x_BTD: Tensor, table: Tensor, mask: Mask, cache: LayerCache | None, start: int, dropout: Dropout | None
    ) -> Tensor:
        mixed_BTD = self.mixed_norm(self.attention(self.attention_norm(x_BTD), table, mask, cache, start))
        x_BTD = x_BTD + self._added(mixed_BTD, 0, dropout)
        return x_BTD + self._added(self.fed_norm(self.mlp(self.mlp_norm(x_BTD))), 1, dropout)


class GLMBlock(Block):
    """α·y + Attention(y) with y = norm(x), then the same with the MLP; α = (2·layers)^½ (GLM-130B section 2.1, as its code
    has it: post-norm whose first norm is that of the embedding, and whose last follows the stack)."""

    alpha: float

    def _build(self, shape: ModelShape) -> None:
        super()._build(shape)
        self.alpha = (2 * shape.layers) ** 0.5

    def _block(
        self, x_BTD: Tensor, table: Tensor, mask: Mask, cache: LayerCache | None, start: int, dropout: Dropout | None
    ) -> Tensor:
        normed_BTD: Tensor = self.attention_norm(x_BTD)
        mixed_BTD = self.attention(normed_BTD, table, mask, cache, start)
        normed_BTD = self.mlp_norm(self.alpha * normed_BTD + self._added(mixed_BTD, 0, dropout))
        return self.alpha * normed_BTD + self._added(self.mlp(normed_BTD), 1, dropout)


class ParallelBlock(Block):
    """x + Attention(norm(x)) + MLP(norm(x)), one norm for both (PaLM section 2)."""

    def _build(self, shape: ModelShape) -> None:
        self.norm = build_norm(shape)
        self.attention = Attention(shape)
        self.mlp = MLP(shape)

    def _block(
        self, x_BTD: Tensor, table: Tensor, mask: Mask, cache: LayerCache | None, start: int, dropout: Dropout | None
    ) -> Tensor:
        normed_BTD = self.norm(x_BTD)
        added_BTD: Tensor = self.attention(normed_BTD, table, mask, cache, start) + self.mlp(normed_BTD)
        return x_BTD + self._added(added_BTD, 0, dropout)


class TwoNormParallelBlock(Block):
    """x + Attention(norm(x)) + MLP(norm'(x)), a norm for each (GPT-NeoX-20B section 2.1.2, as its code has it)."""

    def _block(
        self, x_BTD: Tensor, table: Tensor, mask: Mask, cache: LayerCache | None, start: int, dropout: Dropout | None
    ) -> Tensor:
        mixed_BTD = self._added(self.attention(self.attention_norm(x_BTD), table, mask, cache, start), 0, dropout)
        return x_BTD + mixed_BTD + self._added(self.mlp(self.mlp_norm(x_BTD)), 1, dropout)


_BLOCKS: Mapping[str, type[Block]] = {
    "pre-norm": Block,
    "post-norm": PostNormBlock,
    "deep-norm": PostNormBlock,
    "sandwich": SandwichBlock,
    "glm": GLMBlock,
    "parallel": ParallelBlock,
    "parallel-two-norms": TwoNormParallelBlock,
}


def block_class(shape: ModelShape) -> type[Block]:
    """The block that `shape.block` names."""
    return _BLOCKS[shape.block]
