"""The Slurm executor on a stand-in for Slurm that runs the jobs as processes; `tests/conformance` has the real one."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corpus.engine.executors.base import Settings
from corpus.engine.executors.slurm import array, programs, queue
from corpus.engine.executors.slurm.deaths import Death
from corpus.engine.executors.slurm.executor import HandedOver, SlurmExecutor, check
from corpus.engine.executors.slurm.options import SlurmOptions, seconds_of
from corpus.engine.executors.slurm.programs import Job
from corpus.engine.executors.slurm.watch import look
from corpus.engine.executors.step import TaskStep
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import LostError, UsageError
from tests.corpus.engine import fake_slurm
from tests.corpus.engine.test_executors import contents
from tests.toy import SlowStage

OWN = SlurmOptions(partition="work", time="10:00", array_bytes=0)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the stand-in, whose programs are on the PATH."""
    folder = tmp_path / "slurm"
    for name, value in fake_slurm.install(folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    monkeypatch.setattr(queue, "_LEAST", 0.4)
    programs.max_array_size.cache_clear()
    yield folder
    fake_slurm.kill_all(folder)


def options(own: SlurmOptions = OWN, **more: Any) -> RunOptions:
    return RunOptions(workers=2, quiet=True, executor="slurm", executor_options=own, **more)


def meet(slurm: Path, fates: dict[str, list[str]]) -> None:
    """What is to happen to jobs, by `NAME:ELEMENT`, and to programs."""
    (slurm / "fates.json").write_text(json.dumps(fates))


def test_arrays_do_the_tasks_and_what_is_lost_is_sent_again(slurm: Path, tmp_path: Path) -> None:
    stage = SlowStage(tasks=2)
    run_stage(stage, tmp_path / "local", RunOptions(quiet=True))
    meet(slurm, {"slow.square:1": ["NODE_FAIL"], "slow.collect:0": ["NODE_FAIL!"], "slow.write:0": ["NODE_FAIL"]})
    run_stage(stage, tmp_path / "out", options())
    assert contents(tmp_path / "out") == contents(tmp_path / "local")
    names = [name.split()[1] for name in fake_slurm.jobs(slurm)]
    assert names == ["slow.square", "slow.collect", "slow.collect", "slow.write"]  # one job has done all squares
    about = json.loads((slurm / "1" / "about.json").read_text())
    assert about["elements"] == 2
    assert {"--partition=work", "--time=10:00", "--cpus-per-task=1", "--mem=2862M"} <= set(about["arguments"])


def test_an_error_of_a_task_is_raised_here(slurm: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sleep length must be non-negative"):
        run_stage(SlowStage(tasks=1, seconds=-1), tmp_path / "out", options())
    log = next((tmp_path / "out").rglob("0.log")).read_text()
    assert "Traceback" in log


@pytest.mark.slow
def test_a_chain_hands_over_at_every_barrier_and_sends_nothing_twice(slurm: Path, tmp_path: Path) -> None:
    """What controllers of a run do, one process after another."""
    stage = SlowStage(tasks=1)
    run_stage(stage, tmp_path / "local", RunOptions(quiet=True))
    handed = []
    while True:
        executor = SlurmExecutor(Settings(options=OWN), "chain", hand_over=True)
        try:
            run_stage(stage, tmp_path / "out", options(running=executor))
            break
        except HandedOver as over:
            handed.append(over.jobs)
            executor.close()
        while programs.jobs_below(tmp_path / "out"):
            time.sleep(0.1)
    assert handed == [("1",), ("2",), ("3",)]  # square, collect, write
    assert contents(tmp_path / "out") == contents(tmp_path / "local")


def test_a_run_that_begins_again_takes_what_is_running_as_sent(slurm: Path, tmp_path: Path) -> None:
    stage = SlowStage(tasks=1, seconds=60)
    for chain in ("first", "second"):
        with pytest.raises(HandedOver) as over:
            executor = SlurmExecutor(Settings(options=OWN), chain, hand_over=True)
            run_stage(stage, tmp_path / "out", options(running=executor))
        assert over.value.jobs == ("1",)
    assert [job.id for job in programs.jobs_below(tmp_path)] == ["1"]
    assert programs.jobs_below(tmp_path / "elsewhere") == []
    driver = SlurmExecutor(Settings(options=OWN))
    work = next((tmp_path / "out/_work").iterdir())
    handle = driver.submit(TaskStep(stage, "square", str(work), 1, False), [0])
    assert driver.poll(handle, lambda *_: None).running == {0}
    driver.close()
    while programs.jobs_below(tmp_path):
        time.sleep(0.1)
    assert fake_slurm.jobs(slurm) == {"1 slow.square": {"0": "CANCELLED"}}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("TIMEOUT", ["task 0 of stage slow, phase square", "the time limit of 10:00", "job 1_0 on n1", "--slurm-time"]),
        ("OUT_OF_MEMORY", ["for want of memory", "--memory-per-task"]),
        ("CANCELLED", ["was cancelled", "run the same command again"]),
        ("FAILED", ["no job of stage slow, phase square could begin", "same paths"]),
    ],
)
def test_what_ended_a_job_is_said_with_the_setting(slurm: Path, tmp_path: Path, state: str, words: list[str]) -> None:
    meet(slurm, {"slow.square:0": [state]})
    with pytest.raises(LostError) as error:
        run_stage(SlowStage(tasks=1), tmp_path / "out", options())
    for word in words:
        assert word in error.value.message


@pytest.mark.parametrize(("seconds", "state"), [(0, "COMPLETED"), (-1, "FAILED")])
def test_a_phase_does_not_wait_for_jobs_that_get_no_place(
    slurm: Path, tmp_path: Path, seconds: float, state: str
) -> None:
    meet(slurm, {"slow.square:1": ["PENDING"]})
    (tmp_path / "square").mkdir()
    (tmp_path / "config.json").touch()
    step = TaskStep(SlowStage(seconds=seconds), "square", str(tmp_path), 1, False)
    executor = SlurmExecutor(Settings(workers=2, options=OWN), "chain", hand_over=True)
    handle = executor.submit(step, [0, 1])
    while fake_slurm.jobs(slurm)["1 slow.square"]["0"] in ("PENDING", "RUNNING"):
        time.sleep(0.05)
    assert fake_slurm.jobs(slurm) == {"1 slow.square": {"0": state, "1": "CANCELLED"}}
    report = executor.poll(handle, lambda *_: None)
    assert (report.running, report.lost) == (frozenset(), {})
    assert {rank: type(error) for rank, error in report.failed.items()} == (
        {0: ValueError, 1: ValueError} if seconds else {}
    )


def test_jobs_wait_as_long_as_a_task_may_be_left(tmp_path: Path) -> None:
    phase = tmp_path / "square"
    place = phase / ".slurm-1"
    place.mkdir(parents=True)
    (place / array.begun_mark(0)).touch()
    (phase / "00004").mkdir()
    assert not array.waits_in_vain(place, 2, [4, 7])  # another job is at 7, or has died of it
    (place / array.error_mark(7)).touch()
    assert array.waits_in_vain(place, 2, [4, 7])
    (place / array.begun_mark(1)).touch()
    assert not array.waits_in_vain(place, 2, [4, 7])  # none waits


def test_what_is_lost_for_ever_is_given_up(slurm: Path, tmp_path: Path) -> None:
    meet(slurm, {"slow.square:0": ["NODE_FAIL"] * 9})
    with pytest.raises(LostError, match=r"lost 4 times .* was lost with its node \(job 4_0 on n1\): see sinfo -R"):
        run_stage(SlowStage(tasks=1), tmp_path / "out", options())
    assert len(fake_slurm.jobs(slurm)) == 4


def test_a_chain_gives_up_too(slurm: Path, tmp_path: Path) -> None:
    meet(slurm, {"slow.square:0": ["NODE_FAIL"] * 9})
    (tmp_path / "square").mkdir()
    step = TaskStep(SlowStage(), "square", str(tmp_path), 1, False)

    def control() -> None:
        executor = SlurmExecutor(Settings(options=OWN), "chain", hand_over=True)
        handle = executor.submit(step, [0])
        while programs.jobs_below(tmp_path):
            time.sleep(0.02)
        assert executor.poll(handle, lambda *_: None).running == frozenset()
        executor.submit(step, [0])

    for _ in range(3):
        control()
    with pytest.raises(LostError, match="4 times without a result"):
        control()
    assert len(fake_slurm.jobs(slurm)) == 4


def test_the_accounting_is_asked_for_what_the_queue_has_forgotten(slurm: Path, tmp_path: Path) -> None:
    (slurm / "forgets").touch()
    meet(slurm, {"slow.square:0": ["TIMEOUT"]})
    with pytest.raises(LostError, match="--slurm-time"):
        run_stage(SlowStage(tasks=1), tmp_path / "out", options())


def test_slurm_that_gives_no_answer_is_waited_for(
    slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(programs, "_WAITS", (0.0,))
    (slurm / "silent").touch()
    meet(slurm, {"sbatch": ["Socket timed out on send/recv operation"], "slow.square:0": ["TIMEOUT"]})
    with pytest.raises(LostError, match="--slurm-time"):
        run_stage(SlowStage(tasks=1), tmp_path / "out", options())
    assert "Slurm gives no answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (SlurmOptions(), "--slurm-partition"),
        (SlurmOptions(partition="work"), "--slurm-time"),
        (SlurmOptions(partition="wrok", time="1:00:00"), "no such partition; did you mean 'work'?"),
        (SlurmOptions(partition="work", time="soon"), "is no time"),
        (SlurmOptions(partition="short", time="11"), "more than partition short allows"),
        (SlurmOptions(partition="short,work", time="2-0"), "more than partition work allows"),
        (SlurmOptions(partition="work,", time="11"), "--slurm-partition work, has an empty name"),
    ],
)
def test_wrong_options_are_said_before_anything_is_sent(slurm: Path, own: SlurmOptions, words: str) -> None:
    with pytest.raises(UsageError) as error:
        check(own)
    assert words in error.value.message


def test_one_partition_of_several_may_allow_less(slurm: Path) -> None:
    check(SlurmOptions(partition="work,short", time="11"))
    check(SlurmOptions(partition="short,free", time="9-0"))


def test_what_slurm_refuses_is_said_in_its_words(slurm: Path, tmp_path: Path) -> None:
    meet(slurm, {"sbatch": ["Invalid account specified"]})
    with pytest.raises(UsageError, match=r"Slurm refuses a job: .*Invalid account"):
        run_stage(SlowStage(tasks=1), tmp_path / "out", options())
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob(".slurm-*"))


def test_without_slurm_there_is_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"sbatch, which is not on the PATH .* login node"):
        SlurmExecutor(Settings(options=OWN))


def test_no_stage_of_little_input_waits_in_a_queue(slurm: Path, tmp_path: Path) -> None:
    own = SlurmOptions(partition="work", time="10:00")
    run_stage(SlowStage(), tmp_path / "out", RunOptions(quiet=True, executor="slurm", executor_options=own))
    assert fake_slurm.jobs(slurm) == {}


def test_every_task_is_taken_once_and_what_others_leave_is_taken(tmp_path: Path) -> None:
    ranks = (4, 7, 1, 9, 2, 30, 5)
    first, second = (array.claimed(tmp_path, element, 3, ranks) for element in (0, 1))
    assert [next(first), next(second), next(second)] == [4, 7, 2]
    assert list(first) == [9, 5, 30, 1]  # its own, then those of the element 2, which waits in the queue, from the end
    assert list(second) == []
    assert list(array.claimed(tmp_path, 2, 3, ranks)) == []
    one = array.ArrayJob(tmp_path, "1", "chain", 3, frozenset(ranks))
    assert one.claims(one.marks()) == {4: 0, 7: 1, 2: 1, 9: 0, 5: 0, 30: 0, 1: 0}


class Told(queue.Queue):
    """Slurm says that elements have ended in these states."""

    def __init__(self, *states: str) -> None:
        self.states = states

    def job(self, id: str, element: int) -> Job:
        return Job(id, element, self.states[element], "n1")


@pytest.mark.parametrize(
    ("states", "claims", "done", "seen"),
    [
        # states of two jobs, which of them took the tasks 0 to 3, what is done: running, ended, lost, left, failed
        (("RUNNING", "PENDING"), {0: 0}, [], ([0, 1, 2, 3], [], [], [], [])),
        (("RUNNING", "NODE_FAIL"), {0: 0, 1: 1}, [0], ([0, 2, 3], [], [1], [], [])),
        (("TIMEOUT", "NODE_FAIL"), {0: 0, 1: 1, 2: 0}, [0], ([], [0], [1, 2], [3], [])),
        (("TIMEOUT", "RUNNING"), {0: 0}, [], ([1, 2, 3], [], [0], [], [0])),
        (("CANCELLED", "COMPLETED"), {0: 0, 1: 0}, [0, 1], ([], [0, 1], [2, 3], [2, 3], [2])),
        (("NODE_FAIL", "NODE_FAIL"), {}, [], ([], [], [0, 1, 2, 3], [], [])),
        (("FAILED", "FAILED"), {}, [], ([], [], [0, 1, 2, 3], [], [0])),
    ],
)
def test_what_became_of_an_array(
    tmp_path: Path, states: tuple[str, str], claims: dict[int, int], done: list[int], seen: tuple[list[int], ...]
) -> None:
    for rank, element in claims.items():
        (tmp_path / f"claim-{rank}").write_text(str(element))
    for rank in done:
        (tmp_path / f"square/{rank:05d}").mkdir(parents=True)
        (tmp_path / f"square/{rank:05d}/result.json").touch()
    step = TaskStep(SlowStage(), "square", str(tmp_path), 1, False)
    sight = look(array.ArrayJob(tmp_path, "7", "chain", 2, frozenset(range(4))), step, Told(*states), "10")
    found = (sight.running, sight.ended, sight.lost, sight.left, sight.failed)
    assert tuple(map(sorted, found)) == seen


def test_times_are_read_as_slurm_does() -> None:
    read = {"90": 5400, "1:30": 90, "2:00:00": 7200, "1-0": 86_400, "2-12:30": 217_800, "1-00:00:05": 86_405}
    assert {time: seconds_of(time) for time in read} == read
    assert [seconds_of(time) for time in ("infinite", "", "1h", "1:2:3:4")] == [None] * 4


def test_memory_is_found_in_the_log_where_slurm_does_not_tell(tmp_path: Path) -> None:
    def said(job: Job, end: str = "", progressed: bool = False) -> str:
        return Death("task 3", job, end, tmp_path / "log", "10", True, progressed).cause()

    killed = "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.batch"
    assert "--memory-per-task" in said(Job("7", 3, "FAILED"), killed)
    assert said(Job("7", 3, "FAILED"), "Killed") == ""
    assert said(Job("7", 3, "TIMEOUT"), progressed=True) == ""  # the tasks that are left get jobs of their own


def test_a_job_in_a_job_does_not_inherit_its_shape(slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "SLURM_JOB_ID": "7", "SLURM_MEM_PER_NODE": "100", "SBATCH_MEM_BIND_TYPE": "local", "SBATCH_CPU_BIND": "quiet",
        "SLURM_CONF": "/etc/slurm.conf", "SBATCH_ACCOUNT": "lab", "OTHER": "1",
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    passed = programs._environment()
    assert {name for name in given if name in passed} == {"SLURM_CONF", "SBATCH_ACCOUNT", "OTHER"}
    monkeypatch.delenv("SLURM_JOB_ID")
    assert programs._environment()["SLURM_MEM_PER_NODE"] == os.environ["SLURM_MEM_PER_NODE"]
