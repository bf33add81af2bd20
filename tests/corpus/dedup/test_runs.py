"""Runs of line dedup: same bytes for workers, memory and kills; its report and alarm; and the pitfalls of others."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from corpus.cli import cli
from corpus.data.verify import verify_dataset
from corpus.dedup.config import DedupConfig
from corpus.dedup.lines import runs
from corpus.dedup.report import summary
from corpus.engine.runner import RunOptions
from corpus.errors import DataError, UsageError
from tests.corpus.dedup.lines_twin import ccnet_normalized, twin_dedup
from tests.corpus.dedup.test_lines import contents, made_texts, rows_of, run

Make = Callable[..., Path]
VARIANTS = [{"keep": "first", "scope": "shards:3", "key_bits": 128}, {"preset": "ccnet", "scope": "40%"}]


@pytest.mark.parametrize("settings", [{}, *(pytest.param(each, marks=pytest.mark.slow) for each in VARIANTS)])
def test_workers_change_no_byte(make_documents: Make, tmp_path: Path, settings: dict[str, Any]) -> None:
    source = make_documents("in", made_texts(), shard_rows=6)
    run([source], tmp_path / "one", **settings)
    for workers in (2, 3):
        options = RunOptions(workers=workers, quiet=True, always_pool=True)
        run([source], tmp_path / str(workers), options, **settings)
        assert contents(tmp_path / str(workers)) == contents(tmp_path / "one")


@pytest.mark.parametrize("settings", [{}, *VARIANTS])
def test_memory_changes_no_byte(
    make_documents: Make, tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_documents("in", made_texts(), shard_rows=6)
    run([source], tmp_path / "one", **settings)
    monkeypatch.setattr(runs, "_LEAST_KEYS", 4)
    for memory in (1, 100, 1000, 10_000):
        run([source], tmp_path / f"m{memory}", RunOptions(memory=memory, quiet=True), **settings)
        assert contents(tmp_path / f"m{memory}") == contents(tmp_path / "one")


_KILLED = """
import os, signal, sys
from corpus.dedup.config import DedupConfig
from corpus.dedup.lines.stage import LineDedupStage
from corpus.data.manifest import Manifest
from corpus.engine.runner import RunOptions, run_stage

source, output, phase, place = sys.argv[1:]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if phase == "commit":
    LineDedupStage.finish = die
elif phase == "manifest":
    Manifest.save = die
else:
    before = LineDedupStage.run
    def run(self, name, index, task):
        if (name, index) == (phase, 0 if name == "repeats" else 2):
            if place == "after":
                before(self, name, index, task)
            else:
                (task.directory / "keys").write_bytes(b"half")
            die()
        before(self, name, index, task)
    LineDedupStage.run = run
run_stage(LineDedupStage((source,), DedupConfig()), output, RunOptions(quiet=True))
"""


@pytest.mark.parametrize(
    ("phase", "place"),
    [
        ("hash", "before"),
        ("repeats", "after"),
        ("rewrite", "after"),
        ("manifest", ""),
        pytest.param("hash", "after", marks=pytest.mark.slow),
        pytest.param("repeats", "before", marks=pytest.mark.slow),
        pytest.param("rewrite", "before", marks=pytest.mark.slow),
        pytest.param("commit", "", marks=pytest.mark.slow),
    ],
)
def test_killed_in_each_phase_and_run_again(make_documents: Make, tmp_path: Path, phase: str, place: str) -> None:
    source = make_documents("in", made_texts(), shard_rows=6)
    run([source], tmp_path / "whole", max_drop=0.9)
    command = [sys.executable, "-c", _KILLED, str(source), str(tmp_path / "out"), phase, place]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "out" / "manifest.json").exists()
    run([source], tmp_path / "out", max_drop=0.9)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert verify_dataset(tmp_path / "out").problems == []


def test_the_report(make_documents: Make, tmp_path: Path) -> None:
    texts = [f"Page {n % 3}\nunique {'x' * n}\nAccept cookies\n" for n in range(9)] + [
        "unique xx\na\n\na\nb b",
        "  \n\n",
    ]
    texts[4] += "Page 7\nPage 8\n"
    source = make_documents("in", texts, shard_rows=4)
    manifest = run([source], tmp_path / "out")
    report = json.loads((tmp_path / "out" / "_report.json").read_text(encoding="utf-8"))
    assert report["lines"] == [
        {"line": "Accept cookies", "documents": 9},
        {"line": "Page 0", "documents": 9},
        {"line": "unique xx", "documents": 2},
    ]
    kept = sum(len(row["text"].encode()) for row in rows_of(tmp_path / "out"))
    assert report["bytes"] == {
        "in": sum(map(len, texts)),
        "kept": kept,
        "removed": sum(map(len, texts)) - kept,
    }
    assert sum(entry["bytes"] for entry in report["removed"].values()) == report["bytes"]["removed"]
    removed = {reason: entry["lines"] for reason, entry in report["removed"].items()}
    assert removed == {"in other documents": 20, "before in the same document": 3, "blank": 12}
    assert report["counts"]["lines"]["dropped"] == {"duplicate": 23, "blank": 12}
    lines = sum(text.count("\n") + 1 for text in texts)
    assert report["keys"]["bits"] == 64 and report["keys"]["lines"] == lines
    assert math.isclose(report["keys"]["expected_false_merges"], lines**2 / 2**65, rel_tol=0.01)
    assert [file.name for file in manifest.files if file.name == "_report.json"]
    printed = "\n".join(summary(tmp_path / "out"))
    assert "Accept cookies" in printed and "false merges" in printed


@pytest.mark.parametrize("settings", [{}, {"keep": "first"}, {"scope": "document"}, {"preset": "ccnet"}])
def test_removed_bytes_add_up(make_documents: Make, tmp_path: Path, settings: dict[str, Any]) -> None:
    run([make_documents("in", made_texts(), shard_rows=9)], tmp_path / "out", **settings)
    report = json.loads((tmp_path / "out" / "_report.json").read_text(encoding="utf-8"))
    assert sum(entry["bytes"] for entry in report["removed"].values()) == report["bytes"]["removed"]
    counted = report["counts"]["lines"]["dropped"]
    assert sum(entry["lines"] for entry in report["removed"].values()) == sum(counted.values())


def test_fifty_lines_are_named_the_same_for_any_cut(make_documents: Make, tmp_path: Path) -> None:
    pool = [" ".join("abcdefghij"[int(d)] for d in str(n)) for n in range(90)]
    texts = ["\n".join(pool[: 1 + number % 90]) + f"\nthe end of {'q' * number}" for number in range(200)]
    reports = []
    for rows in (200, 7):
        run([make_documents(f"in{rows}", texts, shard_rows=rows)], tmp_path / f"o{rows}")
        reports.append(json.loads((tmp_path / f"o{rows}" / "_report.json").read_text(encoding="utf-8"))["lines"])
    assert reports[0] == reports[1] and len(reports[0]) == 50
    assert [entry["line"] for entry in reports[0][:3]] == pool[:3]


def test_the_alarm_keeps_the_work(make_documents: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_documents("in", ["same line here"] * 20 + ["x"])
    with pytest.raises(
        DataError,
        match=r"(?s)removed 99\.64% of the text .*20 duplicate lines, such as .*: same line here.*--max-drop 100% ",
    ):
        run([source], tmp_path / "out", max_drop=0.9)
    assert not (tmp_path / "out" / "manifest.json").exists()
    monkeypatch.setattr("corpus.dedup.lines.stage.LineDedupStage.run", None)  # nothing is computed again
    run([source], tmp_path / "out", max_drop=1.0)
    assert [row["text"] for row in rows_of(tmp_path / "out")] == ["x"]


def test_presets_and_what_is_given_beside_them(make_documents: Make, tmp_path: Path) -> None:
    plain = DedupConfig().resolved
    assert (plain.normalize, plain.keep, plain.scope, plain.blank_lines) == ("ccnet", "none", "all", "collapse")
    preset = DedupConfig(preset="ccnet").resolved
    assert (preset.normalize, preset.keep, preset.scope, preset.blank_lines) == ("ccnet", "none", "3%", "key")
    assert DedupConfig(preset="ccnet", scope="all").resolved.scope == "all"
    assert DedupConfig(preset="ccnet", keep="first").resolved.blank_lines == "key"
    spelled = DedupConfig(normalize="ccnet", keep="none", scope="3%", blank_lines="key")
    assert spelled.as_json() == DedupConfig(preset="ccnet").as_json()
    with pytest.raises(UsageError):
        DedupConfig(preset="fineweb")
    source = make_documents("in", ["a\n\nb", "c\n\nd"])
    run([source], tmp_path / "out", preset="ccnet")
    assert [row["text"] for row in rows_of(tmp_path / "out")] == ["a\nb", "c\nd"]


def test_the_command_prints_the_report(make_documents: Make, tmp_path: Path) -> None:
    source = make_documents("in", ["one\nshared line", "two\nshared line"])
    arguments = ["dedup", str(source), "--output", str(tmp_path / "out"), "--normalize", "folded", "--key-bits", "128"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert "keys: 128 bits; among 4 lines" in result.output and "shared line" in result.output
    assert [row["text"] for row in rows_of(tmp_path / "out")] == ["one", "two"]


def test_folded_lines(make_documents: Make, tmp_path: Path) -> None:
    """Pitfall: composed and decomposed accents, no-break and zero-width spaces are other keys to CCNet."""
    lines = ["Très bien, merci", unicodedata.normalize("NFD", "très bien merci"), "TRÈS\xa0bien  mer\u200bci!"]
    texts = [f"{line}\nown {'x' * number}\n* * *\nmore {'y' * number}" for number, line in enumerate(lines)]
    source = make_documents("in", texts)
    run([source], tmp_path / "folded", normalize="folded")
    own = [f"own {'x' * n}\n* * *\nmore {'y' * n}" for n in range(3)]
    assert [row["text"] for row in rows_of(tmp_path / "folded")] == own, (
        "a line that folds to nothing is as a blank one"
    )
    run([source], tmp_path / "ccnet")
    assert [row["text"].split("\n")[0] for row in rows_of(tmp_path / "ccnet")] == lines


def test_a_line_in_every_shard_once_is_a_duplicate(make_documents: Make, tmp_path: Path) -> None:
    """Pitfall: cc_net's sharded pass forgets a line that each group of hashes has once."""
    texts = [f"in every shard\nonly {'z' * number}" for number in range(8)]
    run([make_documents("in", texts, shard_rows=1)], tmp_path / "out")
    assert [row["text"] for row in rows_of(tmp_path / "out")] == [text.split("\n")[1] for text in texts]


def test_no_unique_line_goes_and_each_content_stays_once(make_documents: Make, tmp_path: Path) -> None:
    """Pitfalls: Bloom filters delete unique text; passes that race or count twice keep none or several of a cluster."""
    unique = [f"{'abcdefgh'[n % 8] * (n // 8 % 50)} {chr(97 + n // 400)}" for n in range(4000)]
    texts = [*made_texts(400), "\n".join(unique)]
    source = make_documents("in", texts, shard_rows=40)
    run([source], tmp_path / "out", keep="first")
    kept = [line for row in rows_of(tmp_path / "out") for line in row["text"].split("\n") if line.strip()]
    wanted = [line for d in twin_dedup(texts, keep="first") for line in d.text.split("\n") if line.strip()]
    assert kept == wanted
    keys = [ccnet_normalized(line) for line in kept]
    everything = {ccnet_normalized(line) for text in texts for line in text.split("\n") if line.strip()}
    assert sorted(keys) == sorted(everything)


def test_more_lines_than_sixteen_bits_count(make_documents: Make, tmp_path: Path) -> None:
    """Pitfall: datatrove numbers the sentences of a document in 16 bits."""
    lines = [f"{chr(0x4E00 + n % 20_000)} {'q' * (n // 20_000)}" if n % 2 == 0 else "again" for n in range(140_000)]
    source = make_documents("in", ["\n".join(lines), "other\n" + lines[139_998]])
    run([source], tmp_path / "out")
    first, second = rows_of(tmp_path / "out")
    numbers = json.loads(first["metadata"])["line_ids"]
    assert numbers == [0, 1, *range(2, 139_998, 2)] and second["text"] == "other"
    assert first["text"] == "\n".join(lines[number] for number in numbers)


def test_lengths_are_characters(make_documents: Make, tmp_path: Path) -> None:
    """Pitfall: dolma mixes bytes and characters, so that spans end past the text."""
    texts = ["🙂🙂 é\n𝒳\r\n\x00 zero", "𝒳\r\nshared\u0301 ü\nend 🙂"]
    run([make_documents("in", texts)], tmp_path / "out")
    for row in rows_of(tmp_path / "out"):
        metadata = json.loads(row["metadata"])
        original = texts[row["source"]["record"]]
        assert metadata["original_length"] == len(original) and metadata["length"] == len(row["text"])
        assert row["text"].split("\n") == [original.split("\n")[number] for number in metadata["line_ids"]]


def test_digits_are_one_and_the_report_shows_them(make_documents: Make, tmp_path: Path) -> None:
    """Pitfalls: lines that differ in numbers alone are equal to CCNet; its full-width one is a digit like the others."""
    source = make_documents("in", ["line number 0\na b", "line number １\nc d", "line number ٣\ne f"])
    run([source], tmp_path / "out")
    assert [row["text"] for row in rows_of(tmp_path / "out")] == ["a b", "c d", "e f"]
    report = json.loads((tmp_path / "out" / "_report.json").read_text(encoding="utf-8"))
    assert report["lines"] == [{"line": "line number 0", "documents": 3}]
    run([source], tmp_path / "exact", normalize="exact")
    assert len(rows_of(tmp_path / "exact")[0]["text"].split("\n")) == 2
