"""`corpus inspect` on the output of a run: its stages by short names, ids and sequences decoded, removed lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from corpus.cli import cli

pytestmark = pytest.mark.xdist_group("run")


def call(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, ["inspect", *map(str, args)])


def as_json(*args: str | Path) -> Any:
    result = call(*args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_run_lists_its_stages(out: Path) -> None:
    shown = call(out).output
    assert "documents/books/01-dedup  documents: documents" in shown and "packed  packed: tokens" in shown
    assert {entry["stage"] for entry in as_json(out)["datasets"]} >= {"ingest", "dedup", "split", "tokenize", "mix"}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("books/dedup", "documents/books/01-dedup"),
        ("commoncrawl/filter", "documents/commoncrawl/01-dedup+langid+filter"),
        ("documents/wikipedia/01-filter", "documents/wikipedia/01-filter"),
        ("packed", "packed"),
        ("tokens/books", "tokens/books"),
    ],
)
def test_a_stage_has_short_names(out: Path, name: str, path: str) -> None:
    assert as_json(out, name, "-n", "1")["path"] == str(out / path)


def test_an_unknown_stage_is_answered_with_the_nearest(out: Path) -> None:
    wrong = call(out, "books/dedupe")
    assert wrong.exit_code == 2 and "did you mean 'books/dedup'" in wrong.output


def test_ids_and_sequences_are_decoded(out: Path) -> None:
    first = as_json(out, "books/train", "-n", "1")["documents"][0]
    shown = call(out, "tokens/books", "-n", "1").output
    assert f"{first['id']}  " in shown and first["text"] in shown
    packed = call(out, "packed", "-n", "3").output
    assert packed.count("row ") == 3 and " │ " in packed
    other = call(out, "tokens/books", "--tokenizer", out.parent / "none")
    assert other.exit_code in (1, 2)


def test_what_all_stages_dropped_and_set_aside(out: Path) -> None:
    dropped = call(out, "--dropped", "-n", "1").output
    assert "dropped: no text" in dropped and "dropped: duplicate document" in dropped
    aside = as_json(out, "--quarantined", "-n", "2")["datasets"]
    assert len(aside) == 3 and all(len(entry["quarantined"]) == 2 for entry in aside)


def test_removed_lines_have_their_counts(out: Path) -> None:
    (entry,) = as_json(out, "--lines", "-n", "4")["datasets"]
    report = json.loads((out / "documents/commoncrawl/01-dedup+langid+filter/_report.json").read_text(encoding="utf-8"))
    assert entry["lines"] == report["lines"][:4] and entry["lines"][0]["line"] == "Accept all cookies 123"
    assert "66 documents  Accept all cookies 123" in call(out, "commoncrawl/dedup", "--lines").output
    assert call(out, "books/dedup", "--lines").exit_code == 2


def test_a_document_of_a_run_is_found_wherever_it_went(out: Path) -> None:
    kept = call(out, "--id", "wikipedia/2.jsonl#7")
    assert kept.exit_code == 0 and "-train: as it is there" in kept.output
    lost = call(out, "--id", "commoncrawl/2.jsonl#50")
    assert lost.exit_code == 1 and "was dropped by stage dedup (documents/commoncrawl/01-dedup" in lost.output
    assert call(out, "--id", "wikipedia/2.jsonl#700").exit_code == 2
