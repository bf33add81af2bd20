"""A run that was stopped goes on as if it had not been: with a ramp, spikes, background saves, and checks of itself."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from corpus.data.files import canonical_json, checksum, digest_of
from corpus.errors import DataError
from tests.trainer.packed import learnable_rows, write_packed
from trainer.checkpoints.checkpoint import COMMIT, CheckpointStore, Retention
from trainer.config.options import FitOptions
from trainer.loop import interrupt
from trainer.loop.loop import fit
from trainer.loop.session import Session
from trainer.run.metrics import MetricsLog

STEPS = 60
SETTINGS = (
    *("model.layers=1", "model.d_model=32", "model.heads=2", "model.n_kv_heads=2", "model.head_size=16"),
    *("model.feed_forward=64", "optimizer.lr=1e-2", "training.batch_ramp=0:2,12:3,1.2K:4", "spikes.skip=6"),
)


@pytest.fixture
def ask(tmp_path: Path) -> FitOptions:
    rows = learnable_rows(260, 16, 56)
    rows[140:146] = np.random.default_rng(1).integers(56, 60, (6, 17))
    packed = write_packed(tmp_path / "packed", rows, 60)
    return FitOptions(packed, "llama-tiny", tmp_path / "run", STEPS, settings=SETTINGS, save_every=6, threads=1)


def quiet(text: str) -> None:
    """Swallow what the run says."""


def final(request: FitOptions) -> dict[str, bytes]:
    directory = request.output / "checkpoints" / f"step-{STEPS:06d}"
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


class Killed(BaseException):
    """Stands for SIGKILL."""


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, act: Callable[[Session], None]) -> None:
    """Do something when a run is about to do the step behind `step`."""
    genuine = Session._advance

    def advance(session: Session) -> bool:
        if session.state.step == step:
            act(session)
        return genuine(session)

    monkeypatch.setattr(Session, "_advance", advance)


def kill(session: Session) -> None:
    raise Killed


@pytest.mark.parametrize("background", [False, True])
def test_killed_with_a_ramp_and_a_spike(
    ask: FitOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, background: bool
) -> None:
    straight = replace(ask, output=tmp_path / "straight")
    fit(straight, quiet)
    skip_log = json.loads((straight.output / "skip_log.json").read_text())
    assert len(skip_log["entries"]) == 1
    spike = skip_log["entries"][0]["step"]
    for step in (13, spike + 2) if background else (5, spike - 1, spike + 2, STEPS - 1):
        run = replace(ask, output=tmp_path / f"run{step}", background_saves=background)
        with monkeypatch.context() as patch:
            at_step(patch, step, kill)
            with pytest.raises(Killed):
                fit(run, quiet)
        fit(run, quiet)
        assert final(run) == final(straight), step
    state = json.loads(final(straight)["state.json"])
    assert state["tokens"] == (12 * 2 + 17 * 3 + 31 * 4) * 16
    assert state["next_row"] == 12 * 2 + 17 * 3 + 31 * 4 + 6 * 4


def break_off(ask: FitOptions, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run killed behind its checkpoint of step 12."""
    with monkeypatch.context() as patch:
        at_step(patch, 13, kill)
        with pytest.raises(Killed):
            fit(ask, quiet)
    found = CheckpointStore(ask.output / "checkpoints").newest(quiet)
    assert found is not None
    assert found.step == 12
    return found.path


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_a_flipped_newest_one_and_a_stop_before_its_step(
    ask: FitOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = replace(ask, settings=(*ask.settings, "spikes.mode=ignore"))
    flip(break_off(ask, monkeypatch) / "model.safetensors")
    ask = replace(ask, keep=1)
    said: list[str] = []
    with monkeypatch.context() as patch:
        at_step(patch, 9, lambda session: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(interrupt.Terminated, match="is saved at step 10"):
            fit(ask, said.append)
    assert "step-000012 is passed over" in said[0]
    assert sorted(path.name for path in (ask.output / "checkpoints").iterdir()) == [".step-000012.torn", "step-000010"]
    fit(ask, quiet)
    straight = replace(ask, output=tmp_path / "straight")
    fit(straight, quiet)
    assert final(ask) == final(straight)


def test_a_run_without_a_valid_checkpoint_is_not_begun_anew(ask: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    break_off(ask, monkeypatch)
    metrics = (ask.output / "metrics.jsonl").read_bytes()
    for path in (ask.output / "checkpoints").iterdir():
        flip(path / "model.safetensors")
    for harm in (lambda: None, lambda: shutil.rmtree(ask.output / "checkpoints")):
        harm()
        with pytest.raises(DataError, match=r"has no valid checkpoint: .* --overwrite"):
            fit(ask, quiet)
        assert (ask.output / "metrics.jsonl").read_bytes() == metrics


def full(*arguments: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_for_the_metrics_is_a_sentence(ask: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    break_off(ask, monkeypatch)
    sentence = r"metrics\.jsonl cannot be written \(No space left on device\): make room, then give the same command"
    with monkeypatch.context() as patch, pytest.raises(DataError, match=sentence):
        patch.setattr("trainer.run.metrics.write_atomic", full)
        fit(ask, quiet)
    assert (ask.output / "metrics.jsonl").read_text().count("\n") == 13


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_record_that_cannot_be_written_is_a_sentence_also_at_the_close() -> None:
    log = MetricsLog(Path("/dev/full"))
    with pytest.raises(DataError, match="No space left on device"):
        log.append({"step": 1})
    log.close()


def commit(path: Path) -> None:
    """Make a changed checkpoint valid again."""
    body = json.loads((path / COMMIT).read_text())
    del body["checksum"]
    for name, entry in body["files"].items():
        entry.update(bytes=(path / name).stat().st_size, checksum=checksum(path / name))
    (path / COMMIT).write_text(canonical_json({**body, "checksum": digest_of(body)}))


def test_changed_data_are_named(ask: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    path = break_off(ask, monkeypatch)
    shard = ask.data / "00000.arrow"
    rows = json.loads((path / "state.json").read_text())["check"]["rows"]
    token = learnable_rows(260, 16, 56)[rows[0], 0:17].astype(np.uint16).tobytes()
    data = bytearray(shard.read_bytes())
    place = data.index(token)
    data[place] = (data[place] + 1) % 50
    shard.write_bytes(data)
    with pytest.raises(DataError, match=r"00000\.arrow is damaged .*: run again, with --overwrite"):
        fit(ask, quiet)


def test_the_self_check_names_changed_weights_and_arithmetic(ask: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    path = break_off(ask, monkeypatch)
    weights = load_file(path / "model.safetensors")
    save_file({name: tensor * 1.01 for name, tensor in weights.items()}, path / "model.safetensors")
    commit(path)
    with pytest.raises(DataError, match=r"was .* and is .* \(the weights or the processor\)"):
        fit(ask, quiet)
    with pytest.raises(DataError, match=r"number of threads 1, now 2.*--accept-resume"):
        fit(replace(ask, threads=2), quiet)
    fit(replace(ask, accept_resume=True), quiet)
    [change] = json.loads((ask.output / "changes.json").read_text())["entries"]
    assert (change["since"], change["settings"]) == (12, {})
    assert "self-check of step 12 failed and was accepted" in change["notes"][0]


@pytest.mark.parametrize(
    ("precision", "change", "passes"),
    [
        ("bf16", 2.3e-5, True),
        ("bf16", 2e-2, False),
        ("fp32", 5e-5, True),
        ("fp32", 1e-3, False),
    ],
)
def test_another_processor_is_allowed_its_rounding(
    ask: FitOptions, monkeypatch: pytest.MonkeyPatch, precision: str, change: float, passes: bool
) -> None:
    ask = replace(ask, precision=precision)
    path = break_off(ask, monkeypatch)
    state = json.loads((path / "state.json").read_text())
    state["check"]["loss"] *= 1 + change
    state["processor"] = "x86_64 AVX9"
    (path / "state.json").write_text(json.dumps(state))
    commit(path)
    with monkeypatch.context() as patch:
        at_step(patch, 13, kill)
        with pytest.raises(Killed if passes else DataError, match=None if passes else f"rounding in {precision}"):
            fit(ask, quiet)


def test_the_self_check_passes_over_the_last_bits_with_a_note(ask: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    path = break_off(ask, monkeypatch)
    state = json.loads((path / "state.json").read_text())
    state["check"]["loss"] *= 1 + 1e-7
    (path / "state.json").write_text(json.dumps(state))
    commit(path)
    said: list[str] = []
    at_step(monkeypatch, 13, kill)
    with pytest.raises(Killed):
        fit(replace(ask, threads=2), said.append)
    assert "note: number of threads 1, now 2" in said
    assert any("the result is not promised" in line for line in said)


def test_the_self_check_draws_nothing(ask: FitOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(ask, quiet)
    assert json.loads(final(ask)["state.json"])["check"] is None  # no batch is left
    unchecked = replace(ask, output=tmp_path / "unchecked")
    with monkeypatch.context() as patch:
        patch.setattr("trainer.loop.session.check_record", lambda state, data: None)
        fit(unchecked, quiet)
    assert {k: v for k, v in final(ask).items() if k.endswith("tensors")} == {
        k: v for k, v in final(unchecked).items() if k.endswith("tensors")
    }


def test_a_background_save_that_fails_stops_the_run(ask: FitOptions) -> None:
    calls = 0

    def full(point: str) -> None:
        nonlocal calls
        calls += point == "model written"
        if point == "model written" and calls == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DataError, match=r"checkpoint of step 12 cannot be written .*No space left on device"):
        fit(replace(ask, background_saves=True), quiet, full)
    found = CheckpointStore(ask.output / "checkpoints").newest(quiet)
    assert found is not None
    assert found.step == 6


def test_a_background_save_is_of_its_own_step(ask: FitOptions, tmp_path: Path) -> None:
    fit(replace(ask, keep=0), quiet)
    behind = replace(ask, output=tmp_path / "behind", keep=0, background_saves=True)
    fit(behind, quiet)
    for path in sorted((ask.output / "checkpoints").rglob("*.*")):
        if path.is_file():
            assert path.read_bytes() == (behind.output / path.relative_to(ask.output)).read_bytes()


def test_saves_by_the_clock_change_nothing(ask: FitOptions, tmp_path: Path) -> None:
    fit(ask, quiet)
    often = replace(ask, output=tmp_path / "often", save_minutes=1e-9, keep=0, steps=STEPS)
    fit(often, quiet)
    assert len(list((often.output / "checkpoints").iterdir())) == STEPS + 1
    assert final(often) == final(ask)


def test_usr1_has_the_code_of_try_again(ask: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    at_step(monkeypatch, 9, lambda session: os.kill(os.getpid(), signal.SIGUSR1))
    with pytest.raises(interrupt.Preempted, match="is saved at step 10 of 60") as caught:
        fit(ask, quiet)
    assert caught.value.exit_code == 75
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_directory_is_a_sentence(ask: FitOptions) -> None:
    fit(replace(ask, steps=6), quiet)
    os.chmod(ask.output, 0o500)
    try:
        with pytest.raises(DataError, match="cannot be written"):
            fit(replace(ask, steps=6, overwrite=True), quiet)
    finally:
        os.chmod(ask.output, 0o700)


def kept(retention: Retention, every: int, last: int) -> list[int]:
    steps: list[int] = []
    for step in range(0, last + 1, every):
        steps = sorted(retention.kept([step, *reversed(steps)]))
    return steps


def test_retention() -> None:
    assert kept(Retention(2), 10, 100) == [90, 100]
    assert kept(Retention(2, 30), 10, 100) == [30, 60, 90, 100]
    assert kept(Retention(0, 30), 10, 30) == [0, 10, 20, 30]
    # a rewind by 100 steps finds one at every time, and none far older
    for last in range(0, 1000, 10):
        steps = kept(Retention(2, 0, 100), 10, last)
        old = [step for step in steps if step <= last - 100]
        assert len(steps) <= 6
        assert (0 in steps) if last < 100 else (last - 170 <= max(old) <= last - 100), (last, steps)
    assert kept(Retention(1, 0, 100), 500, 2000) == [1500, 2000]


def test_more_threads_are_said_on_resume(ask: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    break_off(ask, monkeypatch)
    said: list[str] = []
    fit(replace(ask, threads=None), said.append)
    assert not any("note:" in line for line in said)
    assert torch.get_num_threads() == 1
