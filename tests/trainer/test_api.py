"""`trainer.fit` and `trainer.load` from Python: the run of the command, and text from its model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import trainer
from corpus.errors import DataError, UsageError
from tests.trainer.packed import learnable_rows, write_packed


def test_fit_and_load(tmp_path: Path) -> None:
    packed = write_packed(tmp_path / "packed", learnable_rows(40, 16, 60), 60)
    lines: list[str] = []
    given: dict[str, Any] = {"steps": 3, "batch_size": 4, "threads": 1, "validation": str(packed)}
    run = trainer.fit(
        packed, model="llama-tiny", output=tmp_path / "run", settings={"optimizer.lr": 1e-3}, say=lines.append, **given
    )
    assert run.config["optimizer"]["lr"] == 1e-3 and run.config["training"]["steps"] == 3
    assert [record["step"] for record in run.metrics() if record["kind"] == "train"] == [1, 2, 3]
    again = trainer.load(tmp_path / "run", device="cpu")
    assert again.step == 3 and again.model.shape.vocabulary == 64 and "llama-tiny" in repr(again)
    with pytest.raises(DataError, match="carries its tokenizer"):
        again.generate("a")
    written = json.loads((tmp_path / "run/config.json").read_text())
    assert written == again.config | {"check": written["check"]}


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'batch_size'"):
        trainer.fit(tmp_path, model="llama-tiny", output=tmp_path / "run", batchsize=3)
    with pytest.raises(UsageError, match="is not a run"):
        trainer.load(tmp_path)
