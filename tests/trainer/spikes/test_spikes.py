"""Spikes: the detector, and runs that go back, pass over the batches around one, and go on."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.errors import DataError, UsageError
from tests.trainer.packed import learnable_rows, write_packed
from trainer.config.options import FitOptions
from trainer.data.rows import RowRange, step_rows
from trainer.data.validation_sets import PackedRows
from trainer.loop import memory as memory_module
from trainer.loop import step as step_module
from trainer.loop.interrupt import Terminated
from trainer.loop.loop import fit
from trainer.loop.state import TrainingState
from trainer.loop.step import Measured
from trainer.run.metrics import MetricsLog
from trainer.spikes.detector import SpikeConfig, SpikeDetector
from trainer.spikes.skip_log import SkipEntry, SkipLog

VOCABULARY, LENGTH, ROWS, BATCH = 60, 16, 480, 4
STEPS = 100
POISONED = range(240, 252)
TINY = ("model.layers=1", "model.d_model=32", "model.heads=2", "model.n_kv_heads=2", "model.head_size=16")


def detector(values: int = 100, noise: float = 0.05, **settings: Any) -> SpikeDetector:
    found = SpikeDetector(SpikeConfig(**settings), settings.get("window", 128))
    generator = np.random.default_rng(3)
    for number in range(1, values + 1):
        found.accept(number, 3.0 * math.exp(generator.normal() * noise), math.exp(generator.normal() * 0.2))
    return found


def said(found: SpikeDetector, loss: float, norm: float, warming: bool = False) -> str | None:
    alarm = found.judge(1000, loss, norm, warming)
    return None if alarm is None else alarm.reason


def test_the_detector_knows_a_spike_from_noise() -> None:
    found = detector()
    assert said(found, 3.0, 1.0) is None
    assert said(found, 3.0 * math.exp(0.05 * 4), 2.0) is None
    assert said(found, 0.5, 0.01) is None  # downwards is no spike
    assert "the loss is 6" in str(said(found, 6.0, 1.0))
    assert said(found, math.nan, 1.0) == "the loss is not finite"
    assert said(found, 3.0, math.inf) == "the gradient is not finite"


def test_a_gradient_counts_with_the_loss_or_twice() -> None:
    found = detector()
    assert said(found, 3.0, 50.0) is None
    assert "gradient norm is 50" in str(said(found, 3.0 * math.exp(0.05 * 4), 50.0))
    found.accept(101, 3.0, 50.0)
    assert "for two steps the gradient norm is 50" in str(said(found, 3.0, 50.0))
    found.accept(102, 3.0, 1.0)
    assert said(found, 3.0, 50.0) is None


def test_two_raised_losses_count_together() -> None:
    found, raised = detector(), 3.0 * math.exp(0.05 * 4)
    assert said(found, raised, 1.0) is None
    found.accept(101, raised, 1.0)
    alarm = found.judge(102, raised, 1.0, False)
    assert alarm is not None
    assert (alarm.reason[:13], alarm.before) == ("for two steps", 100)
    found.accept(102, 3.0, 1.0)
    assert said(found, raised, 1.0) is None


@pytest.mark.parametrize("slope", [0.002, 0.01])
def test_a_slow_divergence_is_noticed_and_a_fall_is_none(slope: float) -> None:
    config = SpikeConfig(sustained_threshold=0.0)
    found = SpikeDetector(config, 128)
    generator = np.random.default_rng(5)
    for step in range(1, 1001):  # it falls as losses fall, with a bump that goes down again
        bump = 0.5 * math.exp(-(((step - 500) / 10) ** 2))
        loss = (2.5 + 2 * math.exp(-step / 200) + bump) * math.exp(0.03 * generator.normal())
        assert bump > 0.1 or found.judge(step, loss, 1.0, False) is None, step
        found.accept(step, loss, 1.0)
    for step in range(1001, 1400):
        loss = (2.5 + slope * (step - 1000)) * math.exp(0.03 * generator.normal())
        alarm = found.judge(step, loss, 1.0, False)
        if alarm is not None:
            break
        found.accept(step, loss, 1.0)
    assert alarm is not None
    assert loss < 3.3
    assert 800 < alarm.before < 1000
    again = SpikeDetector(config, 128)
    again.restore(json.loads(json.dumps(found.record())))
    assert again == found
    found.forget_best()
    assert found.judge(step, loss, 1.0, False) is None


def test_the_detector_is_robust_patient_and_careful_in_the_warm_up() -> None:
    found = detector()
    for _ in range(20):  # a fifth of the window is wild, and median and MAD hardly move
        found.accept(1, 20.0, 30.0)
    assert said(found, 6.0, 1.0) is not None
    assert said(detector(19), 1e9, 1e9) is None
    assert said(detector(20), 1e9, 1e9) is not None
    assert said(detector(), 3.0 * math.exp(0.05 * 7), 1.0) is not None
    assert said(detector(), 3.0 * math.exp(0.05 * 7), 1.0, True) is None
    assert said(detector(0), math.inf, 1.0, True) is not None
    # a flat window does not make a small rise a spike
    flat = detector(noise=0.0)
    assert said(flat, 3.3, 1.0) is None
    assert said(flat, 3.6, 1.0) is not None


def test_a_restored_detector_says_the_same() -> None:
    found = detector(300, window=50)
    again = SpikeDetector(found.config, 50)
    again.restore(json.loads(json.dumps(found.record())))
    assert (again.losses, again.norms) == (found.losses, found.norms)
    assert len(again.losses) == 50


def test_short_runs_go_back_a_share() -> None:
    spikes = SpikeConfig()
    assert [spikes.steps_compared(steps) for steps in (5, 300, 5000)] == [20, 60, 128]
    assert (spikes.steps_back(5000), spikes.batches_skipped(5000)) == (100, 300)
    assert (spikes.steps_back(200), spikes.batches_skipped(200)) == (10, 10)
    assert (spikes.steps_back(3), spikes.batches_skipped(3)) == (1, 1)
    silent = detector(loss_threshold=0.0, gradient_threshold=0.0, sustained_threshold=0.0, divergence_threshold=0.0)
    assert said(silent, 1e9, 1e9) is None
    assert said(silent, math.nan, 1.0) is not None
    with pytest.raises(UsageError, match=r"spikes\.window"):
        SpikeConfig(window=3)


def entry(step: int, back_to: int, start: int, stop: int, action: str = "rewind") -> SkipEntry:
    return SkipEntry(step, action, "why", back_to, back_to, RowRange(start, stop), ({"row": 1},))


def test_the_skip_log_is_in_force_behind_its_steps(tmp_path: Path) -> None:
    skip_log = SkipLog().with_entry(entry(30, 20, 70, 90)).with_entry(entry(50, 40, 200, 210))
    assert [one.step for one in skip_log.before(40).entries] == [30]
    assert skip_log.admits(20, [])
    assert skip_log.admits(40, skip_log.to_json()[:1])
    assert not skip_log.admits(25, [])  # a checkpoint of the way that was left
    assert not skip_log.admits(41, skip_log.to_json()[:1])
    # going back behind an earlier rewind keeps its rows out, and forgets updates left out since
    further = skip_log.with_entry(entry(45, 44, 0, 0, "skip-update")).with_entry(entry(60, 10, 30, 60))
    assert [(one.step, one.since) for one in further.entries] == [(30, 10), (50, 10), (60, 10)]
    further.save(tmp_path / "skip_log.json")
    assert SkipLog.load(tmp_path / "skip_log.json") == further
    text = (tmp_path / "skip_log.json").read_text()
    (tmp_path / "skip_log.json").write_text(text.replace('"step": 60', '"step": 61'))
    with pytest.raises(DataError, match="checksum differs"):
        SkipLog.load(tmp_path / "skip_log.json")


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., FitOptions]:
    """A request for a run on poisoned or clean rows; the poisoned ones are noise of rare ids."""
    clean = learnable_rows(ROWS, LENGTH, VOCABULARY - 4)
    poisoned = clean.copy()
    noise = np.random.default_rng(1).integers(VOCABULARY - 4, VOCABULARY, (len(POISONED), LENGTH + 1))
    poisoned[POISONED.start : POISONED.stop] = noise
    sets = {name: write_packed(tmp_path / name, rows, VOCABULARY) for name, rows in (("c", clean), ("p", poisoned))}

    def make(output: str, data: str = "p", **changes: Any) -> FitOptions:
        more = changes.pop("settings", ())
        settings = (*TINY, "model.feed_forward=64", "optimizer.lr=1e-2", "spikes.skip=9", *more)
        return FitOptions(
            sets[data],
            "llama-tiny",
            tmp_path / output,
            STEPS,
            batch_size=BATCH,
            save_every=5,
            threads=1,
            settings=settings,
            **changes,
        )

    return make


def quiet(text: str) -> None:
    """Swallow what the run says."""


def losses(run: Path) -> list[float]:
    records = MetricsLog(run / "metrics.jsonl").records()
    assert [record["step"] for record in records] == list(range(1, len(records) + 1))
    return [record["loss"] for record in records]


def tensors(run: Path, step: int = STEPS) -> dict[str, bytes]:
    directory = run / "checkpoints" / f"step-{step:06d}"
    return {path.name: path.read_bytes() for path in directory.glob("*.safetensors")}


def final(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((run / "checkpoints" / f"step-{STEPS:06d}").iterdir())}


def end(run: Path) -> float:
    return float(np.mean(losses(run)[-10:]))


def test_poisoned_rows_are_passed_over_and_the_end_is_as_good(ask: Callable[..., FitOptions]) -> None:
    run, clean = ask("run"), ask("clean", "c")
    said: list[str] = []
    fit(run, said.append)
    fit(clean, quiet)
    assert not (clean.output / "skip_log.json").exists()
    skip_log = SkipLog.load(run.output / "skip_log.json")
    assert skip_log is not None
    [spike] = skip_log.entries
    assert (spike.step, spike.action, spike.back_to) == (61, "rewind", 56)
    # 9 batches around the spike, a third of them before it
    assert spike.rows == RowRange(4 * 57, 4 * 57 + 9 * BATCH)
    assert [document["row"] for document in spike.documents] == [240, 241, 242, 243]
    assert spike.documents[0]["document"] == 2400
    assert max(losses(run.output)[40:]) < 2.5
    assert end(run.output) < end(clean.output) * 1.05
    # a look-up of a step's rows finds those it had
    records = MetricsLog(run.output / "metrics.jsonl").records()
    for record in records:
        rows = step_rows((record["step"] - 1) * BATCH, BATCH, skip_log.holes())
        assert (rows[-1].stop, sum(map(len, rows))) == (record["next_row"], BATCH)
        assert not set(POISONED) & {row for part in rows for row in range(part.start, part.stop)}
    # what is skipped moves the rows and not the steps
    state = json.loads((run.output / "checkpoints" / f"step-{STEPS:06d}" / "state.json").read_text())
    assert (state["step"], state["next_row"]) == (STEPS, STEPS * BATCH + 9 * BATCH)
    assert state["skipped"] == [[228, 264]]


def test_replaying_the_skip_log_gives_the_same_run(ask: Callable[..., FitOptions]) -> None:
    run = ask("run")
    fit(run, quiet)
    replay = ask("replay", skip_log=run.output)
    fit(replay, quiet)
    assert tensors(replay.output) == tensors(run.output)
    assert losses(replay.output) == losses(run.output)
    assert SkipLog.load(replay.output / "skip_log.json") == SkipLog.load(run.output / "skip_log.json")
    fit(replay, quiet)  # and a finished replay is left alone


def test_going_back_to_the_beginning_leaves_nothing_behind(ask: Callable[..., FitOptions]) -> None:
    settings = ("spikes.back=70",)
    run, replay = ask("run", settings=settings), ask("replay", settings=settings, skip_log=ask("run").output)
    fit(run, quiet)
    fit(replay, quiet)
    skip_log = SkipLog.load(run.output / "skip_log.json")
    assert skip_log is not None
    assert [(one.step, one.back_to) for one in skip_log.entries] == [(61, 0)]
    assert tensors(replay.output) == tensors(run.output)


class Killed(BaseException):
    """Stands for SIGKILL."""


def test_a_kill_in_the_middle_of_a_rewind_changes_nothing(ask: Callable[..., FitOptions], tmp_path: Path) -> None:
    straight = ask("straight")
    points: list[str] = []
    fit(straight, quiet, points.append)
    begin = points.index("skip log written")
    # in the rewind, in the first save after it, and right before it
    for number in (begin - 1, begin, begin + 1, begin + 4):
        run = ask(f"run{number}")
        calls = 0

        def kill(point: str, number: int = number) -> None:
            nonlocal calls
            calls += 1
            if calls == number + 1:
                raise Killed

        with pytest.raises(Killed):
            fit(run, quiet, kill)
        fit(run, quiet)
        assert final(run.output) == final(straight.output), points[number]
        assert losses(run.output) == losses(straight.output)


def nan_once(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """The loss of a step is no number the first time."""
    genuine = memory_module.measure
    armed = [True]

    def measure(state: TrainingState, data: PackedRows, noise_every: int) -> Measured:
        measured = genuine(state, data, noise_every)
        if state.step + 1 == step and armed:
            armed.clear()
            return replace(measured, loss=math.nan)
        return measured

    monkeypatch.setattr(memory_module, "measure", measure)


@pytest.mark.parametrize(
    ("step", "back_to", "settings"), [(3, 0, ("spikes.back=3",)), (33, 30, ("spikes.back=3", "spikes.skip=30"))]
)
def test_rows_passed_over_from_the_checkpoint_on(
    ask: Callable[..., FitOptions],
    monkeypatch: pytest.MonkeyPatch,
    step: int,
    back_to: int,
    settings: tuple[str, ...],
) -> None:
    """The rewind's rows begin right behind the checkpoint that it goes back to, which was saved without knowing it."""

    def run(output: str, fault: Callable[[str], None] = lambda point: None) -> FitOptions:
        request = replace(ask(output, "c", settings=settings), steps=45)
        with monkeypatch.context() as patch:
            nan_once(patch, step)
            fit(request, quiet, fault)
        return request

    straight = run("straight").output
    skip_log = SkipLog.load(straight / "skip_log.json")
    assert skip_log is not None
    assert [(one.step, one.back_to, one.rows.start) for one in skip_log.entries] == [(step, back_to, BATCH * back_to)]

    def kill(point: str) -> None:
        if point == "skip log written":
            raise Killed

    def stop(point: str) -> None:
        if point == "skip log written":
            os.kill(os.getpid(), signal.SIGTERM)

    for fault, error in ((kill, Killed), (stop, Terminated)):
        with pytest.raises(error):
            run(fault.__name__, fault)
        request = replace(ask(fault.__name__, "c", settings=settings), steps=45)
        fit(request, quiet)
        assert losses(request.output) == losses(straight)
        ends = [run / "checkpoints" / f"step-{len(losses(straight)):06d}" for run in (request.output, straight)]
        assert {path.name: path.read_bytes() for path in ends[0].iterdir()} == {
            path.name: path.read_bytes() for path in ends[1].iterdir()
        }


def test_an_exploding_rate_is_recovered_from(ask: Callable[..., FitOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = step_module.factor
    armed = [True]

    def exploding(schedule: Any, step: int, steps: int) -> float:
        if step == 50 and armed:
            armed.clear()  # a transient fault: the second time the step is well
            return 200.0
        return genuine(schedule, step, steps)

    monkeypatch.setattr(step_module, "factor", exploding)
    run = ask("run", "c")
    fit(run, quiet)
    skip_log = SkipLog.load(run.output / "skip_log.json")
    assert skip_log is not None
    assert [(one.step, one.back_to) for one in skip_log.entries] == [(51, 46)]
    clean = ask("clean", "c")
    fit(clean, quiet)
    assert end(run.output) < end(clean.output) * 1.05


def test_updates_can_be_left_out_instead(ask: Callable[..., FitOptions]) -> None:
    settings = ("spikes.mode=skip-update",)
    run = ask("run", settings=settings)
    fit(run, quiet)
    skip_log = SkipLog.load(run.output / "skip_log.json")
    assert skip_log is not None
    assert [(one.step, one.action) for one in skip_log.entries] == [(step, "skip-update") for step in (61, 62, 63)]
    records = MetricsLog(run.output / "metrics.jsonl").records()
    assert [record["step"] for record in records if record["lr"] == 0.0] == [61, 62, 63]
    assert records[-1]["next_row"] == STEPS * BATCH
    clean = ask("clean", "c")
    fit(clean, quiet)
    assert end(run.output) < end(clean.output) * 1.05
    replay = ask("replay", settings=settings, skip_log=run.output / "skip_log.json")
    fit(replay, quiet)
    assert tensors(replay.output) == tensors(run.output)


def test_the_run_can_stop_or_go_on_instead(ask: Callable[..., FitOptions]) -> None:
    with pytest.raises(DataError, match=r"in step 61 the .* deviations above .* \(rows 240 to 243\)") as caught:
        fit(ask("stop", settings=("spikes.mode=stop",)), quiet)
    assert "\n" not in str(caught.value)
    ignoring = ask("ignore", settings=("spikes.mode=ignore",))
    fit(ignoring, quiet)
    assert max(losses(ignoring.output)[60:63]) > 3
    assert not (ignoring.output / "skip_log.json").exists()


def test_a_run_without_rewinds_left_goes_on_or_stops(ask: Callable[..., FitOptions]) -> None:
    run = ask("run", settings=("spikes.max_rewinds=0",))
    fit(run, quiet)
    assert [(one.step, one.action) for one in skip_log_of(run).entries] == [(61, "continue")]
    assert max(losses(run.output)[60:63]) > 3
    replay = ask("replay", settings=("spikes.max_rewinds=0",), skip_log=run.output)
    fit(replay, quiet)
    assert tensors(replay.output) == tensors(run.output)
    stop = ask("stop", settings=("spikes.max_rewinds=0", "spikes.exhausted=stop"))
    with pytest.raises(DataError, match=r"in step 61 .*no rewinds are allowed.*: give the same command with a lower"):
        fit(stop, quiet)
    # the remedies of the message are taken
    fit(ask("stop", settings=("spikes.max_rewinds=1",)), quiet)
    assert [one.action for one in skip_log_of(stop).entries] == ["rewind"]


def skip_log_of(run: FitOptions) -> SkipLog:
    found = SkipLog.load(run.output / "skip_log.json")
    assert found is not None
    return found


def test_rewound_steps_stay_in_the_metrics(ask: Callable[..., FitOptions]) -> None:
    run = ask("run")
    fit(run, quiet)
    log = MetricsLog(run.output / "metrics.jsonl")
    rewound = [record for record in log.records(rewound=True) if record.get("rewound")]
    assert [record["step"] for record in rewound] == [57, 58, 59, 60]
    assert {record["rewinds"] for record in rewound} == {0}
    assert [record["step"] for record in log.records()] == list(range(1, STEPS + 1))


def test_rows_that_are_spent_end_the_run_with_its_schedule_done(ask: Callable[..., FitOptions]) -> None:
    run = replace(ask("run", settings=("schedule.final=0.01",)), steps=ROWS // BATCH)
    said: list[str] = []
    fit(run, said.append)
    assert any("the run ends at step 111 of 120, with its schedule done" in line for line in said)
    records = MetricsLog(run.output / "metrics.jsonl").records()
    assert len(records) == 111
    assert records[-1]["lr"] == pytest.approx(1e-2 * 0.01)
    assert records[-1]["next_row"] == ROWS
    fit(run, said.append)
    assert any("is finished (111 steps)" in line for line in said)
    replay = replace(run, output=run.output.with_name("replay"), skip_log=run.output)
    fit(replay, quiet)
    assert tensors(replay.output, 111) == tensors(run.output, 111)


def test_a_missing_or_broken_skip_log_is_a_sentence(ask: Callable[..., FitOptions], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        fit(ask("run", skip_log=tmp_path / "no.json"), quiet)
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(DataError, match="no skip log"):
        fit(ask("run", skip_log=tmp_path / "bad.json"), quiet)


def test_a_skip_log_of_another_run_removes_nothing(ask: Callable[..., FitOptions]) -> None:
    run = replace(ask("run", "c"), steps=20)
    fit(run, quiet)
    before = sorted((run.output / "checkpoints").rglob("*"))
    SkipLog((entry(3, -1, 8, 20),)).save(run.output / "skip_log.json")
    with pytest.raises(DataError, match=r"no checkpoint of .* fits its skip_log\.json"):
        fit(run, quiet)
    assert sorted((run.output / "checkpoints").rglob("*")) == before
