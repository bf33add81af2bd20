"""Transformer blocks: one after the other (LLaMA), or attention parallel to the MLP (PaLM)."""

from __future__ import annotations

from torch import Tensor, nn

from trainer.models.activation_checkpointing import checkpointed
from trainer.models.attention import Attention, LayerCache, Mask
from trainer.models.count import Count
from trainer.models.dropout import Dropout
from trainer.models.mlp import SwiGLU
from trainer.models.norm import build_norm, count_norm
from trainer.models.shape import ModelShape


class PreNormBlock(nn.Module):
    """x + Attention(norm(x)), then x + MLP(norm(x)) (LLaMA section 2.2)."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.checkpointing = "none"
        self.attention_norm = build_norm(shape)
        self.attention = Attention(shape)
        self.mlp_norm = build_norm(shape)
        self.mlp = SwiGLU(shape)

    @staticmethod
    def count(shape: ModelShape) -> Count:
        """Its parameters."""
        return Attention.count(shape) + SwiGLU.count(shape) + 2 * count_norm(shape)

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
        mixed_BTD = self.attention(self.attention_norm(x_BTD), table, mask, cache, start)
        x_BTD = x_BTD + (mixed_BTD if dropout is None else dropout.at(0)(mixed_BTD))
        fed_BTD = self.mlp(self.mlp_norm(x_BTD))
        return x_BTD + (fed_BTD if dropout is None else dropout.at(1)(fed_BTD))


class ParallelBlock(nn.Module):
    """x + Attention(norm(x)) + MLP(norm(x)), one norm for both (PaLM section 2)."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.checkpointing = "none"
        self.norm = build_norm(shape)
        self.attention = Attention(shape)
        self.mlp = SwiGLU(shape)

    @staticmethod
    def count(shape: ModelShape) -> Count:
        """Its parameters."""
        return Attention.count(shape) + SwiGLU.count(shape) + count_norm(shape)

    def forward(
        self,
        x_BTD: Tensor,
        table: Tensor,
        mask: Mask = None,
        cache: LayerCache | None = None,
        start: int = 0,
        dropout: Dropout | None = None,
    ) -> Tensor:
        """[B, T, D] -> [B, T, D]; the arguments are those of `PreNormBlock`."""
        return checkpointed(self.checkpointing, self._block, x_BTD, table, mask, cache, start, dropout)

    def _block(
        self, x_BTD: Tensor, table: Tensor, mask: Mask, cache: LayerCache | None, start: int, dropout: Dropout | None
    ) -> Tensor:
        normed_BTD = self.norm(x_BTD)
        added_BTD = self.attention(normed_BTD, table, mask, cache, start) + self.mlp(normed_BTD)
        return x_BTD + (added_BTD if dropout is None else dropout.at(0)(added_BTD))


def block_class(shape: ModelShape) -> type[PreNormBlock] | type[ParallelBlock]:
    """The block that `shape.block` names."""
    return PreNormBlock if shape.block == "pre-norm" else ParallelBlock
