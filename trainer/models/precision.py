"""The arithmetic of a model: weights are float32, its products may be bfloat16."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

_CPU = torch.device("cpu")


def precision_context(precision: str, device: torch.device = _CPU) -> AbstractContextManager[object]:
    """The arithmetic that `training.precision` names; weights stay float32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
