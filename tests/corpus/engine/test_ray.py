"""The Ray executor, on a Ray that is none: what is lost is sent again, what cannot be is said, nothing waits for ever."""

from __future__ import annotations

import dataclasses
import http.server
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpus.cli import cli
from corpus.engine.executors import ray as executor
from corpus.engine.executors.place import Place
from corpus.engine.executors.ray import RayOptions
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, LostError, UsageError
from tests.corpus.engine.fake_ray import FakeRay, OutOfMemoryError, RayTaskError, WorkerCrashedError, as_module
from tests.corpus.engine.test_stage import contents
from tests.toy import SlowStage

GB = 1_000_000_000
OPTIONS = RunOptions(
    workers=2, memory=GB, executor="ray", executor_options=RayOptions("head:1"), always_pool=True, quiet=True
)

Make = Callable[..., FakeRay]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Make:
    """A Ray of these nodes, and tasks that end as these errors say."""
    monkeypatch.setattr(executor, "_check_answers", lambda address: None)
    monkeypatch.setattr(executor, "_ROOM_SECONDS", -1.0)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def make(*fates: BaseException | None, sizes: tuple[tuple[int, int], ...] = ((1, 2 * GB), (4, GB))) -> FakeRay:
        made = FakeRay(list(sizes), list(fates))
        monkeypatch.setitem(sys.modules, "ray", as_module(made))
        return made

    return make


def test_lost_tasks_are_sent_again_and_the_bytes_are_those_of_the_local_executor(cluster: Make, tmp_path: Path) -> None:
    run_stage(SlowStage(tasks=6), tmp_path / "whole", RunOptions(quiet=True))
    ray = cluster(None, WorkerCrashedError("gone"), None, OutOfMemoryError("full"), WorkerCrashedError("gone"))
    run_stage(SlowStage(tasks=6), tmp_path / "out", OPTIONS)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert ray.most == 2 and ray.under_way == 0
    assert {(o["num_cpus"], o["memory"], o["max_retries"]) for o in ray.asked} == {(1, 1_500_000_000, 0)}
    assert ray.addresses == ["head:1"] and ray.calls["init"] == ray.calls["shutdown"] == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            WorkerCrashedError("The worker died. See the log."),
            r"lost its worker or its node \(The worker died\): see Ray's",
        ),
        (
            OutOfMemoryError("x"),
            r"was ended by Ray since its node ran out of memory: reserve more with --memory-per-task \(1.5GB was\)",
        ),
    ],
)
def test_a_task_that_is_lost_too_often_is_named_with_what_is_known(
    cluster: Make, tmp_path: Path, error: Exception, words: str
) -> None:
    ray = cluster(*[error] * 40)
    with pytest.raises(
        LostError, match=r"tasks of stage slow, phase square were lost 4 times \(.*; the last one " + words
    ):
        run_stage(SlowStage(tasks=6), tmp_path / "out", OPTIONS)
    assert ray.under_way == 0 and ray.calls["shutdown"] == 1
    cluster()
    run_stage(SlowStage(tasks=6), tmp_path / "out", OPTIONS)


def test_the_error_of_a_task_is_raised_and_the_others_are_cancelled(cluster: Make, tmp_path: Path) -> None:
    ray = cluster()
    with pytest.raises(DataError, match="broken on purpose"):
        run_stage(SlowStage(fail="error"), tmp_path / "out", OPTIONS)
    assert ray.calls["cancel"] == 2 and ray.under_way == 0
    cluster(RayTaskError(ModuleNotFoundError("No module named 'tests'")))
    with pytest.raises(UsageError, match=r"cannot import what a task needs \(No module named 'tests'\)"):
        run_stage(SlowStage(), tmp_path / "two", OPTIONS)


def test_more_than_any_node_has_is_refused_before(cluster: Make, tmp_path: Path) -> None:
    ray = cluster()
    for more, words in (
        ({"cpus_per_task": 2, "memory_per_task": 2 * GB}, r"asks for 2 cores and 2\.0 GB, and none of the 2 nodes"),
        ({"workers": 1, "memory": 2 * GB}, r"1 core and 3\.0 GB.*the largest: 4 cores, 1\.0 GB"),
    ):
        with pytest.raises(UsageError, match=words):
            run_stage(SlowStage(), tmp_path / "out", dataclasses.replace(OPTIONS, **more))  # type: ignore[arg-type]  # fields
        assert not (tmp_path / "out" / "_work").exists()
    assert ray.most == 0
    both = dataclasses.replace(OPTIONS, cpus_per_task=4, memory_per_task=GB)
    run_stage(SlowStage(), tmp_path / "out", both)
    scaling = dataclasses.replace(OPTIONS, cpus_per_task=64, executor_options=RayOptions("head:1", autoscaling=True))
    run_stage(SlowStage(), tmp_path / "more", scaling)


def test_tasks_that_no_node_that_is_left_has_room_for_are_not_waited_for(cluster: Make, tmp_path: Path) -> None:
    ray = cluster()
    ray.mute = True
    rooms = iter([ray.sizes, ray.sizes, [(1, 5)]])
    nodes = ray.nodes
    sys.modules["ray"].nodes = lambda: [setattr(ray, "sizes", next(rooms)), nodes()][1]  # type: ignore[attr-defined]  # a double
    with pytest.raises(LostError, match=r"none of the 1 nodes .* What is done stays: run the same command again"):
        run_stage(SlowStage(), tmp_path / "out", OPTIONS)
    assert ray.calls["cancel"] == 2


def test_the_memory_of_a_task(cluster: Make) -> None:
    cluster()
    made = executor.RayExecutor(executor.Settings(workers=4, options=RayOptions("head:1")))
    assert made.task_memory(8 * GB) == 2 * GB
    for reserved, wanted in ((3 * GB, 2 * GB), (GB, GB // 2)):
        made.configure(executor.Settings(workers=4, memory_per_task=reserved))
        assert made.task_memory(8 * GB) == wanted


def test_small_stages_stay_here(cluster: Make, tmp_path: Path) -> None:
    ray = cluster(sizes=())
    run_stage(SlowStage(), tmp_path / "out", dataclasses.replace(OPTIONS, always_pool=False))
    assert ray.most == 0


def test_another_version_is_named_with_this_one(cluster: Make, tmp_path: Path) -> None:
    ray = cluster()
    ray.older = (
        "Version mismatch: The cluster was started with:\n    Ray: 2.9.0\n    Python: 3.10.4\n"
        "This process on node 10.0.0.1:6379 was started with:\n    Ray: 2.50.1\n    Python: 3.11.2\n"
    )
    words = r"at head:1 has Ray 2\.9\.0 with Python 3\.10\.4, and here is Ray 2\.50\.1 with Python 3\.11\.2: install"
    with pytest.raises(UsageError, match=words):
        run_stage(SlowStage(), tmp_path / "out", OPTIONS)
    ray.older = "something else"
    with pytest.raises(RuntimeError, match="something else"):
        run_stage(SlowStage(), tmp_path / "out", OPTIONS)


def test_where_the_cluster_is(cluster: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ray = cluster()
    run_stage(SlowStage(), tmp_path / "a", dataclasses.replace(OPTIONS, executor_options=None))
    monkeypatch.setenv("RAY_ADDRESS", "elsewhere:2")
    run_stage(SlowStage(), tmp_path / "b", dataclasses.replace(OPTIONS, executor_options=None))
    assert ray.addresses == ["local", "elsewhere:2"]
    with pytest.raises(
        DataError, match=r"the Ray cluster at auto takes no connection \(could not find any running Ray instance\): see"
    ):
        run_stage(SlowStage(), tmp_path / "d", dataclasses.replace(OPTIONS, executor_options=RayOptions("auto")))
    ray.init("mine")  # by the caller, who keeps it
    run_stage(SlowStage(), tmp_path / "c", OPTIONS)
    assert ray.is_initialized() and ray.addresses[-1] == "mine"


def test_without_ray_or_an_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")
    args = ["ingest", "jsonl", str(tmp_path / "a.jsonl"), "--domain", "toy", "-o", str(tmp_path / "out"), "--quiet"]
    runner = CliRunner()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setitem(sys.modules, "ray", as_module(FakeRay([])))
        result = runner.invoke(cli, [*args, "--executor", "ray", "--ray-address", address])
    assert result.exit_code == 1 and f"nobody answers at {address} (" in result.output and "ray start" in result.output
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        address = f"127.0.0.1:{server.server_port}"
        result = runner.invoke(cli, [*args, "--executor", "ray", "--ray-address", f"ray://{address}"])
        thread.join()
    assert result.exit_code == 1 and f"what answers at ray://{address} is no Ray cluster" in result.output
    result = runner.invoke(cli, [*args, "--executor", "ray", "--ray-address", "head"])
    assert result.exit_code == 2 and "--ray-address head is no HOST:PORT" in result.output
    monkeypatch.setitem(sys.modules, "ray", None)
    result = runner.invoke(cli, [*args, "--executor", "ray"])
    assert result.exit_code == 2 and "pip install 'corpusmill[ray]'" in result.output
    result = runner.invoke(cli, [*args, "--ray-address", "head:1"])
    assert result.exit_code == 2 and "--ray-address is of executor ray, and local is chosen" in result.output
    assert not (tmp_path / "out").exists()


def test_a_machine_without_the_folder_or_with_other_packages_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("corpus.engine.visible.SEEN_SECONDS", 0.0)
    place = Place.of_this()
    work = tmp_path / "work"
    work.mkdir()
    (work / "config.json").touch()
    os.chdir("/")
    place.enter("work")
    assert Path.cwd() == tmp_path
    with pytest.raises(DataError, match=rf"gone.*is not on {socket.gethostname()}: all machines must have the folders"):
        dataclasses.replace(place, folder=str(tmp_path / "gone")).enter("work")
    with pytest.raises(UsageError, match=r"has other packages \(corpusmill .*, not 9; odd none, not 1\): install"):
        dataclasses.replace(place, versions={"corpusmill": "9", "odd": "1"}).enter("work")
