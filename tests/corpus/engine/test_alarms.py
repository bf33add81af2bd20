"""Alarms: what a stage may set aside or drop, tested before the commit, and what is said when it is more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.data.manifest import MANIFEST, Manifest
from corpus.data.trail import beginning
from corpus.data.verify import verify_dataset
from corpus.engine.alarms import Alarms
from corpus.engine.document_stage import MapStage
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, UsageError
from corpus.ingest.stage import IngestStage
from corpus.quality.filter import FilterConfig
from pipelines.readers.jsonl import JsonlReader
from pipelines.recipes.recipe import parse_recipe
from tests.corpus.test_cli import _run as corpus_command
from tests.toy import ingest


def options(**limits: float | None) -> RunOptions:
    return RunOptions(quiet=True, alarms=Alarms(**limits))


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file() and "_log" not in path.parts)
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def write_toy(path: Path, unreadable: int, readable: int) -> Path:
    """JSON lines of which `unreadable` lack a text, for two reasons, and the others have one."""
    lines = [json.dumps({"id": number, "article": "x", "text": 5} if number % 3 else {"id": number, "article": "x"})
             for number in range(unreadable)]  # fmt: skip
    lines += [json.dumps({"text": f"text {number}"}) for number in range(readable)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def jsonl(path: Path) -> IngestStage:
    return IngestStage(JsonlReader(), (str(path),))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 130), st.integers(0, 3000), st.none() | st.sampled_from([0.0, 0.02, 0.5, 1.0]))
def test_the_limit_is_that_of_the_documentation(
    tmp_path_factory: pytest.TempPathFactory, unreadable: int, readable: int, limit: float | None
) -> None:
    readable += 1
    folder = tmp_path_factory.mktemp("alarm")
    stage = jsonl(write_toy(folder / "a.jsonl", unreadable, readable))
    share = unreadable / (unreadable + readable)
    raised = share > limit if limit is not None else unreadable >= 100 and share > 0.05
    if raised:
        with pytest.raises(DataError, match=r"--max-unreadable"):
            run_stage(stage, folder / "out", options(max_unreadable=limit))
    else:
        run_stage(stage, folder / "out", options(max_unreadable=limit))
    assert (folder / "out" / MANIFEST).exists() != raised


def test_a_rerun_with_a_higher_limit_only_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = jsonl(write_toy(tmp_path / "a.jsonl", 900, 100))
    with pytest.raises(DataError) as raised:
        run_stage(stage, tmp_path / "out", options())
    said = raised.value.message
    assert "could not read 900 of 1,000 records (90.00%), more than --max-unreadable 5% allows:" in said
    assert "600 field 'text' is not a string, such as a.jsonl at byte 26: it has id, article, text" in said
    assert "300 no field 'text', such as a.jsonl at byte 0: it has id, article" in said
    assert f"corpus inspect {tmp_path / 'out'} --quarantined" in said
    with monkeypatch.context() as patch:
        patch.setattr(IngestStage, "run", None)  # nothing is done again
        run_stage(stage, tmp_path / "out", options(max_unreadable=0.9))
    assert verify_dataset(tmp_path / "out").problems == []
    run_stage(stage, tmp_path / "direct", options(max_unreadable=1.0))
    assert contents(tmp_path / "out") == contents(tmp_path / "direct")
    with pytest.raises(DataError, match="--max-unreadable 5%"):  # exit 0 means: within the alarms of this command
        run_stage(stage, tmp_path / "out", options())
    assert contents(tmp_path / "out") == contents(tmp_path / "direct")


@pytest.mark.parametrize("number", [3, 301])  # none is left; the alarm
def test_where_the_text_is_inside_another_field_the_error_says_how_to_name_it(tmp_path: Path, number: int) -> None:
    raw = tmp_path / "a.jsonl"
    raw.write_text('{"id": 1, "body": {"content": "x", "lang": "en"}, "when": 2}\n' * number, encoding="utf-8")
    with pytest.raises(DataError) as raised:
        run_stage(jsonl(raw), tmp_path / "out", options())
    said = raised.value.message.replace("\n", " ")
    assert "it has id, body.content, body.lang, when" in said
    assert (
        "say where the text is, for example body.content, with --text-field (of a recipe settings: {text_field: …})"
        in said
    )


def test_what_a_failed_stage_set_aside_and_dropped_can_be_looked_at(tmp_path: Path) -> None:
    raw = write_toy(tmp_path / "a.jsonl", 300, 10)
    with raw.open("a") as file:
        file.write('\n{"text": "  "}')
    out = tmp_path / "out"
    failed = corpus_command("ingest", "jsonl", str(raw), "-o", str(out), "--quiet")
    assert failed.returncode == 1 and failed.stderr.count("such as") == 2, failed.stderr
    seen = corpus_command("inspect", str(out), "--quarantined", "-n", "2").stdout
    assert "not finished" in seen and '{"id": 0, "article": "x"}' in seen and "no field 'text'" in seen
    both = json.loads(corpus_command("inspect", str(out), "-n", "7", "--json").stdout)
    assert len(both["quarantined"]) == 7 and [row["reason"] for row in both["dropped"]] == ["no text"]
    given = corpus_command("ingest", "jsonl", str(raw), "-o", str(out), "--max-unreadable", "97%")
    assert given.returncode == 0 and "300 records could not be read and were set aside" in given.stderr


def test_drops_are_held_to_a_limit_that_is_given(tmp_path: Path, make_documents: Any) -> None:
    source = make_documents("in", ["short"] * 60 + ["long enough to stay " * 5] * 40)
    stage = MapStage((str(source),), "filter", maps=FilterConfig(rules=("min_chars:50",)).maps())
    with pytest.raises(DataError) as raised:
        run_stage(stage, tmp_path / "out", options(max_drop=0.5))
    assert "removed 60 of 100 documents (60.00%)" in raised.value.message
    assert "60 min_chars: too short, such as c4/" in raised.value.message and ": short\n" in raised.value.message
    manifest = run_stage(stage, tmp_path / "out", options(max_drop=0.6))
    assert manifest.counts["documents"].kept == 40
    assert run_stage(stage, tmp_path / "other", options()).digest == manifest.digest


def test_nothing_kept_says_why_with_an_example(tmp_path: Path) -> None:
    stage = jsonl(write_toy(tmp_path / "a.jsonl", 4, 0))
    with pytest.raises(DataError, match=r"(?s)kept none of 4 records:\n  2 .*it has id, article.*--quarantined"):
        run_stage(stage, tmp_path / "out", options())


@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_a_limit_is_a_share(value: float) -> None:
    with pytest.raises(UsageError, match="max_drop"):
        Alarms(max_drop=value)


def test_alarms_of_a_recipe_are_no_part_of_what_it_makes() -> None:
    value: dict[str, Any] = {
        "domains": {"a": {"reader": "jsonl"}, "b": {"reader": "jsonl"}},
        "mixture": {"a": {"share": 50}, "b": {"share": 50}},
    }
    plain = parse_recipe("r", value, Path())
    value["alarms"] = {"max_unreadable": "10%"}
    value["domains"]["b"]["alarms"] = {"max_unreadable": 0.2, "max_drop": "50%"}
    recipe = parse_recipe("r", value, Path())
    assert recipe.resolved() == plain.resolved()
    assert recipe.alarms_of("a") == Alarms(0.1) and recipe.alarms_of("b") == Alarms(0.2, 0.5)
    assert Alarms(max_drop=1).over(recipe.alarms_of("b")) == Alarms(0.2, 1)
    value["domains"]["b"]["alarms"] = {"max_unread": 0.2}
    with pytest.raises(UsageError, match=r"alarms\.max_unread'; did you mean 'max_unreadable'"):
        parse_recipe("r", value, Path())


def test_readers_whose_records_are_merged_are_counted_by_what_came_in(tmp_path: Path) -> None:
    raw = tmp_path / "a.txt"
    raw.write_text("\n".join(f"line {number}" for number in range(2000)), encoding="utf-8")
    with pytest.raises(DataError, match=r"could not read 200 of 2,000 records \(10\.00%\)"):
        run_stage(ingest(raw), tmp_path / "out", options())
    assert not list((tmp_path / "out").glob("*.json"))
    assert run_stage(ingest(raw), tmp_path / "out", options(max_unreadable=0.1)) == Manifest.load(tmp_path / "out")


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b'{"a": 1, "b": "x"}', "it has a, b"),
        (b"\xff\x00 text\nmore", r"\xff text more"),
        (b"", "nothing"),
        (b"[1, 2]", "[1, 2]"),
        (b"x" * 100, "x" * 59 + "…"),
    ],
)
def test_examples_are_short_and_printable(data: bytes, shown: str) -> None:
    assert beginning(data) == shown
