"""The SwiGLU feed-forward layer (Shazeer 2020): output(silu(gate(x)) · up(x)), no biases."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from trainer.models.shape import ModelShape


class SwiGLU(nn.Module):
    """Fused gate and up projection; [B, T, D] -> [B, T, D]."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.widths = (shape.feed_forward, shape.feed_forward)
        self.project = nn.Linear(shape.width, 2 * shape.feed_forward, bias=False)
        self.output = nn.Linear(shape.feed_forward, shape.width, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Apply the layer to every position."""
        gate_BTF, up_BTF = self.project(x_BTD).split(self.widths, dim=-1)
        output: Tensor = self.output(functional.silu(gate_BTF) * up_BTF)
        return output
