"""Transformer blocks: one after the other (LLaMA), or attention beside the MLP (PaLM)."""

from __future__ import annotations

from torch import Tensor, nn

from trainer.models.attention import Attention, LayerCache
from trainer.models.mlp import SwiGLU
from trainer.models.norm import build_norm
from trainer.models.shape import ModelShape


class PreNormBlock(nn.Module):
    """x + Attention(norm(x)), then x + MLP(norm(x)) (LLaMA section 2.2)."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.attention_norm = build_norm(shape.norm, shape.width, shape.norm_epsilon)
        self.attention = Attention(shape)
        self.mlp_norm = build_norm(shape.norm, shape.width, shape.norm_epsilon)
        self.mlp = SwiGLU(shape)

    def forward(
        self, x_BTD: Tensor, table: Tensor, mask: Tensor | None = None, cache: LayerCache | None = None, start: int = 0
    ) -> Tensor:
        """[B, T, D] -> [B, T, D]; the other arguments are those of `Attention`."""
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD), table, mask, cache, start)
        output: Tensor = x_BTD + self.mlp(self.mlp_norm(x_BTD))
        return output


class ParallelBlock(nn.Module):
    """x + Attention(norm(x)) + MLP(norm(x)), one norm for both (PaLM section 2)."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.norm = build_norm(shape.norm, shape.width, shape.norm_epsilon)
        self.attention = Attention(shape)
        self.mlp = SwiGLU(shape)

    def forward(
        self, x_BTD: Tensor, table: Tensor, mask: Tensor | None = None, cache: LayerCache | None = None, start: int = 0
    ) -> Tensor:
        """[B, T, D] -> [B, T, D]; the other arguments are those of `Attention`."""
        normed_BTD = self.norm(x_BTD)
        output: Tensor = x_BTD + self.attention(normed_BTD, table, mask, cache, start) + self.mlp(normed_BTD)
        return output


def build_block(shape: ModelShape) -> nn.Module:
    """The block that `shape.block` names."""
    return PreNormBlock(shape) if shape.block == "pre-norm" else ParallelBlock(shape)
