"""Execution files: what they say holds, the command line goes first, and nothing of it is in a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import corpus
from corpus.cli import cli
from corpus.decontaminate.across import DecontaminationVerdictStage
from corpus.dedup.keeping import KeepKeysStage
from corpus.dedup.verdict import DedupVerdictStage
from corpus.engine import runner
from corpus.engine.execution import Execution, load_execution
from corpus.engine.executors.ray import RayOptions
from corpus.engine.executors.slurm.options import SlurmOptions
from corpus.engine.runner import RunOptions
from corpus.engine.stage import Stage
from corpus.errors import UsageError
from corpus.ingest.stage import IngestStage
from corpus.mixture.pack.stage import MixStage
from corpus.system import cores
from pipelines.recipes.registry import stage_names

FILE = """
executor: slurm
workers: 100
memory: 200GB
memory_per_task: 3GB
slurm: {partition: cpu, time: 12:00:00}
ray: {address: "head:6379", autoscaling: true}
stages:
  dedup: {workers: 10, memory_per_task: 16GB, slurm: {time: 2-00:00:00}}
  commoncrawl/filter:
    cpus_per_task: 2
    slurm: {partition: long}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def options(tmp_path: Path, executor: str = "", given: Any = None, own: Any = None) -> RunOptions:
    execution = load_execution(written(tmp_path, FILE))
    execution.check_stages(stage_names())
    return RunOptions(**execution.resolve(executor, given or {}, own or {}))


def test_what_a_stage_is_given(tmp_path: Path) -> None:
    whole = options(tmp_path)
    assert (whole.executor, whole.workers, whole.memory, whole.cpus_per_task) == ("slurm", 100, 200 * 10**9, 1)
    assert whole.executor_options == SlurmOptions("cpu", "12:00:00")
    dedup = whole.of_stage("dedup", "commoncrawl")
    assert (dedup.workers, dedup.memory, dedup.memory_per_task) == (10, 200 * 10**9, 16 * 10**9)
    assert dedup.executor_options == SlurmOptions("cpu", "2-00:00:00") and not dedup.stages
    for name, domain, cpus, partition in (
        ("filter", "commoncrawl", 2, "long"),
        ("langid+filter", "commoncrawl", 2, "long"),
        ("filter", "books", 1, "cpu"),
        ("filter", "", 1, "cpu"),
    ):
        stage = whole.of_stage(name, domain)
        assert (stage.cpus_per_task, stage.executor_options.partition) == (cpus, partition), (name, domain)


@pytest.mark.parametrize(
    ("stages", "domain"),
    [
        ("langid: {workers: 200, slurm: {time: 12:00:00}}, filter: {cpus_per_task: 2}", ""),
        ("langid: {workers: 200, slurm: {time: 12:00:00}}, commoncrawl/filter: {cpus_per_task: 2}", "commoncrawl"),
        (
            "filter: {cpus_per_task: 2, workers: 7}, commoncrawl/filter: {workers: 200, slurm: {time: 12:00:00}}",
            "commoncrawl",
        ),
    ],
)
def test_of_two_keys_each_holds(tmp_path: Path, stages: str, domain: str) -> None:
    text = f"workers: 1000\nexecutor: slurm\nslurm: {{partition: cpu, time: 4:00:00}}\nstages: {{{stages}}}"
    whole = RunOptions(**load_execution(written(tmp_path, text)).resolve("", {}, {}))
    stage = whole.of_stage("langid+filter", domain)
    assert (stage.workers, stage.cpus_per_task) == (200, 2)
    assert stage.executor_options == SlurmOptions("cpu", "12:00:00")
    assert stage.of_stage("filter", domain) == stage


def test_memory_goes_before_what_is_farther_off_reserved_for_a_task(tmp_path: Path) -> None:
    text = "executor: slurm\nmemory: 1TB\nmemory_per_task: 3GB\nstages: {mix: {memory: 8TB}, dedup: {memory_per_task: 9GB}}"
    execution = load_execution(written(tmp_path, text))

    def found(given: dict[str, int]) -> list[tuple[int, int | None]]:
        made = RunOptions(**execution.resolve("", given, {}))
        return [(of.memory, of.memory_per_task) for of in (made, *map(made.of_stage, ("mix", "dedup", "ingest")))]

    tb, gb = 10**12, 10**9
    assert found({}) == [(tb, 3 * gb), (8 * tb, None), (tb, 9 * gb), (tb, 3 * gb)]
    assert found({"memory": 5 * tb}) == [(5 * tb, None)] * 4
    assert found({"memory": 5 * tb, "memory_per_task": gb}) == [(5 * tb, gb)] * 4
    assert found({"workers": 2}) == found({})


def test_the_command_line_goes_first(tmp_path: Path) -> None:
    ray = options(tmp_path, "ray", {"workers": 4}, {"address": "here:1"})
    assert ray.executor_options == RayOptions("here:1", autoscaling=True)
    assert (ray.workers, ray.of_stage("dedup").workers, ray.of_stage("dedup").memory_per_task) == (4, 4, 16 * 10**9)
    local = options(tmp_path, "local")  # has nothing to reserve from
    assert local.memory_per_task is None and local.of_stage("filter", "commoncrawl").cpus_per_task == 1
    assert Execution().resolve("", {}, {})["executor"] == "local"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("worker: 3", r"cluster.yaml: unknown key 'worker'; did you mean 'workers'\?"),
        ("time: 4:00:00", r"unknown key 'time'; did you mean 'slurm.time'\?"),
        ("stages: {dedup: {cpu_per_task: 2}}", r"dedup: unknown key 'cpu_per_task'; did you mean 'cpus_per_task'\?"),
        ("stages: {dedup: {executor: ray}}", r"cluster.yaml: dedup: unknown key 'executor'"),
        ("stages: {dedupe: {workers: 2}}", r"names 'dedupe', and there is no stage 'dedupe'; did you mean 'dedup'\?"),
        ("stages: {books/ingset: {workers: 2}}", r"there is no stage 'ingset'; did you mean 'ingest'\?"),
        ("slurm: {partiton: cpu}", r"cluster.yaml: slurm: unknown key 'partiton'; did you mean 'partition'\?"),
        ("stages: {mix: {ray: {adress: a}}}", r"mix: ray: unknown key 'adress'; did you mean 'address'\?"),
        ("executor: sulrm", r"there is no executor 'sulrm': did you mean 'slurm'\?"),
        ("workers: 0", "workers is 0: give at least 1"),
        ("memory: much", "'much' is not a whole number"),
        ("stages: {mix: 3}", r"cluster.yaml: mix is '3': give a table"),
        ("[1]", r"cluster.yaml is \['1'\]: give a table"),
        ("a: b: c", r"is no YAML \("),
        ("workers: 3\nmemory: 1GB\nworkers: 4", r"is no YAML \(workers is given twice, in lines 1 and 3\): mend it"),
        ("stages:\n  mix: {workers: 1}\n  dedup: {}\n  mix: {memory: 1GB}", "mix is given twice, in lines 2 and 4"),
        (
            "stages: {mix: {ray: {address: other:1}}}",
            "mix: ray: address is one for the whole run: give it outside of stages",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load_execution(written(tmp_path, text)).check_stages(stage_names())


@pytest.mark.parametrize(
    "stage", [KeepKeysStage, DedupVerdictStage, DecontaminationVerdictStage, IngestStage, MixStage]
)
def test_stages_that_no_recipe_names_can_be_named(tmp_path: Path, stage: type[Stage]) -> None:
    load_execution(written(tmp_path, f"stages: {{{stage.name}: {{workers: 2}}}}")).check_stages(stage_names())


def test_a_missing_file_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.yaml cannot be read"):
        load_execution(tmp_path / "nowhere.yaml")
    assert load_execution(written(tmp_path, "")).resolve("", {}, {})["executor"] == "local"


def test_a_command_and_the_api_run_as_the_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[RunOptions] = []
    settings = runner.executor_settings
    monkeypatch.setattr(runner, "executor_settings", lambda options: [seen.append(options), settings(options)][1])
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")
    file = written(tmp_path, "workers: 3\nmemory: 1GB\nray: {address: head:1}\nstages: {ingest: {memory: 2GB}}")
    args = ["ingest", "jsonl", str(tmp_path / "a.jsonl"), "--domain", "toy", "--quiet", "--execution", str(file)]
    for name, more in (("a", []), ("b", ["--memory", "5GB", "--workers", str(cores())])):
        done = CliRunner().invoke(cli, [*args, "-o", str(tmp_path / name), *more], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    manifests = [(tmp_path / name / "manifest.json").read_bytes() for name in "ab"]
    assert manifests[0] == manifests[1] and b"workers" not in manifests[0]
    corpus.run_stage(corpus.MapStage((str(tmp_path / "a"),), "filter"), tmp_path / "c", execution=file, quiet=True)
    found = {(options.workers, options.memory) for options in seen}
    assert found == {(3, 2 * 10**9), (cores(), 5 * 10**9), (3, 10**9)}
