"""Executors: what is lost is sent again, what is published stays, and lies change no byte; workers of any main module."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus import plugins, system
from corpus.cli import cli
from corpus.data.manifest import MANIFEST, Manifest
from corpus.data.verify import verify_dataset
from corpus.engine import attempts, faults
from corpus.engine.executors import deaths, registry
from corpus.engine.executors.base import Settings
from corpus.engine.executors.local import LocalExecutor
from corpus.engine.executors.registry import executor_class
from corpus.engine.executors.step import TaskStep
from corpus.engine.result import RESULT
from corpus.engine.runner import RunOptions, commit_output, run_stage, stage_key
from corpus.engine.visible import seen
from corpus.errors import DataError, UsageError
from corpus.option import option
from tests.corpus.engine.fake import FakeExecutor, hide
from tests.corpus.engine.test_stage import contents
from tests.toy import SlowStage

QUIET = RunOptions(quiet=True)
POOL = RunOptions(workers=2, always_pool=True, quiet=True)
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the local executor makes of six tasks a phase."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    run_stage(SlowStage(tasks=6), folder, QUIET)
    return contents(folder)


def fake(seed: int = 0, fates: Any = FakeExecutor.FATES, luck: int = 3) -> FakeExecutor:
    kind = type("Fake", (FakeExecutor,), {"seed": seed, "fates": fates, "luck": luck})
    executor = kind(Settings())
    assert isinstance(executor, FakeExecutor)
    return executor


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 30))
def test_an_executor_that_loses_and_repeats_and_lies_makes_the_same_bytes(
    whole: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    out = tmp_path_factory.mktemp("fake") / "out"
    executor = fake(seed)
    run_stage(SlowStage(tasks=6), out, RunOptions(running=executor, quiet=True))
    assert contents(out) == whole
    executor.close()  # stragglers publish into a folder that is gone
    run_stage(SlowStage(tasks=6), out, QUIET)
    assert contents(out) == whole and verify_dataset(out).problems == []


@pytest.mark.parametrize("fate", FakeExecutor.FATES)
def test_every_kind_of_mishap(whole: dict[str, bytes], tmp_path: Path, fate: str) -> None:
    executor = fake(fates=(fate,))
    run_stage(SlowStage(tasks=6), tmp_path / "out", RunOptions(running=executor, quiet=True))
    assert contents(tmp_path / "out") == whole
    assert executor.met[fate] >= 13
    again = fate in ("lost", "lost halfway", "no success")
    assert set(executor.sent.values()) == {4 if again else 1}


def test_a_task_that_is_lost_too_often_is_named(tmp_path: Path) -> None:
    executor = fake(fates=("lost",), luck=4)
    with pytest.raises(
        DataError,
        match=r"6 of 6 tasks of stage slow, phase square were lost 4 times \(0, 1, 2, 3, 4, …\).*draw again; then",
    ):
        run_stage(SlowStage(tasks=6), tmp_path / "out", RunOptions(running=executor, quiet=True))
    assert set(executor.sent.values()) == {4}


def test_a_result_that_is_said_to_be_there_is_waited_for_and_then_lost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    executor = fake(fates=("seen late",))
    executor.hidden_seconds = 0.5
    run_stage(SlowStage(tasks=2), tmp_path / "late", RunOptions(running=executor, quiet=True))
    assert set(executor.sent.values()) == {1}
    monkeypatch.setattr("corpus.engine.phase.SEEN_SECONDS", 0.1)
    executor = fake(fates=("never seen",), luck=9)
    with pytest.raises(DataError, match=r"6 of 6 tasks .* ended 4 times without a result in .*whether its hosts write"):
        run_stage(SlowStage(tasks=6), tmp_path / "out", RunOptions(running=executor, quiet=True))


def test_a_task_waits_for_a_result_that_its_host_sees_late(tmp_path: Path) -> None:
    step = TaskStep(SlowStage(tasks=1), "square", str(tmp_path), 1, False)
    step(None, 0)
    hide(tmp_path / "square" / "00000", 0.3)
    TaskStep(SlowStage(tasks=1), "collect", str(tmp_path), 1, False)(None, 0)
    assert sorted(path.name for path in (tmp_path / "square").iterdir()) == ["00000"]
    with pytest.raises(FileNotFoundError):
        seen(tmp_path, (tmp_path / "never").read_text, 0.1)


def test_a_failure_is_raised_and_what_is_published_stays(tmp_path: Path) -> None:
    executor = fake(fates=("well",))
    with pytest.raises(DataError, match="broken on purpose"):
        run_stage(SlowStage(fail="error"), tmp_path / "out", RunOptions(running=executor, quiet=True))
    assert len(list((tmp_path / "out").glob("_work/*/square/0*/result.json"))) == 4


def test_the_first_result_stays(tmp_path: Path) -> None:
    step = TaskStep(SlowStage(), "square", str(tmp_path), 1, False)
    first, second = (step.attempt(2, lambda documents, size: None) for _ in range(2))
    (first.directory / "mark").write_text("first")
    first.publish()
    second.publish()
    assert (tmp_path / "square" / "00002" / "mark").read_text() == "first"
    assert [path.name for path in (tmp_path / "square").iterdir()] == ["00002"]


@pytest.mark.parametrize("damage", ["missing", "empty", "torn", "other"])
def test_a_published_folder_without_a_readable_result_is_set_aside(
    whole: dict[str, bytes], tmp_path: Path, damage: str
) -> None:
    out = tmp_path / "out"
    with pytest.raises(DataError):
        run_stage(SlowStage(tasks=6, fail="error"), out, QUIET)
    (folder,) = out.glob("_work/*/square/00003")
    text = (folder / RESULT).read_text(encoding="utf-8")
    if damage == "missing":
        (folder / RESULT).unlink()
    else:
        (folder / RESULT).write_text({"empty": "", "torn": text[:40], "other": "{}"}[damage], encoding="utf-8")
    with pytest.raises(DataError, match="broken on purpose"):
        run_stage(SlowStage(tasks=6, fail="error"), out, QUIET)
    (aside,) = folder.parent.glob(".00003-aside-*")
    assert (aside / "spill").read_text() == "3"  # renamed, not deleted
    run_stage(SlowStage(tasks=6), out, QUIET)
    assert contents(out) == whole


def test_attempts_of_other_hosts_are_left_alone(whole: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    work = out / "_work" / stage_key(SlowStage(tasks=6)) / "square"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    mine = attempts.host()
    dead, alive = f".00001-{mine}-{ended.pid}-00000000", f".00001-{mine}-{os.getpid()}-00000000"
    foreign, reborn = f".00001-node7.{'0' * 8}-{ended.pid}-00000000", f".00001-{mine}0-{ended.pid}-00000000"
    for name in (dead, alive, foreign, reborn):
        (work / name).mkdir(parents=True)
        (work / name / "00000.parquet").write_bytes(b"half")
    with pytest.raises(DataError):
        run_stage(SlowStage(tasks=6, fail="error"), out, QUIET)
    assert {path.name for path in work.glob(".0*")} == {alive, foreign, reborn}
    run_stage(SlowStage(tasks=6), out, QUIET)
    assert contents(out) == whole and not (out / "_work").exists()


def test_the_commit_needs_the_stage_and_the_folder_alone(whole: dict[str, bytes], tmp_path: Path) -> None:
    stage, out = SlowStage(tasks=6), tmp_path / "out"
    work = out / "_work" / stage_key(stage)
    for phase in stage.phases()[:2]:
        for index in range(phase.tasks):
            TaskStep(stage, phase.name, str(work), 1, False)(None, index)
    with pytest.raises(
        DataError, match=r"6 of 6 tasks of stage slow, phase write have no result in .*\(0, 1, 2, 3, 4\)"
    ):
        commit_output(stage, out)
    for index in range(6):
        TaskStep(stage, "write", str(work), 1, False)(None, index)
    program = f"from tests.toy import SlowStage\nfrom corpus.engine.runner import commit_output\nfrom pathlib import Path\ncommit_output(SlowStage(tasks=6), Path({str(out)!r}))"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
        assert contents(out) == whole
    stamp = (out / MANIFEST).stat().st_mtime_ns
    assert run_stage(stage, out, QUIET).rows == 12 and (out / MANIFEST).stat().st_mtime_ns == stamp


def test_datatrove_runs_the_same_tasks(whole: dict[str, bytes], tmp_path: Path) -> None:
    from datatrove.executor.local import LocalPipelineExecutor

    stage, out = SlowStage(tasks=6), tmp_path / "out"
    work = out / "_work" / stage_key(stage)
    for phase in stage.phases():
        step = TaskStep(stage, phase.name, str(work), 1, False)
        LocalPipelineExecutor([step], phase.tasks, workers=1, logging_dir=str(tmp_path / phase.name)).run()
    commit_output(stage, out)
    assert contents(out) == whole


@pytest.fixture
def forget_plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry.EXECUTORS, "_added", {})
    monkeypatch.setattr(plugins, "_loaded", {})
    yield
    for name in [name for name in sys.modules if name.startswith("corpusmill_plugin_")]:
        del sys.modules[name]


def test_an_executor_works_as_the_options_say(tmp_path: Path) -> None:
    seen: list[Settings] = []

    @dataclass(frozen=True)
    class Own:
        queue: str = option("short", "where tasks wait")

    class Queued(FakeExecutor):
        """A task may hold what is reserved for it."""

        options = Own

        def configure(self, settings: Settings) -> None:
            super().configure(settings)
            seen.append(settings)

        def task_memory(self, memory: int) -> int:
            return self.settings.memory_per_task or super().task_memory(memory)

        def submit(self, step: TaskStep, ranks: Sequence[int]) -> str:
            assert step.memory == (7 if self.settings.memory_per_task else 50)
            return super().submit(step, ranks)

    registry.EXECUTORS.add("queued", Queued, __file__)
    try:
        options = RunOptions(workers=2, memory=100, executor="queued", quiet=True)
        run_stage(SlowStage(), tmp_path / "a", options)
        more = replace(options, executor_options=Own("long"), cpus_per_task=4, memory_per_task=7)
        run_stage(SlowStage(), tmp_path / "b", more)
    finally:
        registry.EXECUTORS.remove(__file__)
    assert [(s.workers, s.cpus_per_task, s.memory_per_task, s.options) for s in seen] == [
        (2, 1, None, Own("short")),
        (2, 4, 7, Own("long")),
    ]
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_executors_are_found_by_name(forget_plugins: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert executor_class("local") is LocalExecutor
    with pytest.raises(UsageError, match="there is no executor 'locl': did you mean 'local'"):
        executor_class("locl")
    runner = CliRunner()
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")
    args = ["ingest", "jsonl", str(tmp_path / "a.jsonl"), "--domain", "toy", "-o", str(tmp_path / "out"), "--quiet"]
    result = runner.invoke(cli, [*args, "--executor", "rya"])
    assert result.exit_code == 2 and "there is no executor 'rya': did you mean 'ray'" in result.output
    for more, words in (
        (["--cpus-per-task", "2"], "executor local has none: leave them out"),
        (["--memory-per-task", "2GB"], "executor local has none: leave them out"),
    ):
        result = runner.invoke(cli, [*args, *more])
        assert result.exit_code == 2 and words in result.output and not (tmp_path / "out").exists()
    plugin = tmp_path / "fakes.py"
    plugin.write_text(
        "from tests.corpus.engine.fake import FakeExecutor\nEXECUTORS = {'fake': FakeExecutor, 'odd': 3}\n"
    )
    args += ["--plugin", str(plugin)]
    result = runner.invoke(cli, [*args, "--executor", "odd"])
    assert result.exit_code == 2 and f"the executor 'odd' of {plugin} is no class of Executor" in result.output
    sent: list[int] = []
    submit = FakeExecutor.submit

    def spy(executor: FakeExecutor, step: TaskStep, ranks: Sequence[int]) -> str:
        sent.append(1)
        return submit(executor, step, ranks)

    monkeypatch.setattr(FakeExecutor, "submit", spy)
    result = runner.invoke(cli, [*args, "--executor", "fake"], catch_exceptions=False)
    assert result.exit_code == 0 and sent and Manifest.load(tmp_path / "out").rows == 1


SCRIPT = """
from corpus.engine.runner import RunOptions, run_stage
from tests.toy import SlowStage
run_stage(SlowStage(tasks=6), OUT, RunOptions(workers=2, always_pool=True, quiet=True))
"""
OWN_STAGE = """
from dataclasses import dataclass
from corpus.engine.runner import RunOptions, run_stage
from tests.toy import SlowStage
@dataclass(frozen=True)
class Mine(SlowStage):
    pass
GUARD
    run_stage(Mine(tasks=6), OUT, RunOptions(workers=2, always_pool=True, quiet=True))
"""


def run_script(text: str, tmp_path: Path, how: str) -> subprocess.CompletedProcess[str]:
    """Run a program that writes to `tmp_path/out`: from standard input, by `-c`, or as a file."""
    program = text.replace("OUT", repr(str(tmp_path / "out")))
    script = tmp_path / "script.py"
    script.write_text(program, encoding="utf-8")
    args = {"stdin": ["-"], "-c": ["-c", program], "file": [str(script)]}[how]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *args],
        input=program if how == "stdin" else "",
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        timeout=60,
    )


@pytest.mark.parametrize("how", ["stdin", "-c", "file"])
def test_workers_do_not_run_the_main_module(whole: dict[str, bytes], tmp_path: Path, how: str) -> None:
    done = run_script(SCRIPT, tmp_path, how)
    assert (done.returncode, done.stderr) == (0, "")
    assert contents(tmp_path / "out") == whole


def test_a_stage_of_the_main_module(whole: dict[str, bytes], tmp_path: Path) -> None:
    guarded = OWN_STAGE.replace("GUARD", "if __name__ == '__main__':")
    done = run_script(guarded, tmp_path, "file")
    assert (done.returncode, done.stderr) == (0, "")
    assert contents(tmp_path / "out") == whole
    done = run_script(guarded.replace("OUT", repr(str(tmp_path / "two"))), tmp_path, "stdin")
    assert "stage slow is defined on standard input or in a notebook" in done.stderr
    started = time.monotonic()
    done = run_script(
        OWN_STAGE.replace("GUARD", "if True:").replace("OUT", repr(str(tmp_path / "three"))), tmp_path, "file"
    )
    assert "put what runs it under if __name__" in done.stderr
    assert "a worker of stage slow ended with exit code 1 in phase square" in done.stderr
    assert time.monotonic() - started < 20


def test_what_is_said_of_a_dead_worker(tmp_path: Path) -> None:
    assert deaths.describe([None, -15, -9], 0) == "was killed by signal 9"
    assert deaths.describe([-9], 1) == "was killed by signal 9 while the system ran out of memory"
    assert deaths.describe([-15, -15], 3) == "was killed by signal 15"
    assert deaths.describe([-15, 3], 1) == "ended with exit code 3"
    assert "--memory" in deaths.remedy([-9], 1)
    assert not [codes for codes in ([-9], [-15, 3]) for kills in (0,) if "--memory" in deaths.remedy(codes, kills)]
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    assert system.out_of_memory_kills(proc, groups) == 0
    (proc / "self").mkdir(parents=True)
    (proc / "vmstat").write_text("pgfault 7\noom_kill 2\n")
    (proc / "self" / "cgroup").write_text("4:memory:/a/b\n0::/c\n")
    for path, name in ((groups / "memory/a/b", "memory.oom_control"), (groups / "c", "memory.events")):
        path.mkdir(parents=True)
        (path / name).write_text("under_oom 0\noom 9\noom_kill 3\n")
    assert system.out_of_memory_kills(proc, groups) == 8
    (groups / "c" / "memory.events").rename(groups / "memory.events")
    assert system.out_of_memory_kills(proc, groups) == 8


@pytest.mark.parametrize("kills", [0, 1])
def test_a_killed_worker_is_said_to_have_lacked_memory_on_evidence_only(
    monkeypatch: pytest.MonkeyPatch, whole: dict[str, bytes], tmp_path: Path, kills: int
) -> None:
    monkeypatch.setenv(faults.VARIABLE, f"before-publish:1:{tmp_path / 'fired'}")
    counts = iter([0] + [kills] * 9)
    monkeypatch.setattr("corpus.engine.executors.local.out_of_memory_kills", lambda: next(counts))
    started = time.monotonic()
    with pytest.raises(DataError) as caught:
        run_stage(SlowStage(tasks=6), tmp_path / "out", POOL)
    assert time.monotonic() - started < 10
    assert "a worker of stage slow was killed by signal 9" in caught.value.message
    assert ("ran out of memory" in caught.value.message) == ("--memory" in caught.value.message) == bool(kills)
    run_stage(SlowStage(tasks=6), tmp_path / "out", QUIET)
    assert contents(tmp_path / "out") == whole


def test_one_pool_serves_many_stages(tmp_path: Path) -> None:
    executor = LocalExecutor(Settings(workers=2, always_pool=True))
    try:
        for number in range(2):
            run_stage(SlowStage(), tmp_path / str(number), replace(POOL, running=executor))
        processes = executor.pool.pids()
        executor.configure(Settings(workers=1, always_pool=True))
        assert executor.pool.pids() == []
    finally:
        executor.close()
    assert len(processes) == 2
    logs = [json.loads((tmp_path / name / "_log/finished.json").read_text()) for name in "01"]
    assert logs[0]["key"] == logs[1]["key"]


@pytest.mark.parametrize("point", faults.POINTS)
def test_a_fault_kills_at_its_point_and_once(tmp_path: Path, point: str) -> None:
    program = (
        "from corpus.engine.faults import fault\nimport sys\n"
        f"fault({point!r}); print('one', flush=True); fault({point!r}); print('two', flush=True)\n"
    )
    command = [sys.executable, "-c", program]
    for setting, code, words in (
        (f"{point}:2", -signal.SIGKILL, "one\n"),
        (f"{point}:1:{tmp_path / 'mark'}", -signal.SIGKILL, ""),
        (f"{point}:1:{tmp_path / 'mark'}", 0, "one\ntwo\n"),
    ):
        done = subprocess.run(
            command, env=os.environ | {faults.VARIABLE: setting}, capture_output=True, text=True, cwd=ROOT
        )
        assert (done.returncode, done.stdout) == (code, words)
