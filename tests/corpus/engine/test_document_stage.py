"""Document maps: a chain is the same as its maps one by one; columns are passed on; shards keep their documents."""

from __future__ import annotations

import dataclasses
import datetime
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.data import inspect
from corpus.data.columns import TITLE, Column
from corpus.data.dataset import Dataset
from corpus.data.manifest import Counts, Manifest
from corpus.data.verify import verify_dataset
from corpus.dedup.config import DedupConfig
from corpus.dedup.levels import dedup_stage
from corpus.engine.document_map import DocumentBatch, DocumentMap, Mapped
from corpus.engine.document_stage import MapStage
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import UsageError
from corpus.option import option
from corpus.quality.filter import FilterConfig
from tests.datasets import write_documents

QUIET = RunOptions(quiet=True)
Make = Callable[..., Path]


@dataclass(frozen=True)
class Score(DocumentMap):
    """Sets a column from the text and drops what is below a limit; `tag` is put before the text."""

    name: ClassVar[str] = "score"
    columns: ClassVar[tuple[Column, ...]] = (Column("score", "float64", "Vowels of the text."),)

    least: int = option(0, "Vowels that a text needs.")
    tag: str = option("", "Put before every text.")

    def apply(self, batch: DocumentBatch) -> Mapped:
        scores = [sum(text.count(vowel) for vowel in "aeiou") for text in batch.texts()]
        columns: dict[str, Any] = {"score": pa.array(scores, pa.float64())}
        if self.tag:
            columns["text"] = pa.array([self.tag + text for text in batch.texts()], pa.large_string())
        return Mapped(columns, [f"score under {self.least}" if score < self.least else None for score in scores])


@dataclass(frozen=True)
class Modulo(DocumentMap):
    """Drops every document whose length has a rest."""

    name: ClassVar[str] = "modulo"

    by: int = option(2, "What lengths are divided by.")

    def apply(self, batch: DocumentBatch) -> Mapped:
        return Mapped(reasons=["rest" if len(text) % self.by == 0 else None for text in batch.views(str.strip)])


MAPS = st.lists(
    st.one_of(
        st.builds(Score, least=st.integers(0, 3), tag=st.sampled_from(["", "x"])),
        st.builds(Modulo, by=st.integers(2, 5)),
        st.sampled_from([*FilterConfig(rules=("min_chars:3",)).maps(), *FilterConfig(rules=("max_chars:9",)).maps()]),
    ),
    min_size=1,
    max_size=4,
)
TEXTS = st.lists(st.text("aeioxyz .\n", max_size=12), min_size=4, max_size=40)


def rows(directory: Path) -> list[pa.Table]:
    """The shards of a dataset."""
    return [pq.read_table(path) for path in Dataset.open(directory, "documents").shard_paths()]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS, maps=MAPS, shard_rows=st.integers(1, 20), piece_rows=st.integers(1, 8))
def test_a_chain_is_its_maps_one_by_one(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    maps: list[DocumentMap],
    shard_rows: int,
    piece_rows: int,
) -> None:
    place = tmp_path_factory.mktemp("chain")
    source = write_documents(place / "in", texts, shard_rows=shard_rows, piece_rows=piece_rows)
    try:
        joined = run_stage(MapStage((str(source),), "all", maps=tuple(maps)), place / "all", QUIET)
    except Exception as error:
        assert "kept none of" in str(error)
        return
    before, seen = source, len(texts)
    for number, step in enumerate(maps):
        after = place / str(number)
        alone = run_stage(MapStage((str(before),), "one", maps=(step,)), after, QUIET)
        counts = Counts.from_json(joined.extra["maps"][number]["counts"])
        assert counts == alone.counts["documents"] and counts.seen == seen
        before, seen = after, counts.kept
    assert [table.drop_columns([]) for table in rows(place / "all")] == rows(before)
    assert [(s.checksum, s.pieces, s.task) for s in joined.shards] == [
        (s.checksum, s.pieces, s.task) for s in Manifest.load(before).shards
    ]
    assert verify_dataset(place / "all").problems == []
    dropped = [
        row for path in sorted((place / "all/_dropped").glob("*.ids")) for row in pq.read_table(path).to_pylist()
    ]
    assert len(dropped) == len(texts) - joined.rows
    titles = [entry["map"] for entry in joined.extra["maps"]]
    assert {row["map"] for row in dropped} <= set(titles)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_and_pieces_change_no_byte(tmp_path: Path, workers: int) -> None:
    texts = [f"text {number} " * (number % 7 + 1) for number in range(60)]
    source = write_documents(tmp_path / "in", texts, shard_rows=23, piece_rows=5)
    stage = MapStage((str(source),), "chain", maps=(Score(5, "y"), Modulo(3)))
    options = dataclasses.replace(QUIET, workers=workers, always_pool=workers > 1)
    manifest = run_stage(stage, tmp_path / "out", options)
    assert manifest.digest == run_stage(stage, tmp_path / "alone", QUIET).digest
    assert len(manifest.shards) == 3 and all(len(shard.pieces) > 1 for shard in manifest.shards)
    assert [shard.task for shard in manifest.shards] == ["0", "1", "2"]


def test_columns_are_passed_on_and_filled(tmp_path: Path) -> None:
    title = Column("title", "string", "Title.")
    first = write_documents(tmp_path / "a", ["one", "two"], open_columns=[title], title=["A", None])
    second = write_documents(tmp_path / "b", ["three", "four"], domain="books")
    stage = MapStage((str(first), str(second)), "score", maps=(Score(),))
    manifest = run_stage(stage, tmp_path / "out", QUIET)
    assert [column.name for column in manifest.columns] == ["title", "score"]
    assert manifest.extra["domains"] == ["c4", "books"]
    assert [shard.task for shard in manifest.shards] == ["0:0", "1:0"]
    table = pa.concat_tables(rows(tmp_path / "out"))
    assert table.column("title").to_pylist() == ["A", None, None, None]
    assert table.column("score").to_pylist() == [2.0, 1.0, 2.0, 2.0]
    deduped = run_stage(dedup_stage((str(tmp_path / "out"),)), tmp_path / "dedup", QUIET)
    assert deduped.columns == manifest.columns and deduped.extra["domains"] == ["c4", "books"]
    assert pa.concat_tables(rows(tmp_path / "dedup")).column("score").to_pylist() == [2.0, 1.0, 2.0, 2.0]
    other = Column("title", "int64", "Number.")
    third = write_documents(tmp_path / "c", ["five"], open_columns=[other], title=[1])
    with pytest.raises(UsageError, match="'title' is string in one place and int64 in another"):
        run_stage(MapStage((str(first), str(third)), "score", maps=(Score(),)), tmp_path / "no", QUIET)


def test_verify_knows_the_columns(tmp_path: Path) -> None:
    title = Column("title", "string", "Title.")
    path = write_documents(tmp_path / "a", ["one"], open_columns=[title], title=["A"])
    assert verify_dataset(path).problems == []
    manifest = Manifest.load(path)
    dataclasses.replace(manifest, columns=()).save(path)
    (_, problem) = verify_dataset(path).problems  # the first is of the card
    assert "has not the columns of documents that the manifest names" in problem


@pytest.mark.parametrize("level", ["line", "document"])
def test_dedup_ends_in_a_chain(tmp_path: Path, level: Literal["line", "document"]) -> None:
    texts = ["same\nlines", "one aeiou line", "same\nlines", "other aei text\nsame"] * 3 + ["unique here"]
    source = write_documents(tmp_path / "in", texts, shard_rows=7, piece_rows=2)
    config = DedupConfig(level=level, keep="first")
    plain = dedup_stage((str(source),), config)
    run_stage(plain, tmp_path / "dedup", QUIET)
    maps = (Score(3), Modulo(2))
    run_stage(MapStage((str(tmp_path / "dedup"),), "maps", maps=maps), tmp_path / "two", QUIET)
    joined = run_stage(dataclasses.replace(plain, maps=maps), tmp_path / "one", QUIET)
    assert rows(tmp_path / "one") == rows(tmp_path / "two")
    assert verify_dataset(tmp_path / "one").problems == []
    counts, first = joined.counts["documents"], joined.extra["maps"][0]["counts"]
    assert counts.seen == len(texts) and counts.missing == 0
    assert first["in"] == Manifest.load(tmp_path / "dedup").rows


def test_dropped_documents_are_shown_by_map(tmp_path: Path) -> None:
    source = write_documents(tmp_path / "in", ["aaaa", "xyz", "aaa", "eeeee"])
    run_stage(MapStage((str(source),), "chain", maps=(Score(1), Modulo(3))), tmp_path / "out", QUIET)
    dataset = Dataset.open(tmp_path / "out")
    shown = [(row["map"], row["reason"], row["text"]) for row in inspect.dropped(dataset.path, 5)]
    assert sorted(shown) == [("modulo", "rest", "aaa"), ("score", "score under 1", "xyz")]
    assert [row["text"] for row in inspect.dropped(dataset.path, 5, "modulo")] == ["aaa"]
    with pytest.raises(UsageError, match="did you mean 'modulo'"):
        inspect.check_map(dataset, "modul")


def test_the_manifest_names_maps_and_thresholds(tmp_path: Path) -> None:
    source = write_documents(tmp_path / "in", ["aaaa bb", "xyz"])
    config = FilterConfig(rules=("length", {"code": {"max_line": 50}}), set=("min_chars.limit=4",))
    manifest = run_stage(MapStage((str(source),), "filter", maps=config.maps()), tmp_path / "out", QUIET)
    assert manifest.config["maps"][0] == {"map": "min_chars", "version": 1, "limit": 4}
    assert manifest.config["maps"][1]["max_line"] == 50
    assert json.loads((tmp_path / "out/manifest.json").read_text())["extra"]["maps"][0]["map"] == "min_chars"
    assert pc.sum(pc.utf8_length(pa.concat_tables(rows(tmp_path / "out")).column("text"))).as_py() == 7


@dataclass(frozen=True)
class NeedsTitle(DocumentMap):
    """Drops documents without a title."""

    name: ClassVar[str] = "needs_title"

    least: int = option(1, "Letters of a title.")

    def apply(self, batch: DocumentBatch) -> Mapped:
        return Mapped(reasons=[None if title else "no title" for title in batch.column("title").to_pylist()])


def test_maps_see_columns_that_some_inputs_lack(tmp_path: Path) -> None:
    first = write_documents(tmp_path / "a", ["one", "two"], open_columns=[TITLE], title=["A", None])
    second = write_documents(tmp_path / "b", ["three"], domain="books")
    manifest = run_stage(MapStage((str(first), str(second)), "t", maps=(NeedsTitle(),)), tmp_path / "out", QUIET)
    assert manifest.counts["documents"].dropped == {"no title": 2}


def test_columns_that_do_not_fit_are_found_before_anything_is_written(tmp_path: Path) -> None:
    first = write_documents(tmp_path / "a", ["one"], open_columns=[TITLE], title=["A"])
    second = write_documents(tmp_path / "b", ["two"], open_columns=[Column("title", "int32", "n")], title=[1])
    with pytest.raises(UsageError, match="is string in one place and int32 in another"):
        run_stage(dedup_stage((str(first), str(second))), tmp_path / "out", QUIET)
    assert not (tmp_path / "out").exists()


def test_a_stage_that_reads_another_dataset_knows_its_digest_and_no_path(tmp_path: Path) -> None:
    source = write_documents(tmp_path / "in", ["aaaa", "xyz"])
    other = write_documents(tmp_path / "other", ["one"])
    stage = MapStage((str(source),), "s", maps=(Score(tag=str(other)),), reads=(("wiki/filter", str(other)),))
    first = run_stage(stage, tmp_path / "out", QUIET)
    assert first.config["maps"][0]["tag"] == {"step": "wiki/filter"} and str(tmp_path) not in json.dumps(first.config)
    assert [entry["name"] for entry in first.inputs] == ["ingest c4", "wiki/filter"]
    moved = tmp_path / "moved"
    other.rename(moved)
    again = dataclasses.replace(stage, maps=(Score(tag=str(moved)),), reads=(("wiki/filter", str(moved)),))
    assert run_stage(again, tmp_path / "out", QUIET).digest == first.digest
    shutil.rmtree(moved)
    write_documents(moved, ["another"])
    with pytest.raises(UsageError, match="wiki/filter changed"):
        run_stage(again, tmp_path / "out", QUIET)


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        ("float64", 1 << 53, float(1 << 53)),
        ("float64", (1 << 53) + 1, None),
        ("float32", (1 << 24) + 1, None),
        ("float64", True, None),
        ("float64", 0.1, 0.1),
        ("int8", 127, 127),
        ("int8", 128, None),
        ("uint8", -1, None),
        ("bool", False, False),
        ("string", 5, None),
        ("list<string>", ["a", "b"], ["a", "b"]),
        ("list<string>", ["a", None], None),
        ("list<int8>", "ab", None),
        ("date", "2020-02-29", datetime.date(2020, 2, 29)),
        ("date", "2021-02-29", None),
        ("date", datetime.date(2020, 1, 1), datetime.date(2020, 1, 1)),
    ],
)
def test_values_of_columns_are_exact_or_stay_in_the_metadata(kind: str, value: object, wanted: object) -> None:
    column = Column("c", kind, "c")
    found = column.convert(value)
    assert found == wanted and type(found) is type(wanted)
    assert pa.array([found], column.field().type).to_pylist() == [wanted]
