"""`corpus verify`, `inspect`, `status` and `clean` on damaged, unfinished and cleaned outputs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from corpus.cli import cli
from corpus.data.card import write_card
from corpus.data.manifest import Counts, Manifest
from corpus.data.verify import PLAN, find_datasets, verify_dataset
from corpus.engine import lock
from corpus.engine.runner import RunOptions, run_stage
from corpus.mixture.pack.stage import MixConfig, MixStage
from corpus.mixture.plan.weights import parse_mixture
from tests.corpus.mixture.mixing import write_tokens
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


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda p: _damage(p / "_dropped/00000.ids"), "_dropped/00000.ids is damaged (it has 1 bytes"),
        (lambda p: _damage(p / "_dropped/samples"), "_dropped/samples is damaged (it has 1 bytes"),
        (lambda p: _damage(p / "_quarantine/00000.records"), "_quarantine/00000.records is damaged (it has 1 bytes"),
        (lambda p: _flip(p / "_dropped/00000.ids"), "_dropped/00000.ids is damaged (its digests differ)"),
        (lambda p: _flip(p / "README.md"), "README.md is missing or was changed"),
        (lambda p: (p / "README.md").unlink(), "README.md is missing or was changed"),
        (lambda p: shutil.rmtree(p / "_dropped"), "_dropped/00000.ids is damaged (it is missing)"),
        (lambda p: _damage(p / "_dropped/more.ids"), "_dropped/more.ids is no part of this dataset"),
        (lambda p: (p / "_quarantine/00000.records").unlink(), "_quarantine/00000.records is damaged (it is missing)"),
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
    assert result.exit_code == 1 and f"{name} is damaged" in result.output
    (made / "_dropped/00000.ids").write_bytes(b"x")
    assert CliRunner().invoke(cli, ["inspect", str(made), "--id", "none"]).exit_code == 1


def test_deleted_drops_are_missed_though_another_unit_lost_nothing(make_documents: Callable[..., Path]) -> None:
    path = make_documents("made", ["one"])
    manifest = Manifest.load(path)
    dropped = {"duplicate": 2, "split: other side": 7}
    counts = {"documents": Counts(10, 1, 0, dropped), "lines": Counts(1, 1)}
    changed = replace(manifest, counts=counts, extra={"unlisted": ["split: other side"]})
    changed.save(path)
    write_card(path, "documents", "ingest", 1, changed.digest)
    assert verify_dataset(path).problems == ["_dropped lists 0 records, the manifest counts 2"]


def test_each_damaged_file_is_named_once(made: Path) -> None:
    names = ["00000.parquet", "_dropped/00000.ids", "_quarantine/00000.records"]
    for name in names:
        _flip(made / name)
    assert verify_dataset(made).problems == [f"{name} is damaged (its digests differ)" for name in names]


def test_pieces_are_the_row_groups(make_documents: Callable[..., Path]) -> None:
    path = make_documents("made", ["one", "two", "three"], piece_rows=2)
    manifest = Manifest.load(path)
    assert verify_dataset(path).problems == []
    for pieces, problem in (
        (((1, 2),), "00000.parquet has 2 row groups, the pieces of the manifest have others"),
        (((1, 1), (1, 2)), "00000.parquet has 2 rows in piece 0, not 1"),
    ):
        replace(manifest, shards=(replace(manifest.shards[0], pieces=pieces),)).save(path)
        write_card(path, "documents", "ingest", 3, Manifest.load(path).digest)
        assert verify_dataset(path).problems[0] == problem


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    return _pack(tmp_path, [write_tokens(tmp_path / "in/a", "alpha", [40, 30])])


def _pack(place: Path, inputs: list[Path]) -> Path:
    mixture = parse_mixture({"alpha": {"epochs": 1}}, "weights")
    stage = MixStage(tuple(map(str, inputs)), MixConfig(sequence_length=16), mixture)
    run_stage(stage, place / "packed", RunOptions(quiet=True))
    return place / "packed"


def test_a_damaged_list_of_documents_is_a_problem(packed: Path) -> None:
    assert verify_dataset(packed).problems == []
    _flip(packed / "_documents/00000.parquet")
    _flip(packed / "_documents/ids-00000.npy")
    names = ["_documents/00000.parquet", "_documents/ids-00000.npy"]
    assert verify_dataset(packed).problems == [f"{name} is damaged (its digests differ)" for name in names]


def test_documents_packed_twice_are_found(tmp_path: Path) -> None:
    inputs = [
        write_tokens(tmp_path / f"{part}/same", "alpha", [40, 30], first=first) for part, first in (("a", 3), ("b", 9))
    ]
    assert verify_dataset(_pack(tmp_path, inputs)).problems == ["2 ids occur more than once"]


def test_packed_rows_have_no_ids(packed: Path) -> None:
    result = CliRunner().invoke(cli, ["inspect", str(packed), "--id", "foo"])
    assert result.exit_code == 2 and "packed rows, which have no ids" in result.output


def test_a_terminal_without_the_characters_gets_their_codes(make_documents: Callable[..., Path]) -> None:
    path = make_documents("made", ["snow \u2603"])
    program = "from corpus.cli import main; main()"
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    command = [sys.executable, "-c", program, "inspect", str(path)]
    result = subprocess.run(command, capture_output=True, env=environment)
    assert result.returncode == 0 and b"snow \\u2603" in result.stdout


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The output of a finished run of two stages, of which the last is kept."""
    out = tmp_path / "place" / "out"
    for name in ("first", "last"):
        run_stage(SlowStage(label=name), out / name, RunOptions(quiet=True))
    (out / "_log").mkdir()
    (out / PLAN).write_text(json.dumps({"outputs": ["first", "last"], "kept": ["last"]}), encoding="utf-8")
    (out / "_log/run.json").write_text("{}", encoding="utf-8")
    return out


def _corpus(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def test_a_cleaned_run_is_done(run: Path) -> None:
    shown = _corpus("clean", run, "--dry-run")
    assert "would free" in shown.output and list((run / "first").glob("*.parquet"))
    size = sum(path.stat().st_size for path in (run / "first").glob("*.parquet"))
    assert json.loads(_corpus("clean", run, "--json").output)["bytes"] == size
    assert not list((run / "first").glob("*.parquet")) and list((run / "last").glob("*.parquet"))
    status = _corpus("status", run)
    assert "cleaned" in status.output and "a rerun would do nothing" in status.output
    checked = _corpus("verify", run)
    assert (
        checked.exit_code == 0 and "1 datasets are as their manifests say, and so is the trail of 1" in checked.output
    )
    assert "[]" in _corpus("clean", run, "--json").output
    _damage(run / "first/_dropped/samples")
    assert _corpus("verify", run).exit_code == 1
    shutil.rmtree(run / "last")
    assert "a rerun would do 1 of 2 stages, and of the 1 cleaned ones" in _corpus("status", run).output


@pytest.mark.parametrize("above", [False, True])
def test_a_lost_output_is_missed_and_an_unfinished_one_is_not(run: Path, above: bool) -> None:
    (run / "last/manifest.json").unlink()
    lost = _corpus("verify", run.parent if above else run)
    assert lost.exit_code == 1 and f"broken {run / 'last'}  the run had finished" in lost.output
    (run / "_log/run.json").unlink()
    unfinished = _corpus("verify", run.parent if above else run)
    assert unfinished.exit_code == 0 and f"unfinished {run / 'last'}" in unfinished.output
    assert "unfinished" not in _corpus("verify", "--quiet", run).output


def test_a_finished_run_that_lost_everything_is_broken(run: Path) -> None:
    shutil.rmtree(run / "first")
    shutil.rmtree(run / "last")
    assert _corpus("verify", run).exit_code == 1
    (run / "_log/run.json").unlink()
    assert _corpus("verify", run).exit_code == 2


def test_a_stray_manifest_does_not_hide_a_run(run: Path) -> None:
    shutil.copy(run / "last/manifest.json", run)
    assert find_datasets(run) == [run, run / "first", run / "last"]
    assert _corpus("verify", run).exit_code == 1


def test_a_damaged_plan_is_one_sentence(run: Path) -> None:
    (run / PLAN).write_text("{", encoding="utf-8")
    for command in ("verify", "status", "clean"):
        result = _corpus(command, run)
        assert result.exit_code == 1 and "plan.json is not readable" in result.output


def test_clean_waits_for_no_running_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "locked", partial(lock.locked, wait=0.1))
    with lock.locked(run, print):
        held = _corpus("clean", run)
    assert held.exit_code == 1 and "is being written by process" in held.output
    assert (run / "first").exists()


def test_clean_refuses_what_is_no_finished_run(run: Path, tmp_path: Path) -> None:
    (run / "_log/run.json").unlink()
    refused = _corpus("clean", run)
    assert refused.exit_code == 2 and "is not finished" in refused.output and (run / "first").exists()
    (tmp_path / "other").mkdir()
    assert _corpus("clean", tmp_path / "other").exit_code == 2
    assert list((tmp_path / "other").iterdir()) == []
