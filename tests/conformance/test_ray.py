"""A recipe on a Ray cluster of two nodes: the bytes of the local executor, also where workers, nodes and drivers are killed."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from corpus.data.verify import verify_dataset
from corpus.engine.runner import RunOptions
from pipelines.recipes.recipe import load_recipe
from pipelines.recipes.run import run_recipe
from pipelines.recipes.steps import RecipeRun
from tests.raw import RECIPE, write_raw
from tests.test_spine import contents

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]
PROGRAM = (
    "from corpus.engine import runner\nrunner.IN_PROCESS_BYTES = {least}\n"
    "from corpus.cli import main\nif __name__ == '__main__':\n    main()\n"
)
NODE = {"num_cpus": 2, "memory": 4_000_000_000, "object_store_memory": 100_000_000, "include_dashboard": False}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `raw`, `recipe.yaml` and `one`, the output of the local executor."""
    folder = tmp_path_factory.mktemp("ray")
    write_raw(folder / "raw")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    run_recipe(
        RecipeRun(load_recipe(str(folder / "recipe.yaml")), folder / "raw", folder / "one"), RunOptions(quiet=True)
    )
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes; the head runs no task, so that it can lose the other one."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        made = cluster_utils.Cluster(initialize_head=True, head_node_args=NODE)
        made.add_node(**NODE)
        yield made
        made.shutdown()


def start(place: Path, output: str, address: str, least: int = 0) -> subprocess.Popen[bytes]:
    """`corpus run` on the cluster; stages with less than `least` bytes of input run in the driver."""
    script = place / f"corpus_{least}.py"
    script.write_text(PROGRAM.format(least=least), encoding="utf-8")
    command = [
        sys.executable, str(script), "run", "recipe.yaml", "--input", "raw", "--output", output, "--workers", "2",
        "--memory", "500MB", "--executor", "ray", "--ray-address", address, "--quiet",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=place, env=environment, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> str:
    """What it says; empty if all went well."""
    _, said = process.communicate(timeout=600)
    return "" if process.returncode == 0 else said.decode() or f"ended with {process.returncode}"


def at_work(node: Any) -> list[psutil.Process]:
    """The worker processes of a node that are at a task."""
    (raylet,) = (entry.process.pid for entry in node.all_processes["raylet"])
    found = []
    for child in psutil.Process(raylet).children(recursive=True):
        try:
            if re.match(r"ray::[^:]+:\w", child.cmdline()[0]):  # stage:phase, and no agent of Ray's
                found.append(child)
        except (psutil.NoSuchProcess, IndexError):
            continue
    return found


def test_the_same_bytes_as_the_local_executor(place: Path, cluster: Any) -> None:
    assert finish(start(place, "two", cluster.address)) == ""
    assert contents(place / "two") == contents(place / "one")
    assert finish(start(place, "mixed", cluster.address, least=100_000)) == ""
    assert contents(place / "mixed") == contents(place / "one")


@pytest.mark.parametrize("what", ["worker", "node", "driver"])
def test_killed_at_random_points(place: Path, cluster: Any, what: str) -> None:
    rng = random.Random(what)
    kills = 0
    for round_number in range(12):
        process = start(place, what, cluster.address)
        if round_number < 8:
            kills += kill(rng, what, cluster, process)
        said = finish(process) if what != "driver" or process.poll() is None else "killed"
        if not said:
            break
        assert what == "driver" or "run the same command again" in said, said
    assert kills > 0
    assert contents(place / what) == contents(place / "one")
    assert all(verify_dataset(place / what / name).problems == [] for name in ("packed", "tokenizer"))


def kill(rng: random.Random, what: str, cluster: Any, process: subprocess.Popen[bytes]) -> int:
    """Kill workers, a node or the driver while the command runs; how often."""
    time.sleep(rng.uniform(3, 12))
    if what == "driver":
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return 1
    kills = 0
    for _ in range(3 if what == "worker" else 1):
        nodes = list(cluster.list_all_nodes()) if what == "worker" else list(cluster.worker_nodes)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if found := [worker for node in nodes for worker in at_work(node)]:
                if what == "node":
                    cluster.remove_node(nodes[0], allow_graceful=False)
                    cluster.add_node(**NODE)
                else:
                    rng.choice(found).kill()
                kills += 1
                break
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 2))
    return kills
