"""A small run with evaluations, a spike, measured noise and a change of settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.packed import learnable_rows, write_packed
from tests.trainer.spikes.planted import plant
from trainer.config.options import FitOptions
from trainer.loop.loop import fit

TINY = (
    *("model.layers=1", "model.d_model=8", "model.heads=1", "model.n_kv_heads=1", "model.head_size=8"),
    *("model.feed_forward=8", "schedule.warmup=2", "spikes.skip=5", "spikes.back=5", "spikes.window=20"),
    *("training.validate_every=20", "training.micro_batch_size=1"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The run: 80 steps of two sequences, then 20 more with another threshold."""
    path = tmp_path_factory.mktemp("trained")
    packed = write_packed(path / "packed", learnable_rows(300, 4, 16), 20)
    held = write_packed(path / "validation" / "web", learnable_rows(40, 4, 16, seed=5), 20)
    run = FitOptions(
        packed, "llama-tiny", path / "run", 80, batch_size=2, settings=TINY, save_every=40, threads=1, quiet=True,
        validation=str(held.parent), noise_scale=5,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        plant(patch, [100], ())
        fit(run, lambda said: None)
        fit(replace(run, steps=100, settings=(*TINY, "spikes.loss_threshold=4.5")), lambda said: None)
    yield path / "run"
