"""`corpus verify`, `inspect`, `status` and `clean` on damaged, unfinished and cleaned outputs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpus.cli import cli
from corpus.data.verify import verify_dataset
from corpus.stage.runner import RunOptions, run_stage
from tests.toy import SlowStage, ingest


@pytest.fixture
def made(tmp_path: Path) -> Path:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "a.txt").write_text("\n".join(f"line {i}" for i in range(50)), encoding="utf-8")
    run_stage(ingest(raw), tmp_path / "made", RunOptions(quiet=True))
    return tmp_path / "made"


def _damage(path: Path) -> None:
    path.write_bytes(b"x")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda p: _damage(p / "_dropped/00000.ids"), "_dropped/00000.ids was changed"),
        (lambda p: _damage(p / "_dropped/samples"), "_dropped/samples was changed"),
        (lambda p: _damage(p / "_quarantine/00000.records"), "_quarantine/00000.records was changed"),
        (lambda p: shutil.rmtree(p / "_dropped"), "_dropped lists 0 records, the manifest counts 5"),
        (lambda p: _damage(p / "_dropped/more.ids"), "_dropped/more.ids is no part of this dataset"),
        (lambda p: (p / "_quarantine/00000.records").unlink(), "_quarantine/00000.records is missing"),
    ],
)
def test_tampered_side_files_are_found(made: Path, harm: Callable[[Path], None], words: str) -> None:
    assert verify_dataset(made).problems == []
    harm(made)
    assert any(problem.startswith(words) for problem in verify_dataset(made).problems)


@pytest.mark.parametrize(
    ("option", "name"), [("--dropped", "_dropped/samples"), ("--quarantined", "_quarantine/00000.records")]
)
def test_inspecting_damaged_files_is_one_sentence(made: Path, option: str, name: str) -> None:
    _damage(made / name)
    result = CliRunner().invoke(cli, ["inspect", str(made), option])
    assert result.exit_code == 1 and f"{name} cannot be read" in result.output
    (made / "_dropped/00000.ids").write_bytes(b"x")
    assert CliRunner().invoke(cli, ["inspect", str(made), "--id", "none"]).exit_code == 1


def test_a_cleaned_run_is_done_and_a_lost_output_is_not(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("first", "last"):
        run_stage(SlowStage(), out / name, RunOptions(quiet=True))
    (out / "_log").mkdir()
    (out / "_log/plan.json").write_text(json.dumps({"outputs": ["first", "last"], "kept": ["last"]}), encoding="utf-8")
    runner = CliRunner()
    shown = runner.invoke(cli, ["clean", str(out), "--dry-run"])
    assert "would remove" in shown.output and (out / "first").exists()
    assert runner.invoke(cli, ["clean", str(out)]).exit_code == 0
    assert not (out / "first").exists() and (out / "last").exists()
    (out / "_log/run.json").write_text("{}", encoding="utf-8")
    status = runner.invoke(cli, ["status", str(out)])
    assert "cleaned" in status.output and "a rerun would do nothing" in status.output
    assert runner.invoke(cli, ["verify", str(out)]).exit_code == 0
    shutil.rmtree(out / "last")
    (out / "else").mkdir()
    run_stage(SlowStage(label="b"), out / "else", RunOptions(quiet=True))
    lost = runner.invoke(cli, ["verify", str(out)])
    assert lost.exit_code == 1 and "last  the run had finished" in lost.output
    assert runner.invoke(cli, ["clean", str(out)]).exit_code == 2
