"""Losses that are planted at given rows of a packed set, so that what is done about them can be foretold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from trainer.data.validation_sets import PackedRows
from trainer.loop import memory as memory_module
from trainer.loop.state import TrainingState
from trainer.loop.step import Measured

SLOPE = 0.01
"""Nats a step of a planted divergence."""


def plant(monkeypatch: pytest.MonkeyPatch, spikes: Sequence[int], divergences: Sequence[int]) -> None:
    """Give each batch a loss by its rows alone: noise around 2.5, three times that where it holds a row of `spikes`; once a
    run has trained on a row of `divergences` its loss rises from step to step."""
    genuine = memory_module.measure

    def measure(state: TrainingState, data: PackedRows, noise_every: int) -> Measured:
        measured = genuine(state, data, noise_every)
        first, last = measured.rows[0].start, measured.rows[-1].stop
        loss = 2.5 * math.exp(0.03 * float(np.random.default_rng(first).normal()))
        if any(first <= row < last for row in spikes):
            loss *= 3
        for row in divergences:
            if row < first and not any(hole.start <= row < hole.stop for hole in state.skip_log.holes()):
                loss += SLOPE * (first - row) / state.batch_rows
        return replace(measured, loss=loss, gradient_norm=1.0)

    monkeypatch.setattr(memory_module, "measure", measure)
