"""The chain of jobs of `corpus run` on a stand-in for Slurm, whose controllers are run here one by one."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import corpus
from corpus.cli import cli
from corpus.engine.executors.slurm import programs
from corpus.engine.executors.slurm.executor import HandedOver
from corpus.engine.executors.slurm.options import SlurmOptions
from corpus.engine.runner import RunOptions
from corpus.errors import DataError, LostError, UsageError
from pipelines.recipes import slurm_chain
from pipelines.recipes.recipe import load_recipe
from pipelines.recipes.slurm_chain import Chain, cancel_run, go_on, queue_of, refuse_second, start_chain
from pipelines.recipes.steps import RecipeRun
from tests.corpus.engine import fake_slurm
from tests.raw import RECIPE, write_raw

OPTIONS = RunOptions(
    workers=4, memory=2_000_000_000, executor="slurm", executor_options=SlurmOptions("work", "10:00", "--account=lab")
)
ARGUMENTS = ["run", "--input", "raw", "--output", "out", "--", "recipe.yaml"]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the stand-in, in which jobs of controllers wait for ever."""
    folder = tmp_path / "slurm"
    for name, value in fake_slurm.install(folder).items():
        monkeypatch.setenv(name, value)
    (folder / "hold").touch()
    before = signal.getsignal(signal.SIGTERM)
    yield folder
    signal.signal(signal.SIGTERM, before)
    fake_slurm.kill_all(folder)


@pytest.fixture
def run(tmp_path: Path) -> RecipeRun:
    write_raw(tmp_path / "raw", documents=2, files=1)
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return RecipeRun(load_recipe(str(tmp_path / "recipe.yaml")), tmp_path / "raw", tmp_path / "out")


def test_a_chain_begins_and_is_seen_and_is_cancelled(slurm: Path, run: RecipeRun, tmp_path: Path) -> None:
    said = start_chain(run, OPTIONS, ARGUMENTS)
    assert "job 1 begins the run" in said and f"corpus cancel {run.output}" in said
    chain = Chain.load(run.output)
    assert chain is not None and (chain.number, chain.job, chain.error) == (0, "1", "")
    about = json.loads((slurm / "1" / "about.json").read_text())
    script = Path(about["script"]).read_text()
    assert script.splitlines()[-1].endswith(f"-P -m corpus run --slurm-chain {chain.name} {' '.join(ARGUMENTS[1:])}")
    assert {"--requeue", "--mem=1431M", "--time=10:00", "--account=lab"} <= set(about["arguments"])
    with pytest.raises(UsageError, match=r"being made by Slurm jobs \(controller 1\).* corpus cancel"):
        start_chain(run, OPTIONS, ARGUMENTS)
    with pytest.raises(UsageError, match="being made by Slurm jobs"):
        refuse_second(run.output)
    with pytest.raises(UsageError, match="being made by Slurm jobs"):
        corpus.run(tmp_path / "recipe.yaml", run.raw, run.output, workers=1, quiet=True)
    assert queue_of(run.output) == ["job 1: controller, pending"]
    shown = CliRunner().invoke(cli, ["status", str(run.output)])
    assert shown.exit_code == 0 and "job 1: controller, pending" in shown.output
    programs.cancel(["1"])
    assert "job 1 of the chain has ended before the run was finished" in queue_of(run.output)[0]
    assert "job 2 begins the run" in start_chain(run, OPTIONS, ARGUMENTS)
    assert cancel_run(run.output) == 1
    assert queue_of(run.output) == [] and cancel_run(run.output) == 0
    assert not go_on(run, OPTIONS, chain.name, [ARGUMENTS[0], "--slurm-chain", chain.name, *ARGUMENTS[1:]])
    assert len(fake_slurm.jobs(slurm)) == 2


def test_a_controller_hands_over_to_the_next(
    slurm: Path, run: RecipeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start_chain(run, OPTIONS, ARGUMENTS)
    chain = Chain.load(run.output)
    assert chain is not None

    def waits(*_: object) -> None:
        raise HandedOver(["7", "8"])

    monkeypatch.setattr(slurm_chain, "run_recipe", waits)
    assert not go_on(run, OPTIONS, chain.name, [ARGUMENTS[0], "--slurm-chain", chain.name, *ARGUMENTS[1:]])
    following = Chain.load(run.output)
    assert following == Chain(chain.id, 1, "2")
    about = json.loads((slurm / "2" / "about.json").read_text())
    assert "--dependency=afterany:7:8" in about["arguments"]
    assert Path(about["script"]).read_text().count("--slurm-chain") == 1
    # Slurm begins the first one again, whose node has failed after all
    assert not go_on(run, OPTIONS, chain.name, [ARGUMENTS[0], "--slurm-chain", chain.name, *ARGUMENTS[1:]])
    assert len(fake_slurm.jobs(slurm)) == 2
    assert "another controller has taken over" in capsys.readouterr().err


def test_an_error_ends_the_chain_and_is_told(slurm: Path, run: RecipeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    start_chain(run, OPTIONS, ARGUMENTS)
    chain = Chain.load(run.output)
    assert chain is not None

    def fails(*_: object) -> None:
        raise DataError("books is empty: give some.")

    monkeypatch.setattr(slurm_chain, "run_recipe", fails)
    with pytest.raises(DataError):
        go_on(run, OPTIONS, chain.name, [ARGUMENTS[0], "--slurm-chain", chain.name, *ARGUMENTS[1:]])
    programs.cancel(["1"])  # it is this process, and has ended
    assert queue_of(run.output) == ["the chain of jobs ended with an error: books is empty: give some."]
    assert "job 2 begins the run" in start_chain(run, OPTIONS, ARGUMENTS)


def test_a_successor_that_is_refused_is_told(slurm: Path, run: RecipeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    start_chain(run, OPTIONS, ARGUMENTS)
    chain = Chain.load(run.output)
    assert chain is not None

    def waits(*_: object) -> None:
        raise HandedOver(["7"])

    monkeypatch.setattr(slurm_chain, "run_recipe", waits)
    (slurm / "fates.json").write_text(json.dumps({"sbatch": ["Job violates accounting/QOS policy"]}))
    with pytest.raises(UsageError, match="QOS policy"):
        go_on(run, OPTIONS, chain.name, [ARGUMENTS[0], "--slurm-chain", chain.name, *ARGUMENTS[1:]])
    programs.cancel(["1"])
    assert "ended with an error: Slurm refuses a job: sbatch: error: Job violates" in queue_of(run.output)[0]


def test_jobs_end_though_a_controller_does_not(slurm: Path, run: RecipeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    start_chain(run, OPTIONS, ARGUMENTS)
    (run.output / "job.sh").write_text("#!/bin/bash\nexec sleep 60\n")
    given = ["--job-name=x", "--partition=work", "--array=0-0", f"--output={run.output / 'log'}"]
    job = programs.submit(run.output / "job.sh", given)
    while fake_slurm.jobs(slurm)[f"{job} x"] != {"0": "RUNNING"}:
        time.sleep(0.02)
    (slurm / "stuck").touch()
    monkeypatch.setattr(slurm_chain, "_CANCELS", 4)
    with pytest.raises(LostError, match=r"has not ended all jobs .* 1 \(completing\).* corpus cancel again"):
        cancel_run(run.output)
    assert fake_slurm.jobs(slurm) == {"1 out.controller": {"0": "COMPLETING"}, "2 x": {"0": "CANCELLED"}}


def test_a_finished_run_is_not_said_to_be_run(slurm: Path, run: RecipeRun) -> None:
    start_chain(run, OPTIONS, ARGUMENTS)
    (slurm / "silent").touch()
    assert "it is run by Slurm jobs" in queue_of(run.output)[0]
    (run.output / "_log" / "run.json").touch()
    (slurm / "silent").touch()
    assert queue_of(run.output) == []


@pytest.mark.parametrize("more", [[], ["--drive"], ["--dry-run"]])
def test_what_is_wrong_for_one_stage_is_said_before_all_else(slurm: Path, run: RecipeRun, more: list[str]) -> None:
    file = run.output.parent / "cluster.yaml"
    file.write_text(
        "{executor: slurm, slurm: {partition: work, time: 1:00}, stages: {books/dedup: {slurm: {time: 2-00:00:00}}}}"
    )
    recipe = str(run.output.parent / "recipe.yaml")
    command = ["run", recipe, "--input", str(run.raw), "--output", str(run.output), "--execution", str(file), *more]
    said = CliRunner().invoke(cli, command)
    assert said.exit_code == 2, said.output
    words = " ".join(said.output.split())
    assert "for books/dedup the execution file" in words and "--slurm-time 2-00:00:00 is more than" in words
    assert fake_slurm.jobs(slurm) == {} and not run.output.exists()


def test_a_job_that_is_refused_leaves_nothing(slurm: Path, run: RecipeRun) -> None:
    (slurm / "fates.json").write_text(json.dumps({"sbatch": ["Invalid account or account/partition combination"]}))
    with pytest.raises(UsageError, match="Invalid account"):
        start_chain(run, OPTIONS, ARGUMENTS)
    assert not run.output.exists()
