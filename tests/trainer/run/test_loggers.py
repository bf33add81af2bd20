"""What loggers write, and that they follow a run which stops, goes on and goes back."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import pytest

from corpus.errors import UsageError
from tests.trainer.packed import learnable_rows, write_packed
from trainer.config.options import FitOptions
from trainer.loop.loop import fit
from trainer.run import loggers
from trainer.run.directory import Run
from trainer.run.loggers import Csv, find_loggers, numbers_of

SETTINGS = ("model.layers=1", "model.d_model=16", "model.heads=2", "model.n_kv_heads=2", "model.head_size=8")


@pytest.fixture
def ask(tmp_path: Path) -> FitOptions:
    packed = write_packed(tmp_path / "packed", learnable_rows(80, 16, 60), 60)
    return FitOptions(
        packed, "llama-tiny", tmp_path / "run", 6, batch_size=8, settings=SETTINGS, quiet=True, threads=1, save_every=3
    )


def asked(ask: FitOptions, **more: object) -> FitOptions:
    return FitOptions(**{**vars(ask), **more})  # type: ignore[arg-type]


def rows(run: Path, kind: str) -> list[dict[str, str]]:
    with (run / "loggers/csv" / f"{kind}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_numbers_of_a_record() -> None:
    record = {"kind": "validation", "step": 3, "loss": 1.5, "domains": {"web": {"loss": 2.0, "note": "x"}}}
    assert dict(numbers_of(record)) == {"validation/loss": 1.5, "validation/web/loss": 2.0}


def test_a_table_is_that_of_the_metrics_through_stops_and_longer_runs(ask: FitOptions) -> None:
    fit(asked(ask, loggers=("csv",), validation=ask.data))
    fit(asked(ask, loggers=("csv",), validation=ask.data, steps=8))
    lines = (ask.output / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    for kind in ("train", "validation"):
        wanted = [record for record in map(json.loads, lines) if record["kind"] == kind]
        found = rows(ask.output, kind)
        assert [int(row["step"]) for row in found] == [record["step"] for record in wanted]
        assert [float(row["loss"]) for row in found] == [record["loss"] for record in wanted]
    assert float(rows(ask.output, "validation")[0]["web/loss"]) > 0


def test_a_table_forgets_what_is_made_again_and_takes_new_columns(ask: FitOptions) -> None:
    run = Run(ask.output)
    table = Csv(run, -1, {})
    for step in range(1, 6):
        table.append({"kind": "train", "step": step, "loss": 1.0 / step})
    table.close()
    table = Csv(run, 2, {})
    table.append({"kind": "train", "step": 3, "loss": 0.25})
    table.append({"kind": "train", "step": 4, "loss": 0.2, "mfu": 0.5})
    table.close()
    assert [(row["step"], row["loss"], row["mfu"]) for row in rows(ask.output, "train")] == [
        ("1", "1.0", ""),
        ("2", "0.5", ""),
        ("3", "0.25", ""),
        ("4", "0.2", "0.5"),
    ]


def test_a_logger_that_is_unknown_or_not_installed_is_said_before_the_run_begins(
    ask: FitOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="did you mean 'wandb'"):
        fit(asked(ask, loggers=("wandbb",)))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"--logger wandb needs the package wandb: pip install wandb\."):
        fit(asked(ask, loggers=("wandb",)))
    assert not ask.output.exists()
    assert find_loggers(["csv", "csv"]) == [loggers.Csv]


def test_tensorboard_has_events(ask: FitOptions) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    fit(asked(ask, loggers=("tensorboard",)))
    assert list((ask.output / "loggers/tensorboard").glob("events*"))


@pytest.mark.slow
def test_weights_and_biases_offline(ask: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    fit(asked(ask, loggers=("wandb", "csv")))
    assert list((ask.output / "loggers/wandb").rglob("*.wandb"))
    assert len(rows(ask.output, "train")) == 6
