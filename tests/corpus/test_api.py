"""The names that `corpus`, `tokenizer` and `trainer` export; opened datasets and runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import corpus
from corpus.data.columns import TITLE
from corpus.engine.runner import RunOptions
from corpus.engine.runner import run_stage as run_quietly
from tests.datasets import write_documents
from tests.toy import SlowStage, ingest


def test_import_is_light_and_names_are_there() -> None:
    program = (
        "import sys, corpus, tokenizer, trainer\n"
        "print(sorted({'pyarrow', 'numpy', 'torch', 'numba', 'pydantic', 'click.testing'} & set(sys.modules)))\n"
        "for package in (corpus, tokenizer, trainer):\n"
        "    assert set(package.__all__) <= {*dir(package), *package.__all__}\n"
        "    for name in package.__all__: getattr(package, name)\n"
        "    assert not hasattr(package, 'nothing')\n"
        "from corpus.option import nearest, option\n"
        "assert corpus.option is option and 'torch' not in sys.modules\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stdout + result.stderr


def test_a_dataset(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(7)]
    titles = [f"title {number}" for number in range(7)]
    write_documents(tmp_path / "a", texts, shard_rows=3, open_columns=[TITLE], title=titles)
    dataset = corpus.open(tmp_path / "a")
    assert (len(dataset), dataset.kind, dataset.columns) == (7, "documents", (TITLE,))
    assert [row["text"] for row in dataset] == texts and dataset.totals["documents"] == 7
    assert sum(batch.num_rows for batch in dataset.batches(["id"])) == 7
    table = dataset.to_table(["title", "text"], limit=4)
    assert table.column_names == ["title", "text"] and table["title"].to_pylist() == titles[:4]
    assert dataset.to_table(limit=0).num_rows == 0 and dataset.to_table().schema.equals(dataset.schema)
    assert dataset.document("c4/made.jsonl#5")["text"] == "text 5"
    with pytest.raises(corpus.UsageError, match="has no column 'titel': did you mean 'title'"):
        dataset.to_table(["titel"])
    pytest.importorskip("pandas")
    assert list(dataset.to_pandas(["text"], 2)["text"]) == texts[:2]


def test_without_pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_documents(tmp_path / "a", ["text"])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(corpus.UsageError, match="install it, or take to_table"):
        corpus.open(tmp_path / "a").to_pandas()


def test_drops_and_quarantine(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "a.txt").write_text("\n".join(f"line {number}" for number in range(40)), encoding="utf-8")
    dataset = corpus.run_stage(ingest(raw), tmp_path / "out", workers=1, quiet=True)
    assert dataset.drops == {"third": 4} and dataset.counts["records"].quarantined == 4
    assert {row["text"] for row in dataset.dropped("third")} == {f"line {n}" for n in (3, 13, 23, 33)}
    assert [row["reason"] for row in dataset.quarantined()] == ["fifth"] * 4
    with pytest.raises(corpus.UsageError, match="did you mean 'third'"):
        dataset.dropped("thirds")


def test_runs(tmp_path: Path) -> None:
    for name in ("documents/wiki/00-ingest", "documents/wiki/02-train", "packed"):
        run_quietly(SlowStage(), tmp_path / name, RunOptions(quiet=True))
    run = corpus.open_run(tmp_path)
    assert list(run) == ["wiki/ingest", "wiki/train", "packed"] and "wiki/train" in run and len(run) == 3
    assert run["wiki/train"].path == run["documents/wiki/02-train"].path == tmp_path / "documents/wiki/02-train"
    assert {name: len(dataset) for name, dataset in run.items()}["packed"] == 8
    with pytest.raises(corpus.UsageError, match="did you mean 'wiki/train'"):
        run["wiki/trian"]
    with pytest.raises(corpus.UsageError, match=r"corpus\.open_run"):
        corpus.open(tmp_path)
    with pytest.raises(corpus.DataError, match="does not exist"):
        corpus.open(tmp_path / "none")


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"domains": {}, "mixture": {}, "packings": 1}, "did you mean 'packing'"),
        ({"domains": {"a": {"reader": "jsonl"}}, "mixture": {}, "plugins": ["none.py"]}, "none.py cannot be read"),
        ("lama", "did you mean 'llama'"),
    ],
)
def test_recipes_that_are_wrong(tmp_path: Path, recipe: Any, words: str) -> None:
    with pytest.raises(corpus.UsageError, match=words):
        corpus.run(recipe, tmp_path, tmp_path / "out", quiet=True)
    with pytest.raises(corpus.UsageError, match="workers is 0"):
        corpus.run_stage(SlowStage(), tmp_path / "out", workers=0)


def test_a_map_of_ones_own(tmp_path: Path) -> None:
    from tests.corpus.own_map import Upper

    documents = str(write_documents(tmp_path / "a", ["one", "two"]))
    dataset = corpus.run_stage(corpus.MapStage((documents,), "upper", maps=(Upper(),)), tmp_path / "out", quiet=True)
    assert [row["text"] for row in dataset] == ["ONE", "TWO"] and isinstance(dataset.schema, pa.Schema)
