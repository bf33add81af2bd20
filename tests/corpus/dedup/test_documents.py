"""Level `document`: equal texts and equal URLs, which one stays, and the cluster table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.data.verify import verify_dataset
from corpus.dedup import spill
from corpus.dedup.config import DedupConfig
from corpus.dedup.documents import DocumentDedupStage, document_records, equal_documents
from corpus.dedup.url import c4_url
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError
from tests.corpus.dedup.similar_twin import contents, kept_rows, removed, run, table

Make = Callable[..., Path]


def test_the_first_stays_and_the_table_says_which(make_documents: Make, tmp_path: Path) -> None:
    first = make_documents("b", ["x", "same", "", "same\n"], domain="books")
    second = make_documents("a", ["same", "Same", "", "x", "y"], domain="arxiv", shard_rows=2)
    manifest = run([first, second], tmp_path / "out", level="document")
    assert [row["id"] for row in kept_rows(tmp_path / "out")] == [
        *(f"books/made.jsonl#{i}" for i in range(4)),
        "arxiv/made.jsonl#1",
        "arxiv/made.jsonl#4",
    ]
    counts = manifest.counts["documents"]
    assert counts.dropped == {"duplicate document": 3} and counts.missing == 0 and counts.seen == 9
    assert [
        (row["removed"], row["kept"], row["similarity"], row["removed_size"]) for row in table(tmp_path / "out")
    ] == [
        ("arxiv/made.jsonl#0", "books/made.jsonl#1", 1.0, 4),
        ("arxiv/made.jsonl#2", "books/made.jsonl#2", 1.0, 0),
        ("arxiv/made.jsonl#3", "books/made.jsonl#0", 1.0, 1),
    ]
    samples = pq.read_table(tmp_path / "out" / "_dropped" / "samples").to_pylist()
    assert {(row["id"], row["text"]) for row in samples} >= {("arxiv/made.jsonl#0", "same"), ("arxiv/made.jsonl#2", "")}
    assert manifest.extra["domains"] == ["books", "arxiv"]
    report = json.loads((tmp_path / "out" / "_report.json").read_text())
    assert report["clusters"][0] == {"kept": "books/made.jsonl#0", "removed": 1}
    assert verify_dataset(tmp_path / "out").problems == []
    (tmp_path / "out" / "_clusters" / "00000.parquet").unlink()
    assert verify_dataset(tmp_path / "out").problems == ["_clusters/00000.parquet is damaged (it is missing)"]


URLS = [
    ("http://www.a.org/x/", "a.org/x"),
    ("https://a.org/x", "a.org/x"),
    ("https://www.a.org/x?utm_source=1&b=2", "a.org/x"),
    ("http://a.org/x?ref=home", "a.org/x"),
    ("http://a.org/x/?feed=rss#top", "a.org/x"),
    ("http://a.org/x//", "a.org/x"),
    ("http://a.org/X", "a.org/X"),
    ("http://a.org/x?id=1&utm_source=1", "a.org/x?id=1&utm_source=1"),
    ("http://a.org/x#part", "a.org/x#part"),
    ("HTTP://www.a.org", "HTTP://www.a.org"),
    ("ftp://a.org/", "ftp://a.org"),
    ("http://archive.org/web/https://www.a.org/x", "archive.org/web/a.org/x"),
    ("http://a.org/x?utm_a\ny", "a.org/x\ny"),
    ("https://www.", ""),
    ("//", ""),
    ("", ""),
    (None, ""),
]


@pytest.mark.parametrize(("url", "wanted"), URLS)
def test_c4_urls(url: str | None, wanted: str) -> None:
    assert c4_url(url) == wanted


def test_urls_decide_and_no_url_equals_nothing(make_documents: Make, tmp_path: Path) -> None:
    texts = [str(number) for number in range(len(URLS))]
    source = make_documents("in", texts, shard_rows=3, url=[url for url, _ in URLS])
    manifest = run([source], tmp_path / "out", level="document", key="url")
    assert removed(tmp_path / "out") == dict.fromkeys(range(1, 6), 0)
    assert manifest.counts["documents"].dropped == {"duplicate url": 5}
    assert all(row["similarity"] == 1.0 for row in table(tmp_path / "out"))


def test_the_longest_stays_the_first_among_equals(make_documents: Make, tmp_path: Path) -> None:
    texts = ["aa", "bbb", "ü", "ccc", "d"]
    urls = ["http://a.b", "https://a.b/", "http://www.a.b", "http://a.b?ref", "http://d"]
    source = make_documents("in", texts, shard_rows=2, url=urls)
    run([source], tmp_path / "out", level="document", key="url", keep="longest")
    assert removed(tmp_path / "out") == {0: 1, 2: 1, 3: 1}
    assert [row["text"] for row in kept_rows(tmp_path / "out")] == ["bbb", "d"]
    run([source], tmp_path / "first", level="document", key="url")
    assert removed(tmp_path / "first") == {1: 0, 2: 0, 3: 0}


def test_scopes_are_apart(make_documents: Make, tmp_path: Path) -> None:
    source = make_documents("in", ["a", "a", "a", "b", "a"], shard_rows=1)
    run([source], tmp_path / "out", level="document", scope="shards:2")
    assert removed(tmp_path / "out") == {1: 0}
    run([source], tmp_path / "all", level="document")
    assert removed(tmp_path / "all") == {1: 0, 2: 0, 4: 0}


def made_texts() -> list[str]:
    rng = np.random.default_rng(5)
    return [f"text {'x' * int(n)}" for n in rng.integers(0, 25, 60)]


@pytest.mark.parametrize("settings", [{}, {"key_bits": 128, "scope": "shards:3"}, {"key": "url", "keep": "longest"}])
def test_workers_partitions_and_memory_change_no_byte(
    make_documents: Make, tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = made_texts()
    source = make_documents("in", texts, shard_rows=13, url=[f"http://a/{len(text) // 2}" for text in texts])
    settings = settings | {"level": "document"}
    run([source], tmp_path / "one", **settings)
    if "key" in settings:  # starting workers takes seconds; once is enough
        run([source], tmp_path / "two", RunOptions(workers=2, quiet=True, always_pool=True), **settings)
        assert contents(tmp_path / "one") == contents(tmp_path / "two")
    monkeypatch.setattr(spill, "_LEAST_BYTES", 64)
    monkeypatch.setattr(spill, "ENTRIES_PER_PARTITION", 8)
    run([source], tmp_path / "small", RunOptions(memory=64, quiet=True), **settings)
    assert contents(tmp_path / "one") == contents(tmp_path / "small")


def test_the_cut_into_shards_and_datasets_changes_no_document(make_documents: Make, tmp_path: Path) -> None:
    texts = made_texts()
    run([make_documents("whole", texts)], tmp_path / "a", level="document")
    run([make_documents("cut", texts, shard_rows=5)], tmp_path / "b", level="document")
    assert kept_rows(tmp_path / "a") == kept_rows(tmp_path / "b") and table(tmp_path / "a") == table(tmp_path / "b")
    halves = [make_documents("h1", texts[:20]), make_documents("h2", texts[20:], shard_rows=11)]
    run(halves, tmp_path / "c", level="document")
    assert [row["text"] for row in kept_rows(tmp_path / "a")] == [row["text"] for row in kept_rows(tmp_path / "c")]


@pytest.mark.parametrize("phase", ["keys", "match", "rewrite"])
def test_an_end_in_any_phase_changes_no_byte(make_documents: Make, tmp_path: Path, phase: str) -> None:
    source = make_documents("in", made_texts(), shard_rows=20)
    settings = {"level": "document"}
    run([source], tmp_path / "whole", **settings)
    original = DocumentDedupStage.run

    def stopped(self: DocumentDedupStage, name: str, index: int, task: Any) -> None:
        original(self, name, index, task)
        if name == phase:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DocumentDedupStage, "run", stopped)
        with pytest.raises(KeyboardInterrupt):
            run([source], tmp_path / "out", **settings)
    run([source], tmp_path / "out", **settings)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_the_alarm_stops_and_the_same_command_with_another_goes_on(make_documents: Make, tmp_path: Path) -> None:
    source = make_documents("in", ["same"] * 10)
    with pytest.raises(DataError, match=r"(?s)removed 90\.00%.*out/_report\.json.*--max-drop 100%"):
        run([source], tmp_path / "out", level="document", max_drop=0.5)
    report = json.loads((tmp_path / "out" / "_report.json").read_text())
    assert report["removed_share"] == 0.9 and report["clusters"][0]["removed"] == 9
    assert not (tmp_path / "out" / "manifest.json").exists()
    manifest = run([source], tmp_path / "out", level="document", max_drop=1.0)
    assert manifest.counts["documents"].kept == 1
    before = contents(tmp_path / "out")
    with pytest.raises(DataError, match=r"--max-drop 50%"):
        run([source], tmp_path / "out", level="document", max_drop=0.5)
    assert contents(tmp_path / "out") == before
    run([source], tmp_path / "direct", level="document", max_drop=1.0)
    assert contents(tmp_path / "direct") == before


def test_one_document(make_documents: Make, tmp_path: Path) -> None:
    for number, text in enumerate(["", "x"]):
        source = make_documents(f"in{number}", [text])
        run([source], tmp_path / f"out{number}", level="document")
        assert len(kept_rows(tmp_path / f"out{number}")) == 1 and not table(tmp_path / f"out{number}")
        assert not (tmp_path / f"out{number}" / "_clusters").exists()


TEXTS = st.lists(st.sampled_from(["", "a", "A", "b", "é", "é", "\x00", "\U0001f600"]) | st.text(max_size=3), min_size=1)


@given(TEXTS, st.sampled_from([64, 128]), st.booleans(), st.data())
def test_as_the_twin(texts: list[str], key_bits: int, longest: bool, data: st.DataObject) -> None:
    """Equal texts by a dictionary of strings; a slice of a column of either offset width."""
    skip = data.draw(st.integers(0, len(texts)))
    kind = data.draw(st.sampled_from([pa.string(), pa.large_string()]))
    urls = data.draw(
        st.none()
        | st.lists(st.sampled_from([None, "", "http://a", "a/", "b"]), min_size=len(texts), max_size=len(texts))
    )
    column = pa.array(texts, kind).slice(skip)
    others = None if urls is None else pa.array(urls, pa.string()).slice(skip)
    protected = 100 + data.draw(st.just(0) | st.integers(0, len(texts) - skip))
    removals = equal_documents(document_records(column, others, 100, key_bits), longest, protected)
    groups: dict[str, list[int]] = {}
    for row, text in enumerate(texts[skip:]):
        key = text if urls is None else c4_url(urls[skip + row])
        if urls is None or key:
            groups.setdefault(key, []).append(row)
    wanted = {}
    for rows in groups.values():
        size = [-len(texts[skip + row].encode()) if longest else 0 for row in rows]
        size = [-(10**9) if 100 + row < protected else of for row, of in zip(rows, size, strict=True)]
        stays = rows[size.index(min(size))]
        wanted |= {100 + row: 100 + stays for row in rows if row != stays and 100 + row >= protected}
    assert dict(zip(removals["removed"].tolist(), removals["kept"].tolist(), strict=True)) == wanted
    assert removals["removed"].tolist() == sorted(wanted)


def test_settings_reach_the_manifest(make_documents: Make, tmp_path: Path) -> None:
    stage = DocumentDedupStage((str(make_documents("in", ["a"])),), DedupConfig(level="document"))
    manifest = run_stage(stage, tmp_path / "out", RunOptions(quiet=True))
    assert manifest.config["key"] == "text" and manifest.config["keep"] == "first"
