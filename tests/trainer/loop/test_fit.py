"""`trainer fit` from end to end: exact resume, accumulation, masks, evaluation, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpus.errors import DataError, UsageError
from tests.trainer.packed import learnable_rows, write_packed
from trainer.checkpoints.checkpoint import CheckpointStore
from trainer.config.history import History
from trainer.config.options import FitOptions
from trainer.config.resolve import resolve_config
from trainer.data.rows import RowRange
from trainer.data.validation_sets import PackedRows
from trainer.loop.loop import fit
from trainer.loop.state import TrainingState
from trainer.loop.step import Measured, measure, update
from trainer.models import objective
from trainer.run.metrics import MetricsLog
from trainer.spikes.skip_log import SkipEntry, SkipLog

VOCABULARY = 100
LENGTH = 16
TINY = ("model.layers=2", "model.d_model=32", "model.heads=2", "model.n_kv_heads=2", "model.head_size=16")


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    tokens = learnable_rows(120, LENGTH, VOCABULARY)
    spans = [[(900, 5), (0, LENGTH - 4)]] * 120
    return write_packed(tmp_path / "packed", tokens, VOCABULARY, segments=spans, shards=2)


@pytest.fixture
def ask(packed: Path, tmp_path: Path) -> FitOptions:
    return FitOptions(
        data=packed,
        model="llama-tiny",
        output=tmp_path / "run",
        steps=12,
        batch_size=4,
        settings=(*TINY, "model.feed_forward=64"),
        save_every=3,
        threads=1,
    )


def quiet(text: str) -> None:
    """Swallow what the run says."""


def records(run: Path, kind: str = "train") -> list[dict[str, Any]]:
    return [record for record in MetricsLog(run / "metrics.jsonl").records() if record["kind"] == kind]


def files(checkpoint: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(checkpoint.iterdir())}


def last(run: Path, steps: int = 12) -> dict[str, bytes]:
    return files(run / "checkpoints" / f"step-{steps:06d}")


def test_the_loss_falls_and_the_run_directory_is_complete(ask: FitOptions) -> None:
    said: list[str] = []
    fit(replace(ask, steps=30, settings=(*ask.settings, "optimizer.lr=1e-2")), said.append)
    losses = [record["loss"] for record in records(ask.output)]
    assert len(losses) == 30
    assert losses[0] == pytest.approx(np.log(VOCABULARY), rel=0.1)
    assert losses[-1] < losses[0] - 0.5
    assert [record["next_row"] for record in records(ask.output)] == [4 * step for step in range(1, 31)]
    assert sorted(path.name for path in ask.output.iterdir()) == [
        "_lock",
        "checkpoints",
        "config.json",
        "metrics.jsonl",
        "mixture.json",
    ]
    text = "\n".join(said)
    assert "parameters, vocabulary 128" in text
    assert f"{losses[0]:.4f} in the first step, {losses[-1]:.4f} in the last" in text
    config = json.loads((ask.output / "config.json").read_text())
    assert config["model"]["vocabulary"] == 128
    assert config["model"]["sequence_length"] == LENGTH
    assert str(ask.data) not in json.dumps(config)


def test_a_finished_run_is_left_alone(ask: FitOptions) -> None:
    fit(ask, quiet)
    before = {path: path.stat().st_mtime_ns for path in ask.output.rglob("*.safetensors")}
    said: list[str] = []
    fit(ask, said.append)
    assert any("is finished (12 steps): nothing to do" in line for line in said)
    assert {path: path.stat().st_mtime_ns for path in ask.output.rglob("*.safetensors")} == before
    assert len(records(ask.output)) == 12


class Killed(BaseException):
    """Stands for SIGKILL."""


@pytest.mark.slow
def test_a_kill_at_any_point_of_any_save_changes_nothing(ask: FitOptions, tmp_path: Path) -> None:
    straight = replace(ask, output=tmp_path / "straight")
    seen: list[str] = []
    fit(straight, quiet, seen.append)
    for number in range(0, len(seen), 7):
        output = tmp_path / f"killed-{number}"
        calls = 0

        def kill(point: str, number: int = number) -> None:
            nonlocal calls
            calls += 1
            if calls == number + 1:
                raise Killed

        with pytest.raises(Killed):
            fit(replace(ask, output=output), quiet, kill)
        fit(replace(ask, output=output), quiet)
        assert last(output) == last(straight.output), f"killed at point {number}, {seen[number]}"
        assert [r["loss"] for r in records(output)] == [r["loss"] for r in records(straight.output)]


def start(request: FitOptions) -> subprocess.Popen[bytes]:
    """The same run through the command line, in a process of its own."""
    arguments = ["fit", "--data", str(request.data), "--model", request.model, "--output", str(request.output)]
    for name in ("steps", "batch_size", "micro_batch_size", "save_every", "threads", "precision"):
        if getattr(request, name) is not None:
            arguments += [f"--{name.replace('_', '-')}", str(getattr(request, name))]
    arguments += ["--document-mask"] if request.document_mask else []
    for setting in request.settings:
        arguments += ["--set", setting]
    code = "from trainer.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=os.getcwd()
    )


def wait_for_step(request: FitOptions, process: subprocess.Popen[bytes], step: int) -> None:
    log = request.output / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not log.exists() or log.read_text().count("\n") < step:
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_kill_9_and_resume_equals_the_straight_run(ask: FitOptions, tmp_path: Path, precision: str) -> None:
    ask = replace(ask, steps=30, document_mask=True, precision=precision, micro_batch_size=3)
    straight = replace(ask, output=tmp_path / "straight")
    fit(straight, quiet)
    with start(ask) as process:
        wait_for_step(ask, process, 5)
        process.send_signal(signal.SIGKILL)
    assert not (ask.output / "checkpoints" / "step-000030").exists()
    fit(ask, quiet)
    assert last(ask.output, 30) == last(straight.output, 30)
    assert len(records(ask.output)) == 30


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_has_its_exit_code(ask: FitOptions, tmp_path: Path, number: int, code: int) -> None:
    ask = replace(ask, steps=30, save_every=1000)
    with start(ask) as process:
        wait_for_step(ask, process, 4)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert b"is saved at step" in stderr
    assert b"Traceback" not in stderr
    found = CheckpointStore(ask.output / "checkpoints").newest(quiet)
    assert found is not None
    assert 4 <= found.step < 30
    straight = replace(ask, output=tmp_path / "straight")
    fit(straight, quiet)
    fit(ask, quiet)
    assert last(ask.output, 30) == last(straight.output, 30)


def test_a_torn_newest_checkpoint_costs_only_its_steps(ask: FitOptions, tmp_path: Path) -> None:
    straight = replace(ask, output=tmp_path / "straight")
    fit(straight, quiet)
    fit(ask, quiet)
    weights = ask.output / "checkpoints" / "step-000012" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 4
    weights.write_bytes(data)
    said: list[str] = []
    fit(ask, said.append)
    assert any("step-000012 is passed over: model.safetensors was changed" in line for line in said)
    assert any("goes on from step 9 of 12" in line for line in said)
    assert last(ask.output) == last(straight.output)


def new_state(ask: FitOptions, **changes: Any) -> TrainingState:
    torch.set_num_threads(1)
    return TrainingState(History(resolve_config(replace(ask, **changes), PackedRows(ask.data).identity, {})))


def train_step(state: TrainingState, data: PackedRows) -> Measured:
    """Do the next update whatever it looks like."""
    measured = measure(state, data)
    update(state, measured)
    return measured


@pytest.mark.parametrize("model", ["llama-tiny", "palm-tiny"])
def test_accumulation_of_four_equals_one(ask: FitOptions, model: str) -> None:
    sets = {"model": model, "settings": ("model.layers=2", "model.d_model=32"), "batch_size": 8, "steps": 10}
    whole, parts = new_state(ask, **sets), new_state(ask, **sets, micro_batch_size=2)
    data = PackedRows(ask.data)
    for _ in range(3):
        first, second = train_step(whole, data), train_step(parts, data)
        assert first.loss == pytest.approx(second.loss, rel=1e-5)
        assert first.gradient_norm == pytest.approx(second.gradient_norm, rel=1e-4)


def test_rows_of_the_skip_log_are_passed_over(ask: FitOptions) -> None:
    data = PackedRows(ask.data)
    state = new_state(ask)
    state.skip_log = SkipLog((SkipEntry(9, "rewind", "", 0, 0, RowRange(2, 5)),))
    train_step(state, data)
    assert (state.step, state.next_row) == (1, 7)


def test_the_document_mask_changes_the_training(ask: FitOptions) -> None:
    data = PackedRows(ask.data)
    plain, masked = new_state(ask), new_state(ask, document_mask=True)
    assert train_step(plain, data).loss != train_step(masked, data).loss


def test_validation_per_domain(ask: FitOptions, tmp_path: Path) -> None:
    for name, seed in (("web", 5), ("books", 6)):
        rows = learnable_rows(6, LENGTH, VOCABULARY, seed)
        write_packed(tmp_path / "validation" / name, rows, VOCABULARY, domains=[name] * 6)
    ask = replace(ask, validation=tmp_path / "validation", validate_every=5)
    fit(ask, quiet)
    found = records(ask.output, "validation")
    assert [record["step"] for record in found] == [5, 10, 12]
    assert sorted(found[-1]["domains"]) == ["books", "web"]
    for record in found:  # no set of this test says what it is mixed of
        each = [record["domains"][name]["loss"] for name in ("books", "web")]
        assert record["loss"] == record["all_tokens"]["loss"] == pytest.approx(sum(each) / 2)
        assert record["perplexity"] == pytest.approx(np.exp(record["loss"]))
    # an evaluation lost to a kill is made up for, and a run is finished only with it
    log = ask.output / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:-1]) + '{"kind": "val')
    fit(ask, quiet)
    assert log.read_text() == "".join(lines)


def refused(ask: FitOptions, kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match) as caught:
        fit(ask, quiet)
    assert "\n" not in str(caught.value)


def test_more_tokens_than_packed(ask: FitOptions) -> None:
    refused(replace(ask, steps=31), UsageError, "re-mix with a larger budget")
    refused(replace(ask, steps=None, tokens=120 * LENGTH + 1), UsageError, "re-mix with a larger budget")
    refused(replace(ask, batch_size=121, steps=None), UsageError, "re-mix with a larger budget")
    refused(replace(ask, tokens=10), UsageError, "give one of them")


def test_steps_default_to_one_epoch_and_tokens_round_up(ask: FitOptions) -> None:
    identity = PackedRows(ask.data).identity
    assert resolve_config(replace(ask, steps=None), identity, {}).training.steps == 30
    # of 120 batches 2 % are kept for rewinds
    single = replace(ask, steps=None, batch_size=1)
    assert resolve_config(single, identity, {}).training.steps == 118
    for setting in ("spikes.mode=stop", "spikes.max_rewinds=0"):
        assert resolve_config(replace(single, settings=(setting,)), identity, {}).training.steps == 120
    config = resolve_config(replace(ask, steps=None, tokens=4 * LENGTH * 2 + 1), identity, {})
    assert config.training.steps == 3


def test_paper_models_refuse_other_data(ask: FitOptions) -> None:
    refused(replace(ask, model="llama-7b", settings=("model.vocabulary=64",)), UsageError, "--vocab-size 64")
    settings = (f"model.vocabulary={VOCABULARY}",)
    refused(replace(ask, model="palm-8b", settings=settings), UsageError, "--sequence-length 2048")
    refused(replace(ask, settings=("model.vocabulary=64",)), UsageError, "vocabulary of 64")


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ("optimizer.lrr=1", r"optimizer\.lr'"),
        ("model.d_model=x", "whole number"),
        ("schedule.name=cosin", "did you mean 'cosine'"),
        ("training.document_mask=1", "true or false"),
        ("optimizer.lr", "no value"),
        ("optimizer.lr=inf", "is not finite: give a finite number"),
        ("optimizer.clip=inf", "is not finite: .*0: it is not clipped"),
        ("optimizer.weight_decay=nan", "is not finite: .*0: none"),
        ("training.z_loss=nan", "is not finite: .*0: none"),
        ("spikes.loss_threshold=1e999", "is not finite: .*0: never"),
        ("training.seed=9223372036854775808", r"below 9,223"),
        ("model.norm_epsilon=-1", "at least 0"),
        ("model.rope_base=0", "above 0"),
    ],
)
def test_wrong_settings_are_refused(ask: FitOptions, setting: str, match: str) -> None:
    refused(replace(ask, settings=(setting,)), UsageError, match)


def test_another_identity_wants_overwrite(ask: FitOptions) -> None:
    fit(replace(ask, steps=3), quiet)
    refused(replace(ask, seed=5), UsageError, r"training\.seed: 0 -> 5.*cannot change.*--overwrite")
    for setting in ("model.layers=1", "optimizer.name=palm-adafactor"):
        refused(replace(ask, settings=(*ask.settings, setting)), UsageError, "cannot change")
    (ask.output / "mine.txt").write_text("kept")
    fit(replace(ask, steps=3, seed=5, overwrite=True), quiet)
    assert json.loads((ask.output / "config.json").read_text())["training"]["seed"] == 5
    assert (ask.output / "mine.txt").read_text() == "kept"
    assert len(records(ask.output)) == 3


def test_another_tokenizer_is_said_in_words(ask: FitOptions, tmp_path: Path) -> None:
    fit(replace(ask, steps=3), quiet)
    tokens = learnable_rows(120, LENGTH, VOCABULARY)
    other = write_packed(tmp_path / "other", tokens, VOCABULARY, tokenizer="other")
    refused(replace(ask, steps=3, data=other), UsageError, r"was made with another tokenizer \(.*--overwrite")


def test_a_token_beyond_the_vocabulary_is_a_sentence(ask: FitOptions, tmp_path: Path) -> None:
    tokens = learnable_rows(120, LENGTH, VOCABULARY)
    tokens[5, 3] = VOCABULARY + 40
    broken = write_packed(tmp_path / "broken", tokens, VOCABULARY)
    refused(
        replace(ask, data=broken), DataError, r"row 5 of .*broken holds the token 140, and its vocabulary ends at 99"
    )


def test_foreign_directories_are_refused(ask: FitOptions) -> None:
    ask.output.mkdir()
    (ask.output / "thesis.txt").write_text("mine")
    refused(ask, UsageError, "not empty and not a run")
    assert [path.name for path in ask.output.iterdir()] == ["thesis.txt"]


def test_a_second_trainer_is_refused(ask: FitOptions) -> None:
    from trainer.run.directory import Run

    with Run(ask.output).locked():
        refused(ask, UsageError, "another trainer")


def test_a_validation_set_of_another_tokenizer_is_refused(ask: FitOptions, tmp_path: Path) -> None:
    write_packed(tmp_path / "v", learnable_rows(4, LENGTH, VOCABULARY), VOCABULARY, tokenizer="other")
    refused(replace(ask, validation=tmp_path / "v"), UsageError, "another tokenizer")


def test_a_loss_that_is_not_finite_stops_before_the_update(ask: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = replace(ask, settings=(*ask.settings, "spikes.mode=stop"))
    fit(replace(ask, steps=12), quiet)
    poison(monkeypatch, {8})
    refused(replace(ask, overwrite=True, seed=3), DataError, r"in step 8 the loss is not finite \(rows 28 to 31\)")
    found = CheckpointStore(ask.output / "checkpoints").newest(quiet)
    assert found is not None
    assert found.step == 6


def poison(monkeypatch: pytest.MonkeyPatch, calls: set[int]) -> None:
    """Make the losses of the given calls, from 1, no numbers."""
    genuine = objective.training_loss
    number = 0

    def poisoned(*arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal number
        number += 1
        loss, sums = genuine(*arguments)
        return (loss * float("nan"), sums * float("nan")) if number in calls else (loss, sums)

    monkeypatch.setattr(objective, "training_loss", poisoned)


@pytest.mark.parametrize("mode", ["rewind", "skip-update", "stop", "ignore"])
def test_nan_in_the_first_step_stops_the_run(ask: FitOptions, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    poison(monkeypatch, {1})
    refused(replace(ask, settings=(*ask.settings, f"spikes.mode={mode}")), DataError, r"not finite in step 1 \(rows 0 ")
    assert not (ask.output / "skip_log.json").exists()


def test_an_exploding_rate_is_stopped_after_the_rewinds(ask: FitOptions) -> None:
    settings = (*ask.settings, "optimizer.lr=1e30", "schedule.warmup=0")
    refused(
        replace(ask, settings=(*settings, "spikes.exhausted=stop")),
        DataError,
        r"in step 2 .*, and the 3 rewinds within 1,000 steps are used up \(spikes in 2, 2, 2\): give the same command",
    )
    # what the message names is taken: the run goes on with it
    calm = (*ask.settings, "optimizer.lr=1e-3", "schedule.warmup=0")
    fit(replace(ask, settings=calm), quiet)
    assert len(records(ask.output)) == 12
    # no update of a run whose weights are lost is of use
    refused(
        replace(ask, settings=settings, overwrite=True, steps=30),
        DataError,
        r"as in the 10 steps before: give the same command with --set spikes\.mode=rewind",
    )
