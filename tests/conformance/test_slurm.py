"""`corpus run` on a real Slurm of two nodes: the bytes of a local run, whatever is killed on the way."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from corpus.engine.executors.slurm import programs
from corpus.engine.executors.slurm.options import SlurmOptions
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import LostError
from pipelines.recipes.recipe import load_recipe
from pipelines.recipes.run import run_recipe
from pipelines.recipes.slurm_chain import Chain
from pipelines.recipes.steps import RecipeRun
from tests.conformance.slurm_cluster import SlurmCluster, missing
from tests.raw import write_raw
from tests.test_spine import contents
from tests.toy import HungryStage, SlowStage

pytestmark = pytest.mark.slow
RECIPE = """
domains:
  books: {reader: jsonl, stages: [{dedup: {level: document}}]}
validation: {fraction: 0.02}
tokenizer: {preset: llama, vocab_size: 400}
packing: {sequence_length: 32}
shard_bytes: 60000
mixture:
  books: {share: 100, epochs: 2.23}
"""
ARRAY_BYTES = 20_000
"""What is done of validation has less input."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    if missing():
        pytest.skip(missing())
    with SlurmCluster(tmp_path_factory.mktemp("slurm"), memory_limits=True) as running:
        yield running


@pytest.fixture(autouse=True)
def client(cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is a client of the cluster."""
    monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    programs.max_array_size.cache_clear()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `raw`, `recipe.yaml` and `local`, the output of the local executor."""
    folder = tmp_path_factory.mktemp("recipe")
    write_raw(folder / "raw")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    recipe = load_recipe(str(folder / "recipe.yaml"))
    run_recipe(RecipeRun(recipe, folder / "raw", folder / "local"), RunOptions(quiet=True))
    return folder


def corpus(place: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "corpus", *arguments]


def command(place: Path, name: str, *more: str) -> list[str]:
    """`corpus run` on the cluster, with relative paths."""
    return corpus(
        place, "run", "recipe.yaml", "--input", "raw", "--output", name, "--executor", "slurm", "--slurm-partition", "work",
        "--slurm-time", "30", "--workers", "4", "--memory", "400MB", "--memory-per-task", "900MB",
        "--slurm-array-bytes", str(ARRAY_BYTES), *more,
    )  # fmt: skip


def run(place: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, cwd=place, capture_output=True, text=True, check=False)


def finished(place: Path, name: str) -> bool:
    return "all done" in run(place, corpus(place, "status", name)).stdout


def jobs(what: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """The Python processes of jobs of this cluster that are as wanted."""
    found = []
    for process in psutil.process_iter():
        try:
            own = process.environ().get("SLURM_CONF") == os.environ["SLURM_CONF"]
            if own and "SLURM_JOB_ID" in process.environ() and "python" in process.name() and what(process):
                found.append(process)
        except psutil.Error:
            continue
    return found


def is_worker(process: psutil.Process) -> bool:
    return any(argument.endswith("element.py") for argument in process.cmdline())


def is_controller(process: psutil.Process) -> bool:
    return "--slurm-chain" in process.cmdline()


def wait_for(found: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def test_a_chain_makes_the_bytes_of_a_local_run(cluster: SlurmCluster, place: Path) -> None:
    started = run(place, command(place, "chain"))
    assert started.returncode == 0 and "begins the run" in started.stdout, started.stderr
    second = run(place, command(place, "chain"))
    assert second.returncode == 2 and "corpus cancel chain" in second.stderr, second.stderr
    wait_for(lambda: "controller" in run(place, corpus(place, "status", "chain")).stdout)
    cluster.wait_idle(900)
    assert finished(place, "chain"), "".join(path.read_text() for path in (place / "chain/_log/slurm").glob("*.log"))
    assert contents(place / "chain") == contents(place / "local")
    assert (chain := Chain.load(place / "chain")) is not None and chain.number > 5
    again = run(place, command(place, "chain"))
    assert again.returncode == 0 and "nothing to do" in again.stdout
    assert cluster.queue() == []


@pytest.mark.parametrize("seed", [1, 2])
def test_workers_nodes_and_controllers_are_killed(cluster: SlurmCluster, place: Path, seed: int) -> None:
    """Whatever is killed at random moments: the command is given again until the run is finished."""
    draw = random.Random(seed)
    name = f"killed-{seed}"
    victims = ["worker", "node", "controller"] * 2
    draw.shuffle(victims)
    for victim in victims:
        begin(cluster, place, name)
        time.sleep(draw.uniform(0, 3))
        while not kill(cluster, victim, draw) and cluster.queue():
            time.sleep(0.05)
    while not finished(place, name):
        begin(cluster, place, name)
        cluster.wait_idle(900)
    assert contents(place / name) == contents(place / "local")


def begin(cluster: SlurmCluster, place: Path, name: str) -> None:
    """Give the command, unless jobs of it run."""
    if not cluster.queue():
        started = run(place, command(place, name))
        assert started.returncode == 0, started.stderr


def kill(cluster: SlurmCluster, victim: str, draw: random.Random) -> bool:
    """Kill a worker, a controller, or a node that has one of them; whether there was one."""
    what = {"worker": is_worker, "controller": is_controller, "node": lambda _: True}[victim]
    for process in jobs(what):
        try:
            node = process.environ()["SLURMD_NODENAME"]
            if victim == "node":
                cluster.kill_node(node)
                time.sleep(draw.uniform(0, 8))  # Slurm gives a node up after six seconds
                cluster.start_node(node)
            else:
                process.kill()
            return True
        except psutil.Error:
            continue
    return False


def test_the_driver_is_killed(cluster: SlurmCluster, place: Path) -> None:
    draw = random.Random(3)
    for _ in range(4):
        driver = subprocess.Popen(command(place, "driven", "--drive", "--quiet"), cwd=place)
        wait_for(lambda driver=driver: bool(cluster.queue()) or driver.poll() is not None)
        time.sleep(draw.uniform(0, 6))
        driver.kill()
        driver.wait()
    driven = run(place, command(place, "driven", "--drive", "--quiet"))
    assert driven.returncode == 0, driven.stderr
    assert contents(place / "driven") == contents(place / "local")
    cluster.wait_idle()


def test_a_run_is_cancelled_and_goes_on(cluster: SlurmCluster, place: Path) -> None:
    assert run(place, command(place, "cancelled")).returncode == 0
    wait_for(lambda: bool(jobs(is_worker)))
    ended = run(place, corpus(place, "cancel", "cancelled"))
    assert ended.returncode == 0 and "jobs ended" in ended.stdout, ended.stderr
    assert cluster.queue() == []
    assert not finished(place, "cancelled")
    assert run(place, command(place, "cancelled")).returncode == 0
    cluster.wait_idle(900)
    assert contents(place / "cancelled") == contents(place / "local")


def test_a_partition_that_does_not_exist(place: Path) -> None:
    refused = run(place, command(place, "wrong", "--slurm-partition", "wrk"))
    assert refused.returncode == 2
    assert "the cluster has no such partition; did you mean 'work'?" in refused.stderr
    assert not (place / "wrong").exists()


def test_more_tasks_than_an_array_may_have(place: Path, tmp_path: Path) -> None:
    own = SlurmOptions("work", "5", array_size=3, array_bytes=0)
    run_stage(SlowStage(tasks=7), tmp_path / "out", options(own))
    run_stage(SlowStage(tasks=7), tmp_path / "local", RunOptions(quiet=True))
    assert contents(tmp_path / "out") == contents(tmp_path / "local")


def test_a_limit_of_memory_is_said(tmp_path: Path) -> None:
    with pytest.raises(LostError, match=r"killed for want of memory \(job .* --memory-per-task"):
        run_stage(HungryStage(tasks=1), tmp_path / "out", options(SlurmOptions("work", "5", array_bytes=0)))


def test_a_limit_of_time_is_said(tmp_path: Path) -> None:
    """Slurm counts whole minutes."""
    own = SlurmOptions("short", "1", array_bytes=0)
    with pytest.raises(LostError, match=r"time limit of 1 \(job .* --slurm-time"):
        run_stage(SlowStage(tasks=1, seconds=300), tmp_path / "out", options(own))


def options(own: SlurmOptions) -> RunOptions:
    return RunOptions(
        workers=2, quiet=True, executor="slurm", executor_options=own, memory_per_task=900_000_000, always_pool=True
    )
