"""`corpus export --format parquet`: one path for all tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

import corpus
from corpus.data.dataset import Dataset
from corpus.data.stored import DamagedFileError
from corpus.engine.runner import run_stage
from corpus.errors import DataError, UsageError
from corpus.export.export import export
from tests.corpus.mixture.mixed import QUIET, stage
from tests.corpus.mixture.mixing import write_tokens

TEXTS = ["one", "two\nlines", "três", "four", "five"]


def rows_by_tool(data: Path, column: str) -> dict[str, list[object]]:
    """A column as each tool reads it from one path."""
    datasets, duckdb = pytest.importorskip("datasets"), pytest.importorskip("duckdb")
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    loaded = datasets.load_dataset(str(data), split="train", cache_dir=str(data.parent.parent / "cache"))
    found = {
        "datasets": list(loaded[column]),
        "pyarrow": pyarrow.dataset.dataset(data).to_table()[column].to_pylist(),
        "pandas": pandas.read_parquet(data)[column].tolist(),
        "polars": polars.scan_parquet(data).collect()[column].to_list(),
        "duckdb": [row[0] for row in duckdb.sql(f"select {column} from '{data}/*.parquet'").fetchall()],
    }
    return {name: [list(row) if not isinstance(row, str) else row for row in rows] for name, rows in found.items()}


def test_documents_are_read_by_every_tool_from_one_path(make_documents: Callable[..., Path], tmp_path: Path) -> None:
    path = make_documents("documents", TEXTS, shard_rows=2)
    export(path, "parquet", tmp_path / "out", print)
    assert rows_by_tool(tmp_path / "out/data", "text") == dict.fromkeys(
        ("datasets", "pyarrow", "pandas", "polars", "duckdb"), TEXTS
    )
    files = sorted((tmp_path / "out/data").iterdir())
    assert [file.read_bytes() for file in files] == [shard.read() for shard in Dataset.open(path).shards()]
    described = json.loads((tmp_path / "out/export.json").read_text())
    assert list(described["files"]) == [f"data/{file.name}" for file in files]
    assert described["source"]["digest"] == Dataset.open(path).digest


def test_tokens_and_packed_rows_are_tables_too(tmp_path: Path) -> None:
    tokens, *others = [
        write_tokens(tmp_path / name, name, lengths, shards=2)
        for name, lengths in {"alpha": [5, 40, 1, 17, 9, 30], "beta": [50, 22], "gamma": [64, 8]}.items()
    ]
    run_stage(stage([tokens, *others], sequence_length=16), tmp_path / "packed", QUIET)
    for path, column in ((tokens, "ids"), (tmp_path / "packed", "tokens")):
        out = tmp_path / f"{path.name}-tables"
        corpus.open(path).export("parquet", out)
        wanted = corpus.open(path).to_table([column])[column].to_pylist()
        for tool, rows in rows_by_tool(out / "data", column).items():
            assert rows == wanted, tool
        again = tmp_path / f"{path.name}-again"
        export(path, "parquet", again, print)
        for file in (out / "data").iterdir():
            assert (again / "data" / file.name).read_bytes() == file.read_bytes()
            assert pq.read_schema(file).equals(pq.read_schema(again / "data" / file.name))


def test_what_cannot_be_a_table_is_refused(make_documents: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no rows"):
        export(make_documents("empty", []), "parquet", tmp_path / "out", print)
    with pytest.raises(UsageError, match="did you mean 'parquet'"):
        export(make_documents("documents", TEXTS), "parket", tmp_path / "out", print)
    path = make_documents("damaged", TEXTS)
    shard = next(path.glob("*.parquet"))
    data = bytearray(shard.read_bytes())
    data[40] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DamagedFileError):
        export(path, "parquet", tmp_path / "out", print)
    assert not (tmp_path / "out").exists()
