"""Datasets: writer, manifest, reading, verify, and that other tools see data rows only."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.data import writer as writer_module
from corpus.data.card import write_domains_card
from corpus.data.dataset import Dataset, read_batches, resolve
from corpus.data.manifest import Counts, Manifest, differences
from corpus.data.schema import packed_schema, token_schema
from corpus.data.verify import verify_dataset
from corpus.data.writer import ShardWriter
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, UsageError
from tests.datasets import stored, write_documents
from tests.toy import SlowStage

SCHEMA = pa.schema([("id", pa.string()), ("text", pa.large_string()), ("domain", pa.string())])


def _table(sizes: list[int]) -> pa.Table:
    rows = [{"id": str(i), "text": "é" * size, "domain": "d"} for i, size in enumerate(sizes)]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@given(
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=60),
    cuts=st.lists(st.integers(1, 20), min_size=1, max_size=10),
)
def test_batches_do_not_change_a_byte(
    sizes: list[int], cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer_module, "GROUP_BYTES", 1000)
        table = _table(sizes)
        whole, parts = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("parts")
        one = ShardWriter(whole, SCHEMA, shard_bytes=3000)
        one.write(table)
        many = ShardWriter(parts, SCHEMA, shard_bytes=3000)
        start = 0
        while start < len(sizes):
            step = cuts[start % len(cuts)]
            many.write(table.slice(start, step))
            start += step
        assert one.close() == many.close()
        back = pa.concat_tables(pa.Table.from_batches(read_batches(stored(p))) for p in sorted(whole.iterdir()))
        assert back.column("text").to_pylist() == table.column("text").to_pylist()


def test_row_groups_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "GROUP_ROWS", 7)
    writer = ShardWriter(tmp_path, SCHEMA)
    writer.write(_table([1] * 30))
    writer.close()
    assert [batch.num_rows for batch in read_batches(stored(tmp_path / "00000.parquet"))] == [7, 7, 7, 7, 2]


@pytest.mark.parametrize("wide", [False, True])
def test_arrow_shards_are_read_back(tmp_path: Path, wide: bool) -> None:
    schema = token_schema(wide)
    writer = ShardWriter(tmp_path, schema, suffix=".arrow")
    writer.write(pa.Table.from_pylist([{"id": "a", "ids": [1, 2]}, {"id": "b", "ids": []}], schema=schema))
    writer.close()
    (batch,) = read_batches(stored(tmp_path / "00000.arrow"))
    assert batch.to_pylist() == [{"id": "a", "ids": [1, 2]}, {"id": "b", "ids": []}]
    assert packed_schema(5, wide).field("tokens").type.list_size == 5


def test_a_manifest_round_trips_and_notices_changes(tmp_path: Path) -> None:
    counts = Counts(seen=10, kept=6, merged=1, dropped={"b": 1, "a": 1}, quarantined=1)
    assert counts.missing == 0
    manifest = Manifest("documents", "filter", {"a": 1}, (), {"documents": counts}, {"documents": 6}, (), seed=3)
    manifest.save(tmp_path)
    loaded = Manifest.load(tmp_path)
    assert loaded.digest == manifest.digest and loaded.counts["documents"] == counts and loaded.seed == 3
    path = tmp_path / "manifest.json"
    value = json.loads(path.read_text())
    value["counts"]["documents"]["kept"] = 7
    path.write_text(json.dumps(value))
    with pytest.raises(DataError, match="digest differs"):
        Manifest.load(tmp_path)
    path.write_text("{")
    with pytest.raises(DataError, match="not a readable manifest"):
        Manifest.load(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        Manifest.load(tmp_path / "nowhere")


def test_versions_are_recorded_and_not_compared(tmp_path: Path) -> None:
    first = Manifest("documents", "filter", {}, (), {}, {}, (), versions={"numpy": "1"})
    second = Manifest("documents", "filter", {}, (), {}, {}, (), versions={"numpy": "2"})
    assert first.digest == second.digest


def test_differences_name_the_settings() -> None:
    old, new = {"a": 1, "b": {"c": [1]}}, {"a": 1, "b": {"c": [2]}, "d": None}
    assert differences(old, new) == ["b.c: [1] -> [2]"]


def test_resolve_takes_datasets_and_folders_of_them(tmp_path: Path, make_documents: Callable[..., Path]) -> None:
    make_documents("sets/b", ["x"])
    make_documents("sets/a", ["y"])
    first = make_documents("z", ["z"])
    names = [dataset.path.name for dataset in resolve([first, tmp_path / "sets"], "documents")]
    assert names == ["z", "a", "b"]
    with pytest.raises(UsageError, match="does not exist"):
        resolve([tmp_path / "none"], "documents")
    with pytest.raises(UsageError, match="holds documents, but tokens are wanted"):
        resolve([first], "tokens")
    with pytest.raises(UsageError, match="holds none"):
        resolve([first / "00000.parquet"], "documents")


def test_verify_finds_what_is_wrong(make_documents: Callable[..., Path]) -> None:
    good = make_documents("good", ["one", "two\nlines"], shard_rows=1)
    assert verify_dataset(good).problems == []
    (good / "00001.parquet").write_bytes((good / "00000.parquet").read_bytes())
    assert any("00001.parquet is damaged" in problem for problem in verify_dataset(good).problems)
    (good / "00001.parquet").unlink()
    assert verify_dataset(good).problems == ["00001.parquet is damaged (it is missing)"]
    twice = make_documents("twice", ["one", "two"], id=["same", "same"])
    assert verify_dataset(twice).problems == ["1 ids occur more than once"]
    stray = make_documents("stray", ["one"])
    (stray / "00009.parquet").write_bytes(b"")
    assert verify_dataset(stray).problems == ["00009.parquet is no shard of this dataset"]


def test_a_flipped_bit_is_found(make_documents: Callable[..., Path]) -> None:
    path = make_documents("flip", ["some text " * 50])
    shard = path / "00000.parquet"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    assert any("digests differ" in problem for problem in verify_dataset(path).problems)


def test_a_cut_shard_is_refused(make_documents: Callable[..., Path]) -> None:
    path = make_documents("cut", ["some text " * 50])
    shard = path / "00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"is damaged \(it has .* bytes and not"):
        Dataset.open(path).shard_paths()


def test_other_tools_see_data_rows_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    import datasets
    import duckdb

    out = tmp_path / "out"
    manifest = run_stage(SlowStage(), out, RunOptions(quiet=True))
    assert manifest.rows == 8 and (out / "_dropped" / "samples").exists()
    loaded = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.num_rows == 8 and loaded[0]["text"] == "a 0 0 14"
    connection = duckdb.connect()
    assert connection.sql(f"select count(*) from '{out}/*.parquet'").fetchall() == [(8,)]
    connection.close()
    data = pyarrow.dataset.dataset(str(out), format="parquet", exclude_invalid_files=True)
    assert data.count_rows() == 8


def test_a_changed_domain_is_not_taken_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    for texts in (["a", "b"], ["a", "b", "c"]):
        folder = tmp_path / "documents"
        shutil.rmtree(folder, ignore_errors=True)
        write_documents(folder / "c4" / "01-train", texts)
        write_documents(folder / "c4" / "02-validation", [])
        write_documents(folder / "c4" / "00-ingest", [*texts, "dropped"])
        write_domains_card(folder, {"c4": {"train": "c4/01-train", "validation": "c4/02-validation"}})
        loaded = datasets.load_dataset(str(folder), "c4", cache_dir=str(tmp_path / "cache"))
        assert loaded.num_rows == {"train": len(texts)}
