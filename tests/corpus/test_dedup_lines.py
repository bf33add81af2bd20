"""Stage dedup against its slow twin, and its promises: same bytes, nothing lost, the stable first one stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.data.dataset import Dataset
from corpus.data.manifest import Manifest
from corpus.dedup import runs
from corpus.dedup.lines import DedupConfig, DedupStage, LineSizes, line_metadata
from corpus.dedup.rewrite import KeySet, format_numbers, mark
from corpus.dedup.runs import KeyRuns, find_repeats, removals, run_path, section_path
from corpus.dedup.scope import scoped_tasks
from corpus.errors import UsageError
from corpus.stage.runner import RunOptions, run_stage
from tests.corpus.dedup_twin import ccnet_normalized, exact, twin_dedup

Make = Callable[..., Path]
WORDS = [
    "Accept cookies",
    "accept COOKIES",
    "Accept cookies…",
    "Page 1",
    "page 2",
    "",
    "  ",
    "\t",
    "only",
    "Σας",
    "ΣΑΣ",
    "x\r",
]


def made_texts(count: int = 60) -> list[str]:
    """Texts with repeats inside, across, and blank lines everywhere."""
    rng = np.random.default_rng(3)
    texts = []
    for number in range(count):
        lines = [WORDS[i] for i in rng.integers(0, len(WORDS), rng.integers(0, 12))]
        if number % 3:
            lines.insert(int(rng.integers(0, len(lines) + 1)), f"unique {'abcdefghij'[number % 10] * number}")
        texts.append("\n".join(lines))
    return texts


def run(documents: Sequence[Path], output: Path, options: RunOptions | None = None, **settings: Any) -> Manifest:
    stage = DedupStage(tuple(map(str, documents)), DedupConfig(**settings))
    return run_stage(stage, output, options or RunOptions(quiet=True))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [row for batch in Dataset.open(path).batches() for row in batch.to_pylist()]


def contents(path: Path) -> dict[str, bytes]:
    files = [p for p in path.rglob("*") if p.is_file() and p.relative_to(path).parts[0] not in ("_log", "_work")]
    return {str(p.relative_to(path)): p.read_bytes() for p in files}


@pytest.mark.parametrize("keep", ["none", "first"])
@pytest.mark.parametrize("normalize", ["ccnet", "exact"])
@pytest.mark.parametrize("blank_lines", ["collapse", "key"])
@pytest.mark.parametrize("scope", ["all", "document"])
def test_as_the_twin(
    make_documents: Make, tmp_path: Path, keep: str, normalize: str, blank_lines: str, scope: str
) -> None:
    texts = made_texts()
    source = make_documents("in", texts, shard_rows=7)
    manifest = run([source], tmp_path / "out", keep=keep, normalize=normalize, blank_lines=blank_lines, scope=scope)
    function = ccnet_normalized if normalize == "ccnet" else exact
    twin = twin_dedup(texts, function, keep, blank_lines == "key", scope == "document")
    wanted = {f"c4/made.jsonl#{i}": document for i, document in enumerate(twin) if document.line_ids}
    rows = rows_of(tmp_path / "out")
    assert [row["id"] for row in rows] == list(wanted)
    for row in rows:
        document = wanted[row["id"]]
        original = texts[row["source"]["record"]]
        assert row["text"] == document.text
        assert json.loads(row["metadata"]) == {
            "line_ids": document.line_ids,
            "nlines": len(document.line_ids),
            "length": len(document.text),
            "original_nlines": original.count("\n") + 1,
            "original_length": len(original),
        }
    lines = manifest.counts["lines"]
    assert lines.seen == sum(text.count("\n") + 1 for text in texts) and lines.missing == 0
    assert lines.dropped.get("duplicate", 0) == sum(document.duplicates for document in twin)
    assert lines.dropped.get("blank", 0) == sum(document.blanks for document in twin)
    counts = manifest.counts["documents"]
    assert counts.missing == 0 and counts.seen == len(texts) and counts.kept == len(wanted)
    empty = [document for document in twin if not document.line_ids]
    assert counts.dropped.get("duplicate lines", 0) == sum(document.duplicates > 0 for document in empty)
    assert manifest.totals["documents"] == len(wanted)


@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map("\n".join), min_size=1, max_size=8))
def test_twin_rules(texts: list[str]) -> None:
    """The twin itself: no line that two documents share stays, and keep first leaves each content once."""
    none, first = twin_dedup(texts), twin_dedup(texts, keep="first")
    for twin in (none, first):
        keys = [ccnet_normalized(line) for doc in twin for line in doc.text.split("\n") if line.strip()]
        assert len(keys) == len(set(keys))
    everything = {ccnet_normalized(line) for text in texts for line in text.split("\n") if line.strip()}
    assert everything == {ccnet_normalized(line) for doc in first for line in doc.text.split("\n") if line.strip()}


@pytest.mark.parametrize("settings", [{}, {"keep": "first"}, {"level": "document"}, {"scope": "document"}])
def test_the_cut_into_shards_and_datasets_changes_no_document(
    make_documents: Make, tmp_path: Path, settings: dict[str, Any]
) -> None:
    texts = made_texts()
    whole = make_documents("whole", texts)
    run([whole], tmp_path / "a", **settings)
    run([make_documents("cut", texts, shard_rows=5)], tmp_path / "b", shard_bytes=4, **settings)
    assert rows_of(tmp_path / "a") == rows_of(tmp_path / "b")
    halves = [make_documents("h1", texts[:20]), make_documents("h2", texts[20:], shard_rows=11)]
    run(halves, tmp_path / "c", shard_bytes=4, **settings)
    assert [row["text"] for row in rows_of(tmp_path / "a")] == [row["text"] for row in rows_of(tmp_path / "c")]


@pytest.mark.parametrize("settings", [{}, {"keep": "first", "scope": "shards:3"}, {"level": "document"}])
def test_workers_partitions_and_memory_change_no_byte(
    make_documents: Make, tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_documents("in", made_texts(), shard_rows=6)
    settings = settings | {"shard_bytes": 4}
    run([source], tmp_path / "one", **settings)
    run([source], tmp_path / "two", RunOptions(workers=2, quiet=True, always_pool=True), **settings)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    monkeypatch.setattr(runs, "_LEAST_KEYS", 8)
    monkeypatch.setattr(runs, "KEYS_PER_PARTITION", 40)
    run([source], tmp_path / "small", RunOptions(memory=64, quiet=True), **settings)
    assert contents(tmp_path / "one") == contents(tmp_path / "small")


def test_level_document_keeps_the_first(make_documents: Make, tmp_path: Path) -> None:
    first = make_documents("b", ["x", "same", "", "same\n"], domain="books")
    second = make_documents("a", ["same", "Same", "", "x", "y"], domain="arxiv")
    manifest = run([first, second], tmp_path / "out", level="document")
    assert [row["id"] for row in rows_of(tmp_path / "out")] == [
        *(f"books/made.jsonl#{i}" for i in range(4)),
        "arxiv/made.jsonl#1",
        "arxiv/made.jsonl#4",
    ]
    assert manifest.counts["documents"].dropped == {"duplicate document": 3}
    assert manifest.extra["domains"] == ["books", "arxiv"]
    dropped = pq.read_table(tmp_path / "out" / "_dropped" / "samples").to_pylist()
    assert {(row["id"], row["text"]) for row in dropped} >= {("arxiv/made.jsonl#0", "same"), ("arxiv/made.jsonl#2", "")}


def test_scopes_are_consecutive_shards(make_documents: Make, tmp_path: Path) -> None:
    texts = ["line a\nu1", "line a\nu2", "line a\nu3", "line b\nline a", "line b\nu4"]
    texts = [text.replace("u", "unique " + "x" * number) for number, text in enumerate(texts)]
    source = make_documents("in", texts, shard_rows=1)
    run([source], tmp_path / "out", scope="shards:2")
    kept = [row["text"] for row in rows_of(tmp_path / "out")]
    assert kept == [texts[0].split("\n")[1], texts[1].split("\n")[1], texts[2].split("\n")[1], "line b", texts[4]]
    datasets = [Dataset.open(source)]
    assert [task.scope for task in scoped_tasks(datasets, "33%", 0)] == [0, 0, 1, 1, 2]
    assert [task.scope for task in scoped_tasks(datasets, "3%", 0)] == [0, 1, 2, 3, 4]
    assert [(task.scope, len(task.shards)) for task in scoped_tasks(datasets, "100%", 1 << 30)] == [(0, 5)]


def test_deduplicated_twice_keeps_the_first_line_numbers() -> None:
    once = line_metadata('{"score":3,"url":"ü"}', "0,2,5", LineSizes(3, 40, 7, 90))
    assert once == (
        '{"length":40,"line_ids":[0,2,5],"nlines":3,"original_length":90,"original_nlines":7,"score":3,"url":"ü"}'
    )
    twice = json.loads(line_metadata(once, "1,2", LineSizes(2, 20, 3, 40)))
    assert twice["line_ids"] == [2, 5] and twice["original_nlines"] == 7 and twice["original_length"] == 90


@pytest.mark.parametrize("inner", [{"line_ids": []}, '"line_ids":[]', ["line_ids", []]])
def test_metadata_that_looks_like_line_numbers_is_left(inner: object) -> None:
    before = {"a": {"b": inner}, "z": inner}
    after = json.loads(line_metadata(json.dumps(before), "1,3", LineSizes(2, 4, 5, 6)))
    assert after["line_ids"] == [1, 3] and {"a": after["a"], "z": after["z"]} == before


@given(st.lists(st.lists(st.integers(0, (1 << 31) - 1), max_size=5), min_size=1, max_size=5))
def test_format_numbers(lists: list[list[int]]) -> None:
    bounds = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    flat = np.array([number for numbers in lists for number in numbers], dtype=np.int32)
    assert format_numbers(flat, bounds) == [",".join(map(str, numbers)) for numbers in lists]


@pytest.mark.parametrize(
    "settings",
    [
        {"scope": "dump"},
        {"scope": "0%"},
        {"scope": "shards:0"},
        {"level": "page"},
        {"keep": "last"},
        {"normalize": "nfkc"},
        {"level": "document", "keep": "none"},
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        DedupConfig(**settings)


KEYS = st.lists(st.lists(st.lists(st.integers(2, 12), unique=True), max_size=3), min_size=1, max_size=4)


@settings(max_examples=60)
@given(KEYS, st.booleans(), st.sampled_from([1, 4]), st.integers(1, 2000))
def test_repeats_and_removals(tasks: list[list[list[int]]], keep_first: bool, partitions: int, memory: int) -> None:
    """tasks: for each its documents' distinct keys, spread over the whole range."""
    import tempfile

    spread = np.uint64(0x1555555555555555)
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "_LEAST_KEYS", 2)
        files = []
        for number, documents in enumerate(tasks):
            directory = Path(name) / str(number)
            directory.mkdir()
            spill = KeyRuns(directory, partitions, memory, 1 << 20)
            for keys in documents:
                spill.add(np.array(keys, dtype=np.uint64) * spread)
            files.append([run_path(directory, run) for run in range(spill.close())])
        sections = []
        for partition in range(partitions):
            directory = Path(name) / f"p{partition}"
            directory.mkdir()
            pieces = find_repeats(directory, files, partition, partitions, keep_first, memory)
            sections += [section_path(directory, piece) for piece in range(pieces)]
        holders = {key: [n for n, docs in enumerate(tasks) for doc in docs if key in doc] for key in range(2, 13)}
        for number, documents in enumerate(tasks):
            own = {key for doc in documents for key in doc if len(holders[key]) > 1}
            stays = {key for key in own if keep_first and holders[key][0] == number}
            several = {key for key in stays if holders[key].count(number) > 1}
            parts = list(removals(sections, number, len(tasks), memory))
            gone, first = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
            assert gone.tolist() == [key * int(spread) % 2**64 for key in gone_order(own - stays, spread)]
            assert first.tolist() == [key * int(spread) % 2**64 for key in gone_order(several, spread)]


def gone_order(keys: set[int], spread: np.uint64) -> list[int]:
    return sorted(keys, key=lambda key: key * int(spread) % 2**64)


@given(st.lists(st.integers(2, (1 << 64) - 1)), st.lists(st.integers(2, (1 << 64) - 1)))
def test_mark_finds_exactly_the_listed(listed: list[int], others: list[int]) -> None:
    keys = np.array(sorted(set(listed)), dtype=np.uint64)
    lines = np.array([0, 1, *listed, *others, *listed], dtype=np.uint64)
    for keep_first in (False, True):
        state = np.zeros(lines.size, dtype=np.uint8)
        mark(lines, KeySet.of(keys), np.zeros(keys.size, dtype=np.bool_), keep_first, state)
        met: set[int] = set()
        for line, found in zip(lines.tolist()[2:], state.tolist()[2:], strict=True):
            assert found == (line in set(listed) and (not keep_first or line in met))
            met.add(line)
        assert state[:2].tolist() == [2, 1]


def test_known_answers_of_the_samples(samples: Path, make_documents: Make, tmp_path: Path) -> None:
    folder = samples / "dedup_fixtures"
    names = [f"doc{n}.txt" for n in range(1, 6)]
    texts = [(folder / "documents_with_line_duplicates" / name).read_text() for name in names]
    wanted = [(folder / "documents_line_deduplicated" / name).read_text().rstrip("\n") for name in names]
    run([make_documents("in", texts, shard_rows=2)], tmp_path / "out", normalize="exact")
    got = {row["source"]["record"]: row["text"] for row in rows_of(tmp_path / "out")}
    assert [got.get(number, "") for number in range(5)] == wanted
