"""Which steps saw records that were removed since."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpus.data.dataset import Dataset
from corpus.errors import DataError, UsageError
from tests.trainer.packed import learnable_rows, write_packed
from tests.trainer.spikes.planted import plant
from trainer.config.options import FitOptions
from trainer.data.rows import RowRange
from trainer.loop.loop import fit
from trainer.run.seen import seen_lines, seen_steps
from trainer.spikes.skip_log import SkipLog

TINY = ("model.layers=1", "model.d_model=16", "model.heads=1", "model.n_kv_heads=1", "model.head_size=8")


def test_the_steps_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, [121], ())
    packed = write_packed(tmp_path / "packed", learnable_rows(200, 8, 36), 40)
    settings = (*TINY, "training.batch_ramp=0:4,10:5", "spikes.back=3", "spikes.skip=4")
    options = FitOptions(
        packed, "llama-tiny", tmp_path / "run", 30, settings=settings, threads=1, quiet=True, save_every=2
    )
    fit(options, print)
    log = SkipLog.load(tmp_path / "run/skip_log.json")
    assert log is not None
    [hole] = log.holes()
    report = tmp_path / "report.json"
    rows = {"a": [0, 41], "b": [121], "c": [199], "d": [hole.stop]}
    value = {"former": [{"path": "packed", "digest": Dataset.open(packed).digest, "rows": rows}]}
    report.write_text(json.dumps(value))
    skipped = len(RowRange(hole.start, hole.stop))
    assert seen_steps(tmp_path / "run", report) == {
        "a": [1, 11],
        "b": [],
        "c": [],
        "d": [11 + (hole.stop - skipped - 40) // 5],
    }
    assert seen_lines(tmp_path / "run", report)[-1].endswith("saw 2 of the 4 records of its set, in 3 steps")
    value["former"][0]["digest"] = "other"
    report.write_text(json.dumps(value))
    with pytest.raises(UsageError, match="was not trained on a set that"):
        seen_steps(tmp_path / "run", report)
    report.write_text("[]")
    with pytest.raises(DataError, match="is no report of corpus remove"):
        seen_steps(tmp_path / "run", report)
