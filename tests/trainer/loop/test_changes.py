"""A run that goes on with other settings, is made longer, or is left for another one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from corpus.errors import DataError, UsageError
from tests.trainer.packed import learnable_rows, write_packed
from tests.trainer.spikes.planted import plant
from trainer.config.history import Change, History
from trainer.config.options import FitOptions
from trainer.config.resolve import resolve_config
from trainer.data.validation_sets import PackedRows
from trainer.loop.loop import fit
from trainer.loop.session import Session
from trainer.run.directory import Run
from trainer.run.log import log_lines
from trainer.run.metrics import MetricsLog
from trainer.spikes.skip_log import SkipLog

TINY = (
    *("model.layers=1", "model.d_model=16", "model.heads=1", "model.n_kv_heads=1", "model.head_size=8"),
    *("model.feed_forward=32", "optimizer.lr=1e-2", "schedule.warmup=2", "schedule.name=constant", "spikes.skip=4"),
)
SPIKE = 97


@pytest.fixture
def ask(tmp_path: Path) -> FitOptions:
    packed = write_packed(tmp_path / "packed", learnable_rows(200, 8, 36), 40)
    return FitOptions(packed, "llama-tiny", tmp_path / "run", 12, batch_size=4, settings=TINY, save_every=6, threads=1)


def quiet(text: str) -> None:
    """Swallow what the run says."""


def final(run: Path, step: int) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((run / "checkpoints" / f"step-{step:06d}").iterdir())}


def trained(run: Path) -> list[dict[str, Any]]:
    return [record for record in MetricsLog(run / "metrics.jsonl").records() if record["kind"] == "train"]


def changes(run: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((run / "changes.json").read_text())["entries"]
    return entries


def test_a_run_made_longer_equals_the_longer_run(ask: FitOptions, tmp_path: Path) -> None:
    long = replace(ask, output=tmp_path / "long", steps=24)
    fit(long, quiet)
    fit(ask, quiet)
    said: list[str] = []
    fit(replace(ask, steps=24), said.append)
    assert any("training.steps: 12 -> 24" in line for line in said)
    assert final(ask.output, 24) == final(long.output, 24)
    assert [record["loss"] for record in trained(ask.output)] == [record["loss"] for record in trained(long.output)]
    assert changes(ask.output) == [{"since": 12, "settings": {"training.steps": 24}, "notes": []}]
    fit(replace(ask, steps=24), said.append)
    assert any("is finished (24 steps): nothing to do." in line for line in said)
    with pytest.raises(UsageError, match=r"is at step 24 and cannot end at 12: give --steps of at least 24, or leave"):
        fit(ask, quiet)


def test_the_decay_of_wsd_moves_with_the_end(ask: FitOptions, tmp_path: Path) -> None:
    wsd = replace(ask, settings=(*TINY, "schedule.name=wsd", "schedule.decay=6"), steps=24)
    straight = replace(wsd, output=tmp_path / "straight", steps=30)
    fit(straight, quiet)
    halfway(wsd, 12)
    fit(replace(wsd, steps=30), quiet)
    assert final(wsd.output, 30) == final(straight.output, 30)


def halfway(ask: FitOptions, step: int) -> None:
    """Stop the run behind a step, as a signal does."""
    genuine = Session._advance

    def advance(session: Session) -> bool:
        if session.state.step == step:
            session._save(now=True)
            raise Killed
        return genuine(session)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Session, "_advance", advance)
        fit(ask, quiet)


class Killed(BaseException):
    """Stands for SIGKILL."""


def test_a_schedule_begins_again_where_that_is_asked_for(ask: FitOptions) -> None:
    cosine = replace(ask, settings=(*TINY, "schedule.name=cosine", "schedule.warmup=4"))
    fit(cosine, quiet)
    said: list[str] = []
    longer = replace(cosine, steps=24, on_change="restart-warmup")
    fit(longer, said.append)
    assert any("cosine to step 24 begins at step 12: rate 0.001 -> 0.0025" in line for line in said)
    rates = [record["lr"] for record in trained(cosine.output)]
    assert rates[12:16] == pytest.approx([0.0025, 0.005, 0.0075, 0.01])
    assert rates[-1] == pytest.approx(0.001)
    before = final(cosine.output, 24)
    fit(longer, quiet)  # the same command does not begin it once more
    assert final(cosine.output, 24) == before
    assert [change["settings"] for change in changes(cosine.output)] == [{"training.steps": 24, "schedule.start": 12}]


@pytest.mark.parametrize(
    ("setting", "options"),
    [
        ("optimizer.lr=5e-3", {}),
        ("optimizer.weight_decay=0", {}),
        ("optimizer.beta2=0.9", {}),
        ("training.dropout=0.1", {}),
        ("training.z_loss=1e-4", {}),
        ("training.activation_checkpointing=full", {}),
        ("spikes.mode=ignore", {}),
        ("schedule.name=cosine", {}),
        ("training.micro_batch_size=1", {"micro_batch_size": 1}),
        ("training.precision=bf16", {"precision": "bf16"}),
        ("training.document_mask=true", {"document_mask": True}),
        ("training.validate_every=2", {"validate_every": 2}),
        ("training.batch_size=2", {"batch_size": 2}),
    ],
)
def test_every_setting_can_change(ask: FitOptions, setting: str, options: dict[str, Any]) -> None:
    fit(ask, quiet)
    settings = TINY if options else (*TINY, setting)
    fit(replace(ask, steps=16, settings=settings, **options), quiet)
    [change] = changes(ask.output)
    assert change["since"] == 12
    assert setting.partition("=")[0] in change["settings"] or "training.batch_ramp" in change["settings"]
    # what a later command does not say stays; what it says otherwise is another change
    fit(replace(ask, steps=18, settings=TINY[:6], batch_size=None), quiet)
    assert [list(change["settings"]) for change in changes(ask.output)[1:]] == [["training.steps"]]
    assert len(trained(ask.output)) == 18


def test_smaller_micro_batches_are_the_same_training(ask: FitOptions, tmp_path: Path) -> None:
    fit(ask, quiet)
    fit(replace(ask, steps=20, micro_batch_size=1), quiet)
    straight = replace(ask, output=tmp_path / "straight", steps=20)
    fit(straight, quiet)
    assert [record["loss"] for record in trained(ask.output)] == pytest.approx(
        [record["loss"] for record in trained(straight.output)], rel=1e-5
    )


def test_another_batch_size_holds_from_its_step_on(ask: FitOptions) -> None:
    fit(ask, quiet)
    bigger = replace(ask, steps=20, batch_size=8)
    fit(bigger, quiet)
    assert [change["settings"] for change in changes(ask.output)] == [
        {"training.batch_ramp": "0:4,12:8", "training.steps": 20}
    ]
    assert [record["next_row"] for record in trained(ask.output)][10:14] == [44, 48, 56, 64]
    assert Run(ask.output).config().tokens_after(13) == 56 * 8
    fit(bigger, quiet)
    assert len(changes(ask.output)) == 1
    with pytest.raises(UsageError, match=r"packed set has 200 \(enough for 31 steps\)"):
        fit(replace(bigger, steps=32), quiet)


def test_a_validation_set_can_come_and_go(ask: FitOptions, tmp_path: Path) -> None:
    fit(ask, quiet)
    held_out = write_packed(tmp_path / "held_out", learnable_rows(4, 8, 36), 40)
    fit(replace(ask, steps=14, validation=held_out), quiet)
    records = MetricsLog(ask.output / "metrics.jsonl").records()
    assert [record["step"] for record in records if record["kind"] == "validation"] == [14]
    fit(replace(ask, steps=15), quiet)
    assert [list(change["settings"]) for change in changes(ask.output)] == [
        ["training.steps", "validation"],
        ["training.steps", "validation"],
    ]


def spiky(ask: FitOptions) -> FitOptions:
    """The same request for a run that goes back a little."""
    settings = ("spikes.back=8", "spikes.window=20", "spikes.divergence_threshold=0")
    return replace(ask, steps=40, settings=(*TINY, *settings), keep=0)


@pytest.mark.parametrize("point", ["", "skip log written", "old one removed", "directory synced"])
def test_a_rewind_over_a_change_is_the_same_however_it_is_killed(
    ask: FitOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    plant(monkeypatch, [SPIKE], ())

    def run(output: str, fault: Callable[[str], None]) -> FitOptions:
        request = replace(spiky(ask), output=tmp_path / output)
        halfway(request, 22)
        request = replace(request, settings=(*request.settings, "optimizer.lr=8e-3"), steps=36)
        try:
            fit(request, quiet, fault)
        except Killed:
            fit(request, quiet)
        return request

    def kill(at: str) -> None:
        entries = tmp_path / "killed" / "skip_log.json"
        if point and at == point and entries.exists() and not killed:
            killed.append(at)
            raise Killed

    killed: list[str] = []
    straight, other = run("straight", lambda at: None), run("killed", kill)
    assert bool(killed) == bool(point)
    skip_log = SkipLog.load(straight.output / "skip_log.json")
    assert skip_log is not None
    spike = next(entry for entry in skip_log.entries if entry.action == "rewind")
    assert spike.back_to < 22 < spike.step  # it went back to before the change, which holds from there on now
    assert final(other.output, 36) == final(straight.output, 36)
    assert (other.output / "changes.json").read_bytes() == (straight.output / "changes.json").read_bytes()
    rates = {record["step"]: record["lr"] for record in trained(straight.output)}
    assert rates[spike.back_to] == pytest.approx(1e-2)
    assert rates[spike.back_to + 1] == pytest.approx(8e-3)


def test_a_fork_is_the_run_it_leaves(ask: FitOptions, tmp_path: Path) -> None:
    long = replace(ask, steps=18, keep=0)
    fit(long, quiet)
    fork = replace(long, output=tmp_path / "fork", source=f"{ask.output}@6")
    said: list[str] = []
    fit(fork, said.append)
    assert any("leaves" in line and "at step 6" in line for line in said)
    assert final(fork.output, 18) == final(long.output, 18)
    assert [record["loss"] for record in trained(fork.output)] == [record["loss"] for record in trained(long.output)]
    fit(fork, said.append)
    assert any("is finished (18 steps): nothing to do." in line for line in said)
    # to another rate, and one of that
    slow = replace(fork, output=tmp_path / "slow", settings=(*TINY, "optimizer.lr=1e-3"), keep=0)
    fit(slow, quiet)
    assert [record["lr"] for record in trained(slow.output)][5:7] == pytest.approx([1e-2, 1e-3])
    again = replace(slow, output=tmp_path / "again", source=f"{slow.output}@12", settings=TINY[:6])
    fit(again, quiet)
    assert final(again.output, 18) == final(slow.output, 18)
    assert [line.split()[:2] for line in log_lines(again.output)] == [
        ["0", "began"],
        ["6", "change"],
        ["12", "fork"],
        ["18", "now"],
    ]
    for wrong, match in (
        (
            replace(fork, source=f"{ask.output}@7", output=tmp_path / "no"),
            r"no valid checkpoint of step 7: give one of 0, 6",
        ),
        (replace(fork, source=f"{ask.output}@x", output=tmp_path / "no"), "write --from RUN@STEP"),
        (replace(fork, source=str(tmp_path / "nothing"), output=tmp_path / "no"), "is not a run"),
        (replace(fork, source=f"{ask.output}@12"), "left another run or another step"),
        (replace(fork, source=f"{ask.output}@6", output=ask.output), "is the run of --output itself"),
        (replace(fork, seed=4, output=tmp_path / "no"), "cannot change"),
    ):
        with pytest.raises(UsageError, match=match):
            fit(wrong, quiet)


def test_a_fork_that_was_cut_short_is_made_again(ask: FitOptions, tmp_path: Path) -> None:
    fit(ask, quiet)
    fork = replace(ask, output=tmp_path / "fork", source=str(ask.output), steps=14)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr("trainer.run.directory.Run.write_config", killing)
        fit(fork, quiet)
    assert not (fork.output / "config.json").exists()
    fit(fork, quiet)
    assert len(trained(fork.output)) == 14


def test_a_fork_that_does_not_fit_takes_nothing_away(ask: FitOptions, tmp_path: Path) -> None:
    fit(ask, quiet)
    before = final(ask.output, 12)
    other = replace(ask, output=tmp_path / "other")
    fit(other, quiet)
    itself = replace(ask, source=str(ask.output), overwrite=True)
    for wrong, match in (
        (itself, "is the run of --output itself"),
        (replace(other, source=f"{ask.output}@7", overwrite=True), "no valid checkpoint of step 7"),
        (replace(other, source=f"{ask.output}@12", steps=8, overwrite=True), "is at step 12 and cannot end at 8"),
        (replace(other, source=f"{ask.output}@12", seed=9, overwrite=True), "cannot change"),
        (
            replace(other, source=f"{ask.output}@12", steps=8, output=tmp_path / "new"),
            r"--from .*run@12@STEP|cannot end",
        ),
    ):
        with pytest.raises(UsageError, match=match):
            fit(wrong, quiet)
        assert final(ask.output, 12) == before == final(other.output, 12)
    assert not (tmp_path / "new" / "config.json").exists()
    fork = replace(ask, output=tmp_path / "new", source=f"{ask.output}@12", steps=14)
    fit(fork, quiet)
    ask.output.rename(tmp_path / "gone")
    fit(replace(fork, steps=16), quiet)
    assert len(trained(fork.output)) == 16


def test_a_larger_batch_over_a_rewind_and_a_kill(
    ask: FitOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, [107], ())

    def run(output: str, kill_at: int | None) -> FitOptions:
        request = replace(spiky(ask), output=tmp_path / output, steps=36)
        halfway(request, 22)
        request = replace(request, batch_size=5)
        if kill_at is not None:
            halfway(request, kill_at)
        fit(request, quiet)
        return request

    straight, killed = run("straight", None), run("killed", 20)
    log = SkipLog.load(straight.output / "skip_log.json")
    assert log is not None and log.entries[0].back_to < 22
    assert final(killed.output, 36) == final(straight.output, 36)
    assert (killed.output / "changes.json").read_bytes() == (straight.output / "changes.json").read_bytes()


def test_lost_side_files_are_noticed(ask: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, [97], ())
    ask = spiky(ask)
    fit(ask, quiet)
    fit(replace(ask, steps=42, micro_batch_size=2), quiet)
    log = (ask.output / "skip_log.json").read_bytes()
    (ask.output / "skip_log.json").unlink()
    said: list[str] = []
    fit(replace(ask, steps=44), said.append)
    assert any("skip_log.json was lost: it is written again" in line for line in said)
    assert (ask.output / "skip_log.json").read_bytes() == log
    (ask.output / "changes.json").unlink()
    with pytest.raises(DataError, match=r"changes\.json is not that of the checkpoint of step 44: put back"):
        fit(replace(ask, steps=46), quiet)


def test_the_start_of_a_schedule_is_no_setting(ask: FitOptions) -> None:
    with pytest.raises(UsageError, match=r"schedule\.start is no setting to give: --on-change restart-warmup"):
        fit(replace(ask, settings=(*TINY, "schedule.start=5")), quiet)
    assert not ask.output.exists()


def killing(*arguments: object) -> None:
    raise Killed


def test_the_log_tells_what_happened(ask: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, [SPIKE], ())
    ask = spiky(ask)
    fit(ask, quiet)
    fit(replace(ask, steps=42, micro_batch_size=2), quiet)
    lines = log_lines(ask.output)
    assert "llama-tiny, 40 steps, seed 0" in lines[0]
    assert any("rewind" in line and "skipped" in line and "deviations" in line for line in lines)
    assert any("change" in line and "training.micro_batch_size: 0 -> 2" in line for line in lines)
    assert "42 of 42" in lines[-1]


def test_changes_fold_with_rewinds(ask: FitOptions) -> None:
    first = resolve_config(ask, PackedRows(ask.data).identity, {})

    def lr(history: History, step: int) -> float:
        return history.at(step).optimizer.lr

    made = (Change(10, {"optimizer.lr": 0.5}), Change(20, {"optimizer.lr": 0.25, "schedule.start": 20}))
    assert [lr(History(first, made), step) for step in (10, 11, 20, 21)] == [0.01, 0.5, 0.5, 0.25]
    # a rewind to 5 between the two: the first holds from there on, the second was made later
    history = History(first, made, ((1, 5),))
    assert [lr(history, step) for step in (5, 6, 20, 21)] == [0.01, 0.5, 0.5, 0.25]
    # one after both: both hold from there on, and the schedule that began at 20 begins there
    history = History(first, made, ((2, 5),))
    assert [lr(history, step) for step in (5, 6)] == [0.01, 0.25]
    assert history.at(6).schedule.start == 5
    # a change at an earlier step than the last one, for checkpoints were lost
    history = History(first, (made[0], Change(4, {"optimizer.beta1": 0.5})))
    assert [(lr(history, step), history.at(step).optimizer.beta1) for step in (4, 5)] == [(0.01, 0.9), (0.5, 0.5)]
    # back to what it was: nothing is left of the change
    assert History(first).changed_to(replace(first, name="x"), 3).changes == ()
