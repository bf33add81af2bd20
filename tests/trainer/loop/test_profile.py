"""A profile of the steps that are asked for."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from corpus.errors import UsageError
from tests.trainer.packed import learnable_rows, write_packed
from trainer.config.options import FitOptions
from trainer.loop.loop import fit

SETTINGS = ("model.layers=1", "model.d_model=16", "model.heads=2", "model.n_kv_heads=2", "model.head_size=8")


@pytest.fixture
def ask(tmp_path: Path) -> FitOptions:
    packed = write_packed(tmp_path / "packed", learnable_rows(80, 16, 60), 60)
    return FitOptions(packed, "llama-tiny", tmp_path / "run", 6, batch_size=8, settings=SETTINGS, quiet=True, threads=1)


def asked(ask: FitOptions, **more: object) -> FitOptions:
    return FitOptions(**{**vars(ask), **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(("steps", "wanted"), [("2:3", 2), ("5:100", 2), ("7:8", 0)])
def test_the_steps_that_are_asked_for(ask: FitOptions, steps: str, wanted: int) -> None:
    fit(asked(ask, profile=steps))
    folder = ask.output / "profile"
    if not wanted:
        assert not folder.exists()
        return
    name = f"steps-{steps.replace(':', '-')}"
    with gzip.open(folder / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    assert sum(event.get("name") == "Optimizer.step#AdamW.step" for event in events) == wanted
    assert "aten::" in (folder / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("steps", ["3", "0:2", "4:3", "a:b"])
def test_what_names_no_steps_is_refused(ask: FitOptions, steps: str) -> None:
    with pytest.raises(UsageError, match="names no steps: give the first and the last, such as 10:12"):
        fit(asked(ask, profile=steps))


@pytest.mark.parametrize("wrong", [{"profile": "oops"}, {"noise_scale": 1}])
def test_a_wrong_option_throws_no_run_away(ask: FitOptions, wrong: dict[str, object]) -> None:
    fit(ask)
    before = sorted(path.name for path in (ask.output / "checkpoints").iterdir())
    with pytest.raises(UsageError):
        fit(asked(ask, overwrite=True, **wrong))
    assert sorted(path.name for path in (ask.output / "checkpoints").iterdir()) == before
    with pytest.raises(UsageError):
        fit(asked(ask, output=ask.output.with_name("new"), **wrong))
    assert not (ask.output.with_name("new") / "config.json").exists()
