"""`corpus explain`: every record's verdict at every stage, which agrees with the manifests; lines and why they went."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from corpus.cli import cli
from corpus.commands.explain import _sequences, _trained
from corpus.data.dataset import Dataset
from corpus.data.manifest import Manifest
from corpus.data.packed import PackedRows
from corpus.data.provenance import DocumentList
from corpus.data.run_state import clean
from corpus.dedup.config import DedupConfig
from corpus.dedup.levels import dedup_stage
from corpus.engine.alarms import Alarms
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, UsageError
from corpus.explain.find import find
from corpus.explain.index import build_index
from corpus.explain.lookup import holds
from corpus.explain.way import Run
from corpus.ingest.config import IngestConfig
from corpus.ingest.stage import IngestStage
from pipelines.readers.jsonl import JsonlReader
from pipelines.recipes.recipe import load_recipe
from pipelines.recipes.reread import reread
from pipelines.recipes.run import run_recipe
from pipelines.recipes.steps import RecipeRun
from tests.toy import ingest

pytestmark = pytest.mark.xdist_group("run")

QUIET = RunOptions(quiet=True, alarms=Alarms(max_unreadable=1.0, max_drop=1.0))


def records(run: Run) -> Iterator[str]:
    """The ids of all raw records, from the raw files."""
    for domain in run.domains:
        for path in sorted((run.path.parent / "raw" / domain).glob("*.jsonl")):
            for number in range(len(path.read_text(encoding="utf-8").splitlines())):
                yield f"{domain}/{path.name}#{number}"


def check_sums(run: Run, ids: list[str]) -> None:
    """The verdicts of all records, added up, are the counts of each manifest."""
    verdicts: dict[str, Counter[str]] = {}
    for id in ids:
        way = run.way(id)
        assert way, id
        for stop in way:
            dropped = stop.verdict == "dropped"
            verdicts.setdefault(stop.output, Counter())[stop.reason if dropped else stop.verdict] += 1
    for dataset in run.datasets:
        if dataset.manifest.kind == "packed":
            continue
        counts = next(
            dataset.manifest.counts[unit] for unit in ("records", "documents") if unit in dataset.manifest.counts
        )
        wanted = dict(counts.dropped) | {"kept": counts.kept, "merged": counts.merged, "unreadable": counts.quarantined}
        unlisted = dataset.manifest.extra.get("unlisted", ())
        found = dict(verdicts.get(run.name(dataset), {}))
        other = sum(wanted.pop(reason, 0) for reason in unlisted)
        assert found.pop("other side", 0) == other
        assert found == {key: number for key, number in wanted.items() if number}, run.name(dataset)


@pytest.mark.slow
def test_every_record_has_a_verdict_and_the_sums_are_the_manifests(out: Path) -> None:
    run = Run(out)
    tasks = {entry.task for entry in run.datasets[0].manifest.shards}
    assert len(tasks) > 1 and any(len(entry.pieces) > 1 for entry in run.datasets[0].manifest.shards)
    check_sums(run, list(records(run)))


def test_the_verdicts_are_the_same_once_rows_were_cleaned(out: Path, tmp_path: Path) -> None:
    shutil.copytree(out.parent, tmp_path, dirs_exist_ok=True)
    out = tmp_path / "out"
    run = Run(out)
    ids = random.Random(5).sample(list(records(run)), 60)
    before = {id: [(stop.output, stop.verdict, stop.reason, stop.map) for stop in run.way(id)] for id in ids}
    assert clean(out, dry_run=False)
    after = {id: [(stop.output, stop.verdict, stop.reason, stop.map) for stop in Run(out).way(id)] for id in ids}
    assert after == before
    assert Run(out).way("books/0.jsonl#999") == [] and Run(out).way("books/none.jsonl#0") == []
    shown = call("explain", out, next(id for id in ids if before[id][-1][0] == "packed"))
    assert "its text here is gone" in shown.output
    (out / "_log/run.json").unlink()
    for path in sorted(out.glob("tokens/*")) + sorted(out.glob("documents/*/0*-train")):  # all is made again
        for file in path.glob("manifest.json"):
            file.unlink()
    recipe = load_recipe(str(out.parent / "recipe.yaml"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("corpus.ingest.groups._GROUP_BYTES", 20_000)
        patch.setattr("corpus.engine.task.PIECE_BYTES", 3_000)
        patch.setattr("corpus.data.writer.GROUP_ROWS", 9)
        run_recipe(RecipeRun(recipe, out.parent / "raw", out), QUIET)
    assert {id: [(s.output, s.verdict, s.reason, s.map) for s in Run(out).way(id)] for id in ids} == before


def test_merged_and_unreadable_records_are_found(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for number in range(3):
        (raw / f"{number}.txt").write_text("\n".join(f"line {number} {i}" for i in range(40)), encoding="utf-8")
    run_stage(ingest(raw), tmp_path / "out/docs", QUIET)
    run = Run(tmp_path / "out")
    check_sums(run, [f"toy/{number}.txt#{i}" for number in range(3) for i in range(40)])
    (stop,) = run.way("toy/2.txt#14")
    assert (stop.verdict, stop.reason) == ("merged", "toy/2.txt#10")
    assert run.way("toy/2.txt#40") == []


@pytest.mark.parametrize(
    "settings", [{}, {"keep": "first"}, {"preset": "ccnet", "scope": "all"}, {"normalize": "exact"}]
)
def test_the_reasons_of_lines_add_up_to_the_report(tmp_path: Path, settings: dict[str, Any]) -> None:
    rng = random.Random(3)
    words = ["one", "Two", "two!", "", " ", "three 1", "three 2", "four"]
    raw = tmp_path / "a.jsonl"
    texts = ["\n".join(rng.choices([*words, f"own {'abcdefgh'[n % 8] * n}"], k=rng.randint(1, 9))) for n in range(80)]
    raw.write_text("\n".join(json.dumps({"text": text}) for text in texts), encoding="utf-8")
    run_stage(IngestStage(JsonlReader(), (str(raw),), IngestConfig()), tmp_path / "out/docs", QUIET)
    run_stage(dedup_stage((str(tmp_path / "out/docs"),), DedupConfig(**settings)), tmp_path / "out/lines", QUIET)
    run = Run(tmp_path / "out")
    found: Counter[str] = Counter()
    for number, text in enumerate(texts):
        way = run.way(f"jsonl/a.jsonl#{number}")
        if len(way) < 2:
            assert not text.strip()
            continue
        before, after = (stop.row["text"].split("\n") if stop.row else [] for stop in way)
        removed = way[1].removed
        assert removed is not None
        assert [line for at, line in enumerate(before) if at not in {entry.number for entry in removed}] == after
        found.update(entry.reason for entry in removed)
    report = json.loads((tmp_path / "out/lines/_report.json").read_text(encoding="utf-8"))["removed"]
    assert found == {reason: entry["lines"] for reason, entry in report.items() if entry["lines"]}


def test_sequences_are_those_that_hold_the_document(out: Path) -> None:
    run = Run(out)
    packed = PackedRows(out / "packed")
    listed = DocumentList(packed.dataset)
    wanted: dict[str, set[int]] = {}
    for row, segments in enumerate(packed.segments(slice(0, len(packed)))):
        for segment in segments:
            wanted.setdefault(listed.read([segment.document])[segment.document].id, set()).add(row)
    for id in random.Random(1).sample(sorted(wanted), 20):
        stop = run.way(id)[-1]
        assert (stop.output, {place["row"] for place in stop.sequences}) == ("packed", wanted[id])


def call(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, args)))


def test_lines_and_urls_are_found_by_the_index(out: Path) -> None:
    run = Run(out)
    line = "Accept all cookies 123"
    with pytest.raises(UsageError, match="corpus index"):
        find(run, line, 3)
    url = "https://x.example/7"
    scanned = find(run, url, 100)
    sizes = dict(build_index(run))
    assert sizes and dict(build_index(run)) == sizes
    assert [id for id, _ in find(run, url, 100).ways] == [id for id, _ in scanned.ways]
    assert scanned.number == 3 * 6
    texts: dict[str, str] = {}
    for dataset in run.datasets:
        if dataset.manifest.stage == "ingest":
            texts |= {row["id"]: row["text"] for batch in dataset.batches() for row in batch.to_pylist()}
    wanted = {id for id, text in texts.items() if line in text.split("\n")}
    found = find(run, line, 1000)
    assert found.number == len(wanted) and {id for id, _ in found.ways} == wanted
    some = next(iter(texts.values())).split("\n")[1]
    assert {id for id, _ in find(run, some, 99).ways} == {id for id, text in texts.items() if some in text.split("\n")}
    for query in ("no such line", " ", "https://x.example/none"):
        with pytest.raises(UsageError, match=r"has the line|of the URL"):
            find(run, query, 3)
    (out / "_index" / ("0" * 32)).mkdir()  # of a dataset that was made anew
    assert call("index", out, "--quiet").exit_code == 0 and not (out / "_index" / ("0" * 32)).exists()


def test_a_damaged_index_is_named(out: Path, tmp_path: Path) -> None:
    shutil.copytree(out, tmp_path / "out")
    run = Run(tmp_path / "out")
    list(build_index(run))
    shutil.copytree(run.path / "_index", tmp_path / "whole")
    whole = find(run, "https://x.example/7", 3)
    rng = random.Random(4)
    named = 0
    for path in sorted((run.path / "_index").rglob("*.*")):
        data = path.read_bytes()
        for at in (0, len(data) // 2, len(data) - 1, rng.randrange(len(data))):
            changed = bytearray(data)
            changed[at] ^= 1 << rng.randrange(8)
            path.write_bytes(changed)
            try:
                assert find(run, "https://x.example/7", 3) == whole  # nothing of it was needed
            except DataError as error:
                assert path.name in error.message and "corpus index" in error.message
                named += 1
        path.write_bytes(data[: len(data) // 2])
        with contextlib.suppress(DataError):
            assert find(run, "https://x.example/7", 3) == whole
        path.write_bytes(data)
    assert named >= 4 * 6  # each table of URLs and each list of digests


def test_what_was_cleaned_is_not_denied(out: Path, tmp_path: Path) -> None:
    shutil.copytree(out, tmp_path / "out")
    clean(tmp_path / "out", dry_run=False)
    run = Run(tmp_path / "out")
    with pytest.raises(
        UsageError, match=r"rows of documents/\w+/00-ingest and \d+ others were cleaned.*by its id alone"
    ):
        find(run, "https://x.example/none", 3)
    list(build_index(run))
    with pytest.raises(UsageError, match="were cleaned"):
        find(run, "Accept all cookies 124", 3)


def test_cleaned_texts_are_read_again_from_the_raw_files(out: Path, tmp_path: Path) -> None:
    """Texts and removed lines are those of before, wherever they are told; of some drops nobody knows the text after."""
    shutil.copytree(out, tmp_path / "out")
    cleaned = tmp_path / "out"
    clean(cleaned, dry_run=False)
    run, again = Run(out), Run(cleaned, partial(reread, cleaned))
    told = 0
    for id in (id for id in records(run) if id.startswith("commoncrawl/1.jsonl")):
        for before, after in zip(run.way(id), again.way(id), strict=True):
            assert (before.output, before.verdict, before.reason) == (after.output, after.verdict, after.reason)
            if after.replayed:
                assert before.row is not None and after.row is not None and after.row["text"] == before.row["text"]
            if before.removed and after.removed is not None:
                assert after.removed == before.removed
                told += 1
    assert told > 5
    shown = call("explain", cleaned, "commoncrawl/1.jsonl#5", "--text").output
    assert "its text here is read again from the raw file" in shown and "put together from what is left" in shown
    assert "1  Accept all cookies 123" in shown and "text after:" in shown
    plain = call("explain", cleaned, "commoncrawl/1.jsonl#5").output
    assert "its text here is gone" in plain
    assert reread(cleaned, "commoncrawl/none.jsonl#5") is None and reread(cleaned, "commoncrawl/1.jsonl#9999") is None


def test_the_command_says_the_way_in_words(out: Path) -> None:
    shown = call("explain", out, "raw/commoncrawl/1.jsonl#5", "--text").output
    assert shown.startswith("commoncrawl/1.jsonl#5\n") and "[in other documents]" in shown
    assert "1  Accept all cookies 123" in shown and "text after:" in shown
    both = json.loads(call("explain", out, "1.jsonl#52", "--json").output)
    assert both["documents"] == 3 and {way["stages"][-1]["verdict"] for way in both["ways"]} == {"unreadable"}
    wrong = call("explain", out, "commoncrawl/1.jsonl#5000")
    assert wrong.exit_code == 2 and "never had a record" in wrong.output
    assert call("explain", out.parent / "none", "x#1").exit_code == 2


def test_a_shard_of_another_group_is_not_read(out: Path) -> None:
    manifest = Manifest.load(out / "documents/commoncrawl/00-ingest")
    ids = [f"commoncrawl/{number}.jsonl#0" for number in range(6)]
    for id in ids:
        row_shards = [
            entry.name
            for entry in manifest.shards
            if id in pq_ids(out / "documents/commoncrawl/00-ingest" / entry.name)
        ]
        candidates = [entry.name for entry in manifest.shards if holds(entry, id)]
        assert set(row_shards) <= set(candidates) and len(candidates) < len(manifest.shards)


def pq_ids(path: Path) -> set[str]:
    import pyarrow.parquet as pq

    return set(pq.read_table(path, columns=["id"]).column("id").to_pylist())


def test_opening_nothing_is_one_sentence(tmp_path: Path, make_documents: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="holds no finished dataset"):
        Run(tmp_path)
    source = make_documents("in", ["a"])
    assert Dataset.open(source).manifest.rows == 1 and Run(source.parent).domains


def test_many_sequences_and_steps_are_shown_in_part_unless_all_are_asked_for() -> None:
    steps = {row: row + 1 for row in range(12)}
    assert _trained(steps, full=False).endswith("10 (sequence 9), …") and _trained(steps, full=True).endswith(
        "12 (sequence 11)"
    )
    places = [{"row": row, "epoch": 0} for row in range(12)]
    assert _sequences(places, full=False) == f"in 12 sequences: {', '.join(f'{n} (epoch 0)' for n in range(10))}, …"
    assert _sequences(places[:2], full=False) == "in 2 sequences: 0 (epoch 0), 1 (epoch 0)"
