"""Runs with many spikes and slow divergences, planted at given rows of the packed set: what is done about each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.packed import learnable_rows, write_packed
from tests.trainer.spikes.planted import plant
from trainer.config.options import FitOptions
from trainer.loop.loop import fit
from trainer.run.metrics import MetricsLog
from trainer.spikes.skip_log import SkipLog

BATCH = 2
TINY = (
    *("model.layers=1", "model.d_model=8", "model.heads=1", "model.n_kv_heads=1", "model.head_size=8"),
    *("model.feed_forward=8", "schedule.warmup=2", "spikes.skip=5"),
)


def quiet(text: str) -> None:
    """Swallow what the run says."""


def ask(path: Path, rows: int, steps: int, *settings: str) -> FitOptions:
    packed = path / "packed"
    if not packed.exists():
        write_packed(packed, learnable_rows(rows, 4, 16), 20)
    return FitOptions(
        packed,
        "llama-tiny",
        path / "run",
        steps,
        batch_size=BATCH,
        settings=(*TINY, *settings),
        save_every=10,
        threads=1,
        quiet=True,
    )


def entries(run: FitOptions) -> SkipLog:
    found = SkipLog.load(run.output / "skip_log.json")
    assert found is not None
    return found


def weights(run: FitOptions, step: int) -> dict[str, bytes]:
    directory = run.output / "checkpoints" / f"step-{step:06d}"
    return {path.name: path.read_bytes() for path in directory.glob("*.safetensors")}


def test_the_fourth_spike_of_a_window_is_let_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spikes = [80, 130, 180, 230, 280, 420]
    plant(monkeypatch, spikes, ())
    run = ask(tmp_path, 700, 240, "spikes.back=5", "spikes.window=20", "spikes.budget_steps=100")
    said: list[str] = []
    fit(replace(run, quiet=False), said.append)
    done = entries(run).entries
    # three in a hundred steps; 280 is let pass too, and at 420 there are rewinds again
    assert [entry.action for entry in done] == ["rewind", "rewind", "rewind", "continue", "continue", "rewind"]
    assert "the 3 rewinds within 100 steps are used up (spikes in 41, " in done[3].reason
    trained = [record for record in MetricsLog(run.output / "metrics.jsonl").records() if record["kind"] == "train"]
    assert len(trained) == 240
    assert sum(record["loss"] > 6 for record in trained) == 2
    replay = replace(run, output=tmp_path / "replay", skip_log=run.output)
    fit(replay, quiet)
    assert weights(replay, 240) == weights(run, 240)


def test_a_divergence_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, (), [300])
    run = ask(tmp_path, 1000, 400, "spikes.back=5", "spikes.window=40", "spikes.sustained_threshold=0")
    fit(run, quiet)
    [entry] = entries(run).entries
    assert (entry.action, "the median loss of the last 40 steps has risen" in entry.reason) == ("rewind", True)
    assert entry.back_to * BATCH <= 300
    assert entry.rows.start <= 300 < entry.rows.stop
    log = MetricsLog(run.output / "metrics.jsonl")
    assert max(record["loss"] for record in log.records() if record["kind"] == "train") < 2.8


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_thirty_spikes_and_three_divergences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spikes = [BATCH * (1000 * part + 60 * number) for part in range(3) for number in range(1, 11)]
    divergences = [BATCH * (1000 * part + 750) for part in range(3)]
    plant(monkeypatch, spikes, divergences)
    run = ask(tmp_path, 12_000, 3000, "spikes.max_rewinds=40", "spikes.budget_steps=3000")
    fit(run, quiet)
    done = entries(run).entries
    assert sum("7." in entry.reason or "8." in entry.reason for entry in done) >= 30
    assert [entry.action for entry in done] == ["rewind"] * len(done)
    holes = entries(run).holes()
    for row in (*spikes, *divergences):
        assert any(hole.start <= row < hole.stop for hole in holes), row
    log = MetricsLog(run.output / "metrics.jsonl")
    trained = [record for record in log.records() if record["kind"] == "train"]
    assert [record["step"] for record in trained] == list(range(1, 3001))
    assert max(record["loss"] for record in trained) < 3.3
    replay = replace(run, output=tmp_path / "replay", skip_log=run.output)
    fit(replay, quiet)
    assert weights(replay, 3000) == weights(run, 3000)
    assert [record["loss"] for record in MetricsLog(replay.output / "metrics.jsonl").records()] == [
        record["loss"] for record in trained
    ]
