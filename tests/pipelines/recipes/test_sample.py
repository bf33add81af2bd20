"""First looks: `--dry-run`, `--limit`, `--sample`."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import xxhash
from click.testing import CliRunner, Result

from corpus.cli import cli
from corpus.data.dataset import Dataset
from corpus.data.manifest import Manifest
from corpus.data.verify import find_datasets, verify_dataset
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import UsageError
from corpus.ingest.config import IngestConfig
from corpus.ingest.stage import IngestStage
from pipelines.readers.jsonl import JsonlReader
from tests.raw import RECIPE, write_raw
from tests.toy import LineReader

QUIET = RunOptions(quiet=True)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_raw(tmp_path / "raw", documents=60, files=3)
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def run(place: Path, *more: str) -> Result:
    command = ["run", str(place / "recipe.yaml"), "--input", str(place / "raw"), "--output", str(place / "out")]
    return CliRunner().invoke(cli, [*command, "--workers", "1", *more])


def rows(path: Path) -> dict[str, dict[str, object]]:
    return {row["id"]: row for batch in Dataset.open(path).batches() for row in batch.to_pylist()}


def test_a_sample_is_a_part_of_the_whole_by_ids(tmp_path: Path) -> None:
    raw = tmp_path / "a.jsonl"
    raw.write_text("\n".join(json.dumps({"text": f"text {number}"}) for number in range(4000)), encoding="utf-8")
    whole = run_stage(IngestStage(JsonlReader(), (str(raw),)), tmp_path / "whole", QUIET)
    assert "sample" not in whole.extra and "sample" not in whole.config and "limit" not in whole.config
    taken = []
    for share in ("1%", "0.1", "50%", "100%"):
        stage = IngestStage(JsonlReader(), (str(raw),), IngestConfig(sample=share))
        manifest = run_stage(stage, tmp_path / share, QUIET)
        counts = manifest.counts["records"]
        assert counts.seen + manifest.extra["sample"]["passed_over"] == 4000
        taken.append(rows(tmp_path / share))
        assert verify_dataset(tmp_path / share).problems == []
    assert all(small.items() <= large.items() for small, large in itertools.pairwise(taken))
    assert taken[-1] == rows(tmp_path / "whole") and 20 < len(taken[0]) < 60 and 1850 < len(taken[2]) < 2150
    below = 2**64 // 100
    assert set(taken[0]) == {id for id in taken[-1] if xxhash.xxh3_64_intdigest(id.encode(), 0x73616D706C65) < below}


def test_what_is_merged_goes_with_its_record(tmp_path: Path) -> None:
    raw = tmp_path / "a.txt"
    raw.write_text("\n".join(f"line {number}" for number in range(900)), encoding="utf-8")
    stage = IngestStage(LineReader(), (str(raw),), IngestConfig(sample="30%"))
    manifest = run_stage(stage, tmp_path / "out", QUIET)
    kept = rows(tmp_path / "out")
    merged = sum(f"toy/a.txt#{number}" in kept for number in range(0, 900, 10))
    assert manifest.counts["records"].merged == merged > 0


def test_a_limit_reads_the_first_records_of_each_file(place: Path) -> None:
    stage = IngestStage(JsonlReader(), (str(place / "raw/books"),), IngestConfig(limit=7))
    manifest = run_stage(stage, place / "few", QUIET)
    assert set(rows(place / "few")) == {f"jsonl/{file}.jsonl#{number}" for file in range(3) for number in range(7)}
    assert manifest.counts["records"].seen == 21 and manifest.extra["sample"] == {"limit": 7, "passed_over": 0}


def test_a_run_over_a_sample_is_marked_and_asks_before_it_becomes_the_whole(place: Path) -> None:
    result = run(place, "--limit", "50", "--sample", "90%")
    assert result.exit_code == 0, result.output
    assert "a sample: 90% of the records, of the first 50 of each raw file" in result.output
    for path in find_datasets(place / "out"):
        manifest = Manifest.load(path)
        if manifest.kind in ("documents", "tokens", "packed"):
            assert manifest.extra["sample"]["share"] == "90%", path
    again = run(place, "--limit", "50", "--sample", "90%")
    assert again.exit_code == 0 and "nothing to do" in again.output
    whole = run(place)
    assert whole.exit_code == 2 and "made with another recipe (limit: 50 -> null" in whole.output


@pytest.mark.parametrize("share", ["0", "101%", "x", "-1%"])
def test_a_share_is_over_nothing_up_to_all(place: Path, share: str) -> None:
    with pytest.raises(UsageError, match="--sample"):
        IngestConfig(sample=share)
    assert run(place, "--sample", share).exit_code == 2 and not (place / "out").exists()


def test_a_dry_run_writes_nothing_and_names_every_step(place: Path) -> None:
    shown = run(place, "--dry-run")
    assert shown.exit_code == 0 and not (place / "out").exists()
    assert "books: 3 raw files" in shown.output and "1 others ignored" in shown.output
    assert "documents/commoncrawl/01-dedup+langid+filter" in shown.output and "of disk" in shown.output
    assert run(place, "--quiet").exit_code == 0
    done = run(place, "--dry-run").output
    assert "about 0 s with 1 workers" in done and done.count(" done") >= 20
