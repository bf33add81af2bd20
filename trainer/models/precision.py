"""The arithmetic of a model: weights are float32, its products may be of shorter numbers."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PRECISIONS = ("fp32", "tf32", "bf16")
"""tf32 rounds the factors of float32 products to 11 bits where a GPU has that, and is fp32 elsewhere."""


def precision_context(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The arithmetic of a forward pass that `training.precision` names; weights stay float32."""
    import torch

    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def set_products(precision: str, device: torch.device) -> None:
    """Let float32 products on a GPU be what `training.precision` names, those of the backward pass among them. Beside
    bf16 no product is worth more than TF32."""
    import torch

    if device.type == "cuda":
        torch.set_float32_matmul_precision("highest" if precision == "fp32" else "high")
