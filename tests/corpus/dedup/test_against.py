"""`corpus dedup NEW --against OLD`: NEW without what OLD has, at every level, and OLD is only read."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from corpus.cli import cli
from corpus.data.columns import Column
from corpus.data.dataset import Dataset
from corpus.data.verify import verify_dataset
from corpus.dedup.config import DedupConfig
from corpus.dedup.levels import dedup_stage
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import UsageError
from tests.corpus.dedup.similar_twin import contents, invented

QUIET = RunOptions(quiet=True)
Make = Callable[..., Path]
LEVELS: list[dict[str, Any]] = [
    {"level": "line", "normalize": "exact"},
    {"level": "line", "keep": "first"},
    {"level": "document"},
    {"level": "document", "key_bits": 128, "keep": "longest"},
    {"level": "document", "key": "url"},
    {"level": "document", "key": "url", "keep": "longest"},
    {"level": "near"},
    {"level": "near", "keep": "longest"},
    {"level": "book", "threshold": 0.7},
]


def made(rng: random.Random, count: int, known: list[str]) -> list[str]:
    """Texts of several lines; many are copies of `known` ones or of each other, whole, by lines or nearly."""
    texts: list[str] = []
    for _ in range(count):
        text = "\n".join(" ".join(invented(rng, rng.randrange(12, 25))) for _ in range(rng.randrange(2, 5)))
        every = [*known, *texts]
        if every and rng.random() < 0.5:
            other = rng.choice(every)
            kind = rng.randrange(4)
            if kind == 0:
                text = other
            elif kind == 1:
                text = f"{text}\n{other.split(chr(10))[0]}"
            elif kind == 2:
                words = other.split(" ")
                words[rng.randrange(len(words))] = "changed"
                text = " ".join(words)
            else:
                text = f"{other} more words that make it longer"
        texts.append(text)
    return texts


def sources(make_documents: Make, seed: int) -> tuple[list[Path], Path]:
    """Two datasets of old documents, and one of new ones of the same domain, in shards of several pieces."""
    rng = random.Random(seed)
    old, known = [], []
    for name in ("a", "b"):
        texts = made(rng, 60, known)
        known += texts
        urls = [f"https://x.org/{rng.randrange(150)}" for _ in texts]
        ids = [f"c4/{name}#{number}" for number in range(len(texts))]
        old.append(make_documents(name, texts, shard_rows=25, piece_rows=10, url=urls, id=ids))
    texts = made(rng, 120, known)
    urls = [f"https://x.org/{rng.randrange(300)}" for _ in texts]
    return old, make_documents("new", texts, shard_rows=40, piece_rows=15, url=urls)


def rows(path: Path) -> list[dict[str, Any]]:
    return [row for batch in Dataset.open(path).batches() for row in batch.to_pylist()]


def against(old: list[Path], new: Path, output: Path, options: RunOptions = QUIET, **settings: Any) -> Dataset:
    config = DedupConfig(against=tuple(map(str, old)), **settings)
    run_stage(dedup_stage((str(new),), config), output, options)
    assert verify_dataset(output).problems == []
    return Dataset.open(output)


@pytest.mark.parametrize("settings", LEVELS, ids=lambda settings: "-".join(map(str, settings.values())))
def test_new_without_what_old_has(tmp_path: Path, make_documents: Make, settings: dict[str, Any]) -> None:
    old, new = sources(make_documents, seed=len(str(settings)))
    before = [contents(path) for path in old]
    out = against(old, new, tmp_path / "out", **settings)
    assert [contents(path) for path in old] == before
    counts = out.manifest.counts["documents"]
    assert counts.seen == 120 and 0 < counts.kept < 120
    assert out.manifest.extra["domains"] == ["c4"] and out.manifest.config["against"] == 2
    # what OLD has no duplicates in is as if both were one input of which only NEW is looked at
    clean = tmp_path / "clean"
    run_stage(dedup_stage(tuple(map(str, old)), DedupConfig(**settings)), clean, QUIET)
    alone = against([clean], new, tmp_path / "alone", **settings)
    run_stage(dedup_stage((str(clean), str(new)), DedupConfig(**settings)), tmp_path / "both", QUIET)
    first = settings["level"] != "line" and settings.get("keep") != "longest" and settings["level"] != "book"
    if first or settings["level"] == "line":
        assert rows(alone.path) == [row for row in rows(tmp_path / "both") if row["id"].startswith("c4/made")]
    if "_clusters" in {path.name for path in out.path.iterdir()}:
        table = [row for path in sorted((out.path / "_clusters").iterdir()) for row in pq.read_table(path).to_pylist()]
        assert {row["removed"][:7] for row in table} == {"c4/made"}
        assert {row["kept"][:4] for row in table} >= {"c4/a", "c4/b"}
        left = {row["id"] for row in rows(out.path)}
        assert all(row["kept"] in left or not row["kept"].startswith("c4/made") for row in table)


def test_documents_of_old_all_stay_and_none_of_new_equals_one(tmp_path: Path, make_documents: Make) -> None:
    """Though OLD has duplicates of its own, and the longest would be kept."""
    old = make_documents("old", ["same", "same", "short text", "other"], url=["u/1", "u/2", "u/3", "u/3"], id=[*"abcd"])
    new = make_documents("new", ["same", "a much longer text", "new"], url=["u/9", "u/3", "u/5"])
    out = against([old], new, tmp_path / "text", level="document")
    assert [row["text"] for row in rows(out.path)] == ["a much longer text", "new"]
    out = against([old], new, tmp_path / "url", level="document", key="url", keep="longest")
    assert [row["text"] for row in rows(out.path)] == ["same", "new"]
    (table,) = (out.path / "_clusters").iterdir()
    assert [(row["removed"], row["kept"]) for row in pq.read_table(table).to_pylist()] == [("c4/made.jsonl#1", "c")]


def test_only_what_is_written_decides_the_columns_and_shards(tmp_path: Path, make_documents: Make) -> None:
    column = Column("title", "string", "Its title.")
    old = make_documents("old", ["one", "two"], open_columns=[column], title=["t", "u"], domain="other")
    new = make_documents("new", ["one", "three", "four"], shard_rows=1)
    out = against([old], new, tmp_path / "out", level="document")
    assert out.manifest.columns == () and out.manifest.extra["domains"] == ["c4"]
    plain = make_documents("plain", ["three", "four"], shard_rows=1)
    run_stage(dedup_stage((str(plain),), DedupConfig(level="document")), tmp_path / "two", QUIET)
    assert [shard.rows for shard in out.manifest.shards] == [1, 1]
    assert [shard.task for shard in out.manifest.shards] == ["1", "2"]  # as in NEW


@pytest.mark.parametrize("level", ["line", "document", "near"])
def test_workers_and_memory_change_nothing(tmp_path: Path, make_documents: Make, level: str) -> None:
    old, new = sources(make_documents, seed=7)
    one = contents(against(old, new, tmp_path / "one", level=level).path)
    options = RunOptions(workers=2, memory=200_000_000, quiet=True, always_pool=True)
    assert contents(against(old, new, tmp_path / "two", options, level=level).path) == one
    assert contents(against(old, new, tmp_path / "small", RunOptions(memory=1, quiet=True), level=level).path) == one


def test_the_command(tmp_path: Path, make_documents: Make) -> None:
    old, new = sources(make_documents, seed=8)
    command = ["dedup", str(new), "--level", "near", "--workers", "1", "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, [*command, "--against", str(old[0]), "--against", str(old[1])])
    assert result.exit_code == 0, result.output
    assert "120 documents in" in result.output
    result = CliRunner().invoke(cli, [*command, "--against", str(new), "--overwrite"])
    assert (result.exit_code, "is among the documents to write: leave it out there" in result.output) == (2, True)
    with pytest.raises(UsageError, match="--against compares with all of its documents: give --scope all, not 3%"):
        DedupConfig(preset="ccnet", against=("x",))
    result = CliRunner().invoke(cli, [*command, "--against", str(tmp_path / "nowhere"), "--overwrite"])
    assert (result.exit_code, "nowhere does not exist" in result.output) == (2, True)
