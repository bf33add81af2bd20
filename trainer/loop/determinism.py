"""The same bits in every run: what torch must be told for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils import deterministic

from trainer.config.config import TrainingConfig

_FILL = "fill_uninitialized_memory"
"""Torch's switch of a pass over everything that is made, which finds errors and changes nothing else."""


@contextmanager
def same_bits(training: TrainingConfig, device: torch.device) -> Iterator[None]:
    """Let torch choose algorithms that add in one order, where the settings ask for it.

    On a CPU only compiled code on several threads needs it. On a GPU those are the backward passes of attention and
    cuBLAS, which reads its setting from the environment when it is first used.
    """
    on_gpu = device.type == "cuda"
    if not (training.deterministic if on_gpu else training.compile):
        yield
        return
    if on_gpu:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    filled = getattr(deterministic, _FILL)
    torch.use_deterministic_algorithms(True)
    setattr(deterministic, _FILL, False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        setattr(deterministic, _FILL, filled)
