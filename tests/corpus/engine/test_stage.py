"""The stage engine: accounting, quarantine, resume, lock, kills, errors."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from corpus.data.dataset import Dataset
from corpus.data.manifest import MANIFEST, Manifest
from corpus.data.run_state import stage_states
from corpus.data.verify import verify_dataset
from corpus.engine import faults
from corpus.engine.alarms import Alarms
from corpus.engine.document_stage import MapStage
from corpus.engine.lock import locked
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, LostError, Terminated, UsageError
from corpus.quality.filter import FilterConfig
from tests.toy import SlowStage, ingest

QUIET = RunOptions(quiet=True, alarms=Alarms(max_unreadable=1.0))
"""Some of the toy records are unreadable."""


def contents(directory: Path) -> dict[str, bytes]:
    """Every file of a dataset but its log."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(p.relative_to(directory)): p.read_bytes() for p in files if "_log" not in p.parts}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_text("\n".join(f"line {number} {i}" for i in range(200)), encoding="utf-8")
    (folder / "notes.md").write_text("not mine", encoding="utf-8")
    return folder


def test_every_record_is_accounted_for_and_the_dataset_verifies(raw: Path, tmp_path: Path) -> None:
    stage = ingest(raw)
    manifest = run_stage(stage, tmp_path / "out", QUIET)
    counts = manifest.counts["records"]
    assert (counts.seen, counts.kept, counts.merged, counts.quarantined) == (1000, 700, 100, 100)
    assert counts.dropped == {"third": 100}
    assert manifest.totals["documents"] == 700
    assert stage.raw().ignored == ("notes.md",)
    assert verify_dataset(tmp_path / "out").problems == []
    assert not (tmp_path / "out" / "_work").exists()
    first = next(Dataset.open(tmp_path / "out").batches()).slice(0, 1).to_pylist()[0]
    assert first["id"] == "toy/0.txt#0" and first["source"] == {"file": "0.txt", "record": 0}
    quarantine = pq.read_table(tmp_path / "out" / "_quarantine" / "00000.records").to_pylist()
    assert quarantine[0] == {
        "source": "0.txt",
        "record": 5,
        "offset": 0,
        "length": 8,
        "reason": "fifth",
        "data": b"line 0 5",
    }
    merged = pq.read_table(tmp_path / "out" / "_merged" / "00000.ids").to_pylist()
    assert merged[0] == {"id": "toy/0.txt#4", "into": "toy/0.txt#0"}


def test_lone_surrogates_are_quarantined(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("good\nsurrogate\ngood", encoding="utf-8")
    manifest = run_stage(ingest(tmp_path / "a.txt"), tmp_path / "out", QUIET)
    assert manifest.counts["records"].quarantined == 1 and manifest.counts["records"].kept == 2


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_do_not_change_a_byte(raw: Path, tmp_path: Path, workers: int) -> None:
    run_stage(ingest(raw), tmp_path / "one", QUIET)
    run_stage(ingest(raw), tmp_path / "many", dataclasses.replace(QUIET, workers=workers, always_pool=True))
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


def test_a_rerun_does_nothing_and_a_moved_dump_is_the_same(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    before = run_stage(ingest(raw), out, QUIET)
    stamp = (out / "00000.parquet").stat().st_mtime_ns
    assert run_stage(ingest(raw), out, QUIET).digest == before.digest
    moved = tmp_path / "moved"
    raw.rename(moved)
    for path in moved.iterdir():
        os.utime(path)
    assert run_stage(ingest(moved), out, QUIET).digest == before.digest
    assert (out / "00000.parquet").stat().st_mtime_ns == stamp


def test_changed_settings_and_changed_inputs_want_overwrite(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_stage(ingest(raw), out, QUIET)
    with pytest.raises(UsageError, match=r'tag: "" -> "x".*--overwrite'):
        run_stage(ingest(raw, tag="x"), out, QUIET)
    (raw / "1.txt").write_text("other", encoding="utf-8")
    with pytest.raises(UsageError, match=r"1\.txt changed.*--overwrite"):
        run_stage(ingest(raw), out, QUIET)
    run_stage(ingest(raw, tag="x"), out, dataclasses.replace(QUIET, overwrite=True))
    assert Manifest.load(out).config["tag"] == "x"
    assert verify_dataset(out).problems == []


def test_unfinished_work_with_other_settings_is_named(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(LostError, match="run the same command again to go on"):
        run_stage(SlowStage(fail="die"), out, dataclasses.replace(QUIET, workers=2, always_pool=True))
    with pytest.raises(UsageError, match=r'label: "a" -> "b"'):
        run_stage(SlowStage(label="b"), out, QUIET)
    run_stage(SlowStage(label="b"), out, dataclasses.replace(QUIET, overwrite=True))


def test_a_failed_attempt_does_not_ask_for_overwrite(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(DataError, match="broken on purpose"):
        run_stage(SlowStage(fail="error"), out, QUIET)
    (state,) = stage_states(out)
    assert (state.state, state.detail) == ("failed", "task 1 is broken on purpose: do not ask it.")
    manifest = run_stage(SlowStage(label="b"), out, QUIET)
    assert contents(out) == (run_stage(SlowStage(label="b"), tmp_path / "new", QUIET), contents(tmp_path / "new"))[1]
    assert manifest.config["label"] == "b"


def test_an_attempt_that_failed_at_once_leaves_nothing(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with pytest.raises(DataError):
        run_stage(ingest(raw), out, dataclasses.replace(QUIET, strict=True))
    assert not out.exists()
    with pytest.raises(UsageError, match="lies in the input"):
        run_stage(MapStage((str(_made(raw, tmp_path)),), "filter"), tmp_path / "made" / "out", QUIET)
    assert not (tmp_path / "made" / "out").exists()


def _made(raw: Path, folder: Path) -> Path:
    run_stage(ingest(raw), folder / "made", QUIET)
    return folder / "made"


def test_finished_tasks_are_not_redone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(DataError):
        run_stage(SlowStage(fail="error"), out, QUIET)
    (square,) = out.glob("_work/*/square/00002")
    stamp = (square / "result.json").stat().st_mtime_ns
    assert not (out / MANIFEST).exists()
    assert verify_dataset(out).problems
    seen: list[int] = []
    original = SlowStage.run

    def spy(self: SlowStage, phase: str, index: int, task: Any) -> None:
        seen.append(index if phase == "write" else -1)
        if phase == "write" and index == 1:
            assert (square / "result.json").stat().st_mtime_ns == stamp
        original(self, phase, index, task)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SlowStage, "run", spy)
        run_stage(SlowStage(), out, QUIET)
    assert seen == [1, 2, 3]


def test_a_killed_worker_is_an_error_within_ten_seconds_and_a_rerun_completes(tmp_path: Path) -> None:
    pool = dataclasses.replace(QUIET, workers=2, always_pool=True)
    started = time.monotonic()
    with pytest.raises(DataError, match="worker of stage slow ended with exit code 9 in phase write: run the same"):
        run_stage(SlowStage(fail="die"), tmp_path / "out", pool)
    assert time.monotonic() - started < 10
    run_stage(SlowStage(), tmp_path / "out", pool)
    run_stage(SlowStage(), tmp_path / "whole", QUIET)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize(("point", "workers"), [(p, 1) for p in faults.POINTS] + [(p, 2) for p in faults.POINTS[:5]])
def test_kills_at_every_point_lose_nothing(tmp_path: Path, point: str, workers: int) -> None:
    run_stage(SlowStage(tasks=6), tmp_path / "whole", QUIET)
    out = tmp_path / "out"
    in_worker = workers > 1 and faults.POINTS.index(point) < faults.POINTS.index("phase-done")
    killed = subprocess.run(
        [sys.executable, "-m", "tests.toy", str(out), "0", str(workers)],
        env=os.environ | {faults.VARIABLE: f"{point}:{1 if point in faults.POINTS[5:] else 2}"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert killed.returncode == (1 if in_worker else -signal.SIGKILL), killed.stderr
    assert not in_worker or "a worker of stage slow was killed by signal 9" in killed.stderr
    assert (out / MANIFEST).exists() == (point == "after-manifest")
    run_stage(SlowStage(tasks=6), out, QUIET)
    assert contents(out) == contents(tmp_path / "whole")
    assert verify_dataset(out).problems == []


@pytest.mark.slow
@pytest.mark.parametrize("target", ["parent", "group", "worker"])
def test_kill_at_random_moments_and_run_again_at_once(tmp_path: Path, target: str) -> None:
    run_stage(SlowStage(tasks=6), tmp_path / "whole", QUIET)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "tests.toy", str(out), "0.15", "2"]
    rng = random.Random(target)
    for _ in range(20):
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=rng.uniform(0.6, 2.5))
        except subprocess.TimeoutExpired:
            _kill(process, target)
            process.wait(timeout=15)
        if process.returncode == 0:
            break
    else:
        subprocess.run(command, check=True)
    assert contents(out) == contents(tmp_path / "whole")
    assert verify_dataset(out).problems == []


def _kill(process: subprocess.Popen[bytes], target: str) -> None:
    if target == "group":
        os.killpg(process.pid, signal.SIGKILL)
    elif target == "parent":
        process.kill()
    else:
        workers = [
            c
            for c in psutil.Process(process.pid).children(recursive=True)
            if "resource_tracker" not in str(c.cmdline())
        ]
        if workers:
            workers[-1].kill()


def test_workers_die_with_the_parent(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.toy", str(tmp_path / "out"), "30", "2"], stderr=subprocess.DEVNULL
    )
    workers: list[psutil.Process] = []
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not list((tmp_path / "out").glob("_work/*/square/.0*")):
        time.sleep(0.05)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive


def test_a_second_run_says_who_holds_the_output(tmp_path: Path) -> None:
    lines: list[str] = []
    second = locked(tmp_path, lines.append, wait=0.2)
    with locked(tmp_path, lines.append), pytest.raises(DataError, match=f"process {os.getpid()}"), second:
        raise AssertionError("two holders")
    assert len(lines) == 1
    with locked(tmp_path, lines.append):
        pass


def test_a_commit_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    run_stage(SlowStage(), whole, QUIET)

    def crash(self: Manifest, directory: Path) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Manifest, "save", crash)
        with pytest.raises(KeyboardInterrupt):
            run_stage(SlowStage(), out, QUIET)
    assert (out / "00000.parquet").exists() and not (out / MANIFEST).exists()
    run_stage(SlowStage(), out, QUIET)
    assert contents(out) == contents(whole)


def test_strict_stops(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"0\.txt: fifth"):
        run_stage(ingest(raw), tmp_path / "out", dataclasses.replace(QUIET, strict=True))


def test_outputs_that_cannot_be_used(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        run_stage(ingest(raw), tmp_path / "file", QUIET)
    with pytest.raises(UsageError, match="is, holds or lies in the input"):
        run_stage(ingest(raw), raw, QUIET)
    assert sorted(path.name for path in raw.iterdir())[-1] == "notes.md"


OVERWRITE = dataclasses.replace(QUIET, overwrite=True)


def test_overwrite_never_touches_an_input_a_run_or_a_strangers_files(raw: Path, tmp_path: Path) -> None:
    made = tmp_path / "run" / "made"
    run_stage(ingest(raw), made, QUIET)
    before = contents(made)
    again = MapStage((str(made),), "filter", maps=FilterConfig(rules=("min_chars:1",)).maps())
    for output in (made, made / "inside", tmp_path / "run"):
        with pytest.raises(UsageError, match="is, holds or lies in the input"):
            run_stage(again, output, OVERWRITE)
    assert contents(made) == before
    web = tmp_path / "web"
    web.mkdir()
    (web / "manifest.json").write_text('{"name": "app"}', encoding="utf-8")
    (web / "app.js").write_text("code", encoding="utf-8")
    with pytest.raises(UsageError, match=r"app\.js, which is no part of a dataset"):
        run_stage(ingest(raw), web, OVERWRITE)
    assert (web / "app.js").exists()
    (tmp_path / "other" / "_log").mkdir(parents=True)
    (tmp_path / "other" / "_log" / "plan.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="output of corpus run"):
        run_stage(ingest(raw), tmp_path / "other", OVERWRITE)


def test_overwrite_keeps_what_is_equal(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_stage(ingest(raw), out, QUIET)
    stamp = (out / "00000.parquet").stat().st_mtime_ns
    run_stage(ingest(raw), out, OVERWRITE)
    assert (out / "00000.parquet").stat().st_mtime_ns == stamp


def test_a_damaged_output_is_named_and_made_again(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_stage(ingest(raw), out, QUIET)
    before = contents(out)
    (out / "00000.parquet").unlink()
    with pytest.raises(UsageError, match=r"00000\.parquet is missing or cut short"):
        run_stage(ingest(raw), out, QUIET)
    run_stage(ingest(raw), out, OVERWRITE)
    assert contents(out) == before
    (out / MANIFEST).unlink()
    (out / "00099.parquet").write_bytes(b"stale")
    run_stage(ingest(raw), out, QUIET)
    assert contents(out) == before


def test_strict_does_not_pass_a_finished_output_with_quarantined_records(raw: Path, tmp_path: Path) -> None:
    run_stage(ingest(raw), tmp_path / "out", QUIET)
    with pytest.raises(DataError, match="100 unreadable records"):
        run_stage(ingest(raw), tmp_path / "out", dataclasses.replace(QUIET, strict=True))


def test_a_signal_is_no_failure_that_code_on_the_way_may_catch() -> None:
    assert not issubclass(Terminated, Exception)


def test_inputs_may_move_and_may_not_overlap(raw: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    run_stage(ingest(raw), made, QUIET)
    rules = FilterConfig(rules=("min_chars:1",)).maps()
    first = run_stage(MapStage((str(made),), "filter", maps=rules), tmp_path / "one", QUIET)
    made.rename(tmp_path / "moved")
    moved = str(tmp_path / "moved")
    assert run_stage(MapStage((moved,), "filter", maps=rules), tmp_path / "one", QUIET).digest == first.digest
    with pytest.raises(UsageError, match="are the same dataset"):
        run_stage(MapStage((moved, moved), "filter", maps=rules), tmp_path / "two", QUIET)
    with pytest.raises(UsageError, match="was made from"):
        run_stage(MapStage((moved, str(tmp_path / "one")), "filter", maps=rules), tmp_path / "two", QUIET)


def test_nothing_kept_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(["a"] * 3), encoding="utf-8")
    (tmp_path / "a.txt").write_text("", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"kept none of 1 records:\n  1 no text, such as toy/a.txt#0: nothing\nSee them"
    ):
        run_stage(ingest(tmp_path / "a.txt"), tmp_path / "out", QUIET)


def test_two_files_of_one_name_are_an_error(raw: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "1.txt").write_text("x", encoding="utf-8")
    stage = ingest(raw)
    with pytest.raises(UsageError, match=r"both be called 1\.txt.*--prefix"):
        type(stage)(stage.reader, (str(raw), str(other)), stage.settings).raw()


def test_a_full_disk_is_one_sentence(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("corpus.engine.task.Task.publish", full)
    with pytest.raises(DataError, match="is full: free some space"):
        run_stage(ingest(raw), tmp_path / "out", QUIET)
