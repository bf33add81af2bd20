"""The commands: fast help, errors of one sentence, exit codes, the looking commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from corpus.cli import COMMANDS, cli
from corpus.cli_options import Quantity
from corpus.engine.runner import RunOptions, run_stage
from tests.toy import SlowStage

HEAVY = {"pyarrow", "numba", "pydantic", "torch", "datasets", "datatrove", "numpy"}


@pytest.mark.parametrize("command", ["corpus", "trainer"])
def test_help_imports_nothing_heavy(command: str) -> None:
    program = (
        f"import sys; sys.argv = ['{command}', '--help']\nfrom {command}.cli import main\n"
        "try:\n main()\nexcept SystemExit as stop:\n assert not stop.code, stop.code\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_short_help_is_that_of_the_command() -> None:
    for name, (_, doc) in COMMANDS.items():
        result = CliRunner().invoke(cli, [name, "--help"])
        assert result.exit_code == 0, result.output
        assert len(doc) < 60, name


def _run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from corpus.cli import main; main()", *args], capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["ingset"], 2, "did you mean 'ingest'?"),
        (["ingest", "wikipedja", "x", "-o", "y"], 2, "did you mean 'wikipedia'?"),
        (["ingest", "jsonl", "nowhere.jsonl", "-o", "OUT"], 2, "nowhere.jsonl does not exist"),
        (["ingest", "jsonl", "EMPTY", "-o", "OUT"], 2, "no file below"),
        (["verify", "EMPTY"], 2, "holds no finished dataset"),
        (["run", "lama", "--input", "EMPTY", "-o", "OUT"], 2, "did you mean 'llama'?"),
        (["run", "llama", "--input", "EMPTY", "-o", "OUT"], 2, "has input for no domain"),
        (["ingest", "jsonl", "FILE", "-o", "FILE"], 2, "is a file"),
    ],
)
def test_errors_are_one_sentence(tmp_path: Path, args: list[str], code: int, words: str) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")
    places = {"EMPTY": str(empty), "OUT": str(tmp_path / "out"), "FILE": str(tmp_path / "a.jsonl")}
    result = _run(*[places.get(arg, arg) for arg in args])
    assert result.returncode == code, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_keeps_what_is_done(tmp_path: Path, signum: int, code: int) -> None:
    program = (
        "from corpus import cli\nfrom corpus.engine.runner import RunOptions, run_stage\nfrom tests.toy import SlowStage\n"
        "cli.cli.main = lambda **_: run_stage(SlowStage(seconds=0.4), OUT, RunOptions(workers=2, always_pool=True))\n"
        "if __name__ == '__main__':\n cli.main()\n"
    )
    script = tmp_path / "slow.py"
    script.write_text(program.replace("OUT", repr(str(tmp_path / "out"))), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not list((tmp_path / "out").glob("_work/*/square/0*/result.json")):
        time.sleep(0.02)
    process.send_signal(signum)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == code, errors
    assert "run the same command again to go on" in errors and "Traceback" not in errors
    assert list((tmp_path / "out").glob("_work/*/square/0*/result.json"))
    assert run_stage(SlowStage(), tmp_path / "out", RunOptions(quiet=True)).rows == 8


def _json(command: str, *args: str | Path) -> dict[str, Any]:
    result = CliRunner().invoke(cli, [command, *map(str, args), "--json"])
    assert result.exit_code == 0, result.output
    value: dict[str, Any] = json.loads(result.stdout)
    return value


def test_looking_at_a_dataset(tmp_path: Path, make_documents: Callable[..., Path]) -> None:
    out = tmp_path / "out"
    run_stage(SlowStage(), out, RunOptions(quiet=True))
    runner = CliRunner()
    shown = runner.invoke(cli, ["inspect", str(out), "-n", "2"])
    assert shown.exit_code == 0 and "toy/0#0" in shown.output and "12 in, 8 kept" in shown.output
    one = runner.invoke(cli, ["inspect", str(out), "--id", "toy/3#1"])
    assert "a 3 1 14" in one.output
    dropped = runner.invoke(cli, ["inspect", str(out), "--dropped"])
    assert "dropped: odd" in dropped.output and "text 0" in dropped.output
    why = runner.invoke(cli, ["inspect", str(out), "--id", "toy/3#2"])
    assert why.exit_code == 1 and "was dropped by stage slow: odd" in why.output
    nothing = runner.invoke(cli, ["inspect", str(out), "--id", "toy/9#9"])
    assert nothing.exit_code == 2
    assert runner.invoke(cli, ["verify", str(tmp_path)]).exit_code == 0
    assert runner.invoke(cli, ["verify", "--quiet", str(tmp_path)]).output == ""
    assert _json("verify", tmp_path)["datasets"][0]["state"] == "ok"
    seen = _json("inspect", out, "-n", "2")
    assert len(seen["documents"]) == 2 and seen["counts"]["documents"]["seen"] == 12
    assert _json("inspect", out, "--id", "toy/3#1")["documents"][0]["id"] == "toy/3#1"
    assert _json("inspect", out, "--dropped")["dropped"][0]["reason"] == "odd"
    assert _json("inspect", out, "--quarantined")["quarantined"] == []
    assert _json("status", out)["stages"][0]["state"] == "done"
    (out / "00000.parquet").write_bytes(b"")
    assert runner.invoke(cli, ["verify", str(tmp_path)]).exit_code == 1
    broken = runner.invoke(cli, ["verify", "--json", str(tmp_path)])
    assert broken.exit_code == 1 and json.loads(broken.stdout)["broken"] == 1
    assert "all done" in runner.invoke(cli, ["status", str(out)]).output


@pytest.mark.parametrize(
    ("text", "value"),
    [("300", 300), ("256MB", 256_000_000), ("4GiB", 4 << 30), ("1.4T", 1_400_000_000_000), ("2k", 2000)],
)
def test_quantities(text: str, value: int) -> None:
    assert Quantity("bytes").convert(text, None, None) == value


def test_stages_as_json(tmp_path: Path, make_documents: Callable[..., Path]) -> None:
    """One object on standard output, whatever is said besides."""
    documents = make_documents("docs", ["one text", "another text", "one text"])
    dedup = _json("dedup", documents, "--level", "document", "-o", tmp_path / "dedup")
    assert (dedup["stage"], dedup["kind"], dedup["rows"]) == ("dedup", "documents", 2)
    assert dedup["counts"]["documents"]["dropped"] == {"duplicate document": 1} and dedup["bytes"] > 0
    assert _json("dedup", documents, "--level", "document", "-o", tmp_path / "dedup") == dedup, "found done"
    sides = _json("split", documents, "--validation", "50%", "-o", tmp_path / "split")
    assert {entry["side"] for entry in sides["outputs"]} == {"train", "validation"} and sides["choice"]["stage"]
    assert sum(entry["rows"] for entry in sides["outputs"]) == 3
    assert {"jsonl", "c4"} <= {entry["name"] for entry in _json("plugins")["readers"]}
