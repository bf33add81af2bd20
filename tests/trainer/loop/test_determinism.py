"""What torch is told so that runs have the same bits, and that it is taken back."""

from __future__ import annotations

import pytest
import torch
from torch.utils import deterministic

from trainer.config.config import TrainingConfig
from trainer.loop.determinism import same_bits


@pytest.mark.parametrize(
    ("device", "compiled", "asked", "told"),
    [
        ("cpu", False, True, False),
        ("cpu", True, False, True),
        ("cuda", False, True, True),
        ("cuda", True, False, False),
    ],
)
def test_algorithms_of_one_order_where_bits_hang_on_them(
    monkeypatch: pytest.MonkeyPatch, device: str, compiled: bool, asked: bool, told: bool
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    training = TrainingConfig(1, 1, compile=compiled, deterministic=asked)
    filled = deterministic.fill_uninitialized_memory
    with pytest.raises(KeyError), same_bits(training, torch.device(device)):
        assert torch.are_deterministic_algorithms_enabled() == told
        assert deterministic.fill_uninitialized_memory == (filled and not told)
        raise KeyError
    assert not torch.are_deterministic_algorithms_enabled()
    assert deterministic.fill_uninitialized_memory == filled
