"""The directory of a run: what another version wrote."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from corpus.errors import DataError, UsageError
from tests.trainer.packed import learnable_rows, write_packed
from trainer.config.options import FitOptions
from trainer.evaluation.options import EvaluationOptions
from trainer.evaluation.run import evaluate_run
from trainer.loop.loop import fit
from trainer.run.directory import Run
from trainer.run.metrics import MetricsLog


def quiet(text: str) -> None:
    pass


def test_a_changed_config_is_one_sentence(tmp_path: Path) -> None:
    packed = write_packed(tmp_path / "packed", learnable_rows(12, 8, 40), 40)
    tiny = ("model.layers=1", "model.d_model=16", "model.heads=1", "model.n_kv_heads=1", "model.head_size=8")
    options = FitOptions(packed, "llama-tiny", tmp_path / "run", steps=2, batch_size=2, settings=tiny, threads=1)
    fit(options, quiet)
    path = tmp_path / "run/config.json"
    whole = json.loads(path.read_text())
    for section, change, match in (
        ("model", {"hidden_size": 3}, "section model: unknown key 'hidden_size'; did you mean 'd_model'"),
        ("optimizer", {"learning_rate": 3}, "unknown key 'learning_rate'; did you mean 'lr'"),
        ("model", {"layers": "many"}, "layers is 'many' is not a whole number"),
        ("model", {"layers": 0}, "layers is 0: give at least 1"),
        ("data", {"colour": "red"}, "section data: .*'colour'.*restore the file"),
        ("training", None, "section training is missing"),
    ):
        path.write_text(json.dumps({**whole, section: change and {**whole[section], **change}}))
        with pytest.raises((UsageError, DataError), match=match) as caught:
            evaluate_run(tmp_path / "run", EvaluationOptions(validation=packed), quiet)
        assert "\n" not in str(caught.value)
        with pytest.raises((UsageError, DataError), match=match):
            fit(options, quiet)
    path.write_text(json.dumps(whole))
    fit(options, quiet)


def test_damage_of_what_a_run_says_of_itself_is_named(tmp_path: Path) -> None:
    packed = write_packed(tmp_path / "packed", learnable_rows(12, 8, 40), 40)
    tiny = ("model.layers=1", "model.d_model=16", "model.heads=1", "model.n_kv_heads=1", "model.head_size=8")
    options = FitOptions(packed, "llama-tiny", tmp_path / "run", steps=3, batch_size=2, settings=tiny, threads=1)
    fit(options, quiet)
    run = Run(tmp_path / "run")
    run.save_training_shares({"books": 0.25, "web": 0.75})
    log = MetricsLog(run.metrics)
    whole = run.first_config(), run.training_shares(), log.records()
    assert whole[1] and len(whole[2]) == 3 and "check" not in whole[2][0]
    rng = random.Random(0)
    for name in ("config.json", "mixture.json", "metrics.jsonl"):
        path = run.path / name
        data = path.read_bytes()
        named = 0
        for at in sorted(rng.sample(range(len(data) - 1), 60)):
            changed = bytearray(data)
            changed[at] ^= 1 << rng.randrange(8)
            path.write_bytes(changed)
            try:
                # blanks between values and the like say nothing
                assert (run.first_config(), run.training_shares(), log.records()) == whole
            except (DataError, UsageError) as error:
                assert name in error.message and "\n" not in error.message
                named += 1
        path.write_bytes(data)
        assert named > 40
    # the end of a line that a kill cut short is no damage
    run.metrics.write_bytes(run.metrics.read_bytes()[:-9])
    assert log.records() == whole[2][:2]


def test_a_run_of_an_earlier_version_is_one_sentence(tmp_path: Path) -> None:
    packed = write_packed(tmp_path / "packed", learnable_rows(12, 8, 40), 40)
    tiny = ("model.layers=1", "model.d_model=16", "model.heads=1", "model.n_kv_heads=1", "model.head_size=8")
    options = FitOptions(packed, "llama-tiny", tmp_path / "run", steps=2, batch_size=2, settings=tiny, threads=1)
    fit(options, quiet)
    path = tmp_path / "run/config.json"
    old = json.loads(path.read_text())
    old["model"]["width"] = old["model"].pop("d_model")
    old["ledger"] = old.pop("skip_log")
    path.write_text(json.dumps({**old, "format": 1}))
    (tmp_path / "run/ledger.json").write_text("{}")
    for attempt in (
        lambda: fit(options, quiet),
        lambda: evaluate_run(tmp_path / "run", EvaluationOptions(validation=packed), quiet),
    ):
        with pytest.raises(UsageError, match="made by an earlier version of the trainer") as caught:
            attempt()
        assert "\n" not in str(caught.value)
    fit(replace(options, overwrite=True), quiet)
    assert json.loads(path.read_text())["model"]["d_model"] == 16
    assert not (tmp_path / "run/ledger.json").exists()
