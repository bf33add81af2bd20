"""Stage dedup against its slow twin, and its promises: same bytes, nothing lost, the stable first one stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.data.dataset import Dataset
from corpus.data.manifest import Manifest
from corpus.dedup.config import DedupConfig
from corpus.dedup.levels import dedup_stage
from corpus.dedup.lines import runs
from corpus.dedup.lines.metadata import Kept, LineSizes, line_metadata, with_lines
from corpus.dedup.lines.rewrite import EMPTY, REPEAT, KeySet, first_places, mark
from corpus.dedup.lines.runs import KeyRuns, find_repeats, removals, section_path
from corpus.dedup.lines.stage import lines_at
from corpus.dedup.scope import scope_bounds, scoped_tasks
from corpus.dedup.spill import run_path
from corpus.engine.alarms import Alarms
from corpus.engine.inputs import input_pieces
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import UsageError
from tests.corpus.dedup.lines_twin import ccnet_normalized, exact, lower, twin_dedup

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
    alarms = Alarms(max_drop=settings.pop("max_drop", 1.0))
    stage = dedup_stage(tuple(map(str, documents)), DedupConfig(**settings))
    return run_stage(stage, output, options or RunOptions(quiet=True, alarms=alarms))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [row for batch in Dataset.open(path).batches() for row in batch.to_pylist()]


def contents(path: Path) -> dict[str, bytes]:
    files = [p for p in path.rglob("*") if p.is_file() and p.relative_to(path).parts[0] not in ("_log", "_work")]
    return {str(p.relative_to(path)): p.read_bytes() for p in files}


@pytest.mark.parametrize("keep", ["none", "first"])
@pytest.mark.parametrize("normalize", ["ccnet", "exact"])
@pytest.mark.parametrize("blank_lines", ["collapse", "key"])
@pytest.mark.parametrize("scope", ["all", "document"])
@pytest.mark.parametrize("key_bits", [64, 128])
def test_as_the_twin(
    make_documents: Make, tmp_path: Path, keep: str, normalize: str, blank_lines: str, scope: str, key_bits: int
) -> None:
    texts = made_texts()
    source = make_documents("in", texts, shard_rows=7)
    settings = {"keep": keep, "normalize": normalize, "blank_lines": blank_lines, "scope": scope, "key_bits": key_bits}
    manifest = run([source], tmp_path / "out", **settings)
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


@pytest.mark.parametrize("normalize", ["ccnet", "exact", "folded"])
@pytest.mark.parametrize("scope", ["all", "shards:2", "document"])
def test_an_empty_document_does_not_count_and_is_dropped(
    make_documents: Make, tmp_path: Path, normalize: str, scope: str
) -> None:
    """Were its blank line a document's, that of the second text would go for it."""
    texts = ["", "first\n\nends", "", "last", ""]
    settings = {"preset": "ccnet", "scope": scope, "normalize": normalize}
    manifest = run([make_documents("in", texts, shard_rows=2)], tmp_path / "out", **settings)
    assert [row["text"] for row in rows_of(tmp_path / "out")] == [texts[1], texts[3]]
    assert manifest.counts["documents"].dropped == {"blank": 3}
    assert manifest.counts["lines"].dropped == {"blank": 3}


@given(st.lists(st.text(st.sampled_from("a\nü"), max_size=9), max_size=6), st.integers(0, 3), st.data())
def test_lines_by_number(texts: list[str], skipped: int, data: st.DataObject) -> None:
    column = pa.array(["x\ny"] * skipped + texts, pa.large_string()).slice(skipped)
    lines = [line for text in texts for line in text.split("\n")]
    numbers = data.draw(st.lists(st.integers(0, len(lines) - 1))) if lines else []
    assert lines_at(column, numbers) == [lines[number] for number in numbers]


@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map("\n".join), min_size=1, max_size=8))
def test_twin_rules(texts: list[str]) -> None:
    """The twin itself: no line that two documents share stays, and keep first leaves each content once."""
    none, first = twin_dedup(texts), twin_dedup(texts, keep="first")
    for twin in (none, first):
        keys = [ccnet_normalized(line) for doc in twin for line in doc.text.split("\n") if line.strip()]
        assert len(keys) == len(set(keys))
    everything = {ccnet_normalized(line) for text in texts for line in text.split("\n") if line.strip()}
    assert everything == {ccnet_normalized(line) for doc in first for line in doc.text.split("\n") if line.strip()}


@pytest.mark.parametrize("settings", [{}, {"keep": "first"}, {"key_bits": 128}, {"scope": "document"}])
def test_the_cut_into_shards_and_datasets_changes_no_document(
    make_documents: Make, tmp_path: Path, settings: dict[str, Any]
) -> None:
    texts = made_texts()
    whole = make_documents("whole", texts)
    run([whole], tmp_path / "a", **settings)
    run([make_documents("cut", texts, shard_rows=5)], tmp_path / "b", **settings)
    assert rows_of(tmp_path / "a") == rows_of(tmp_path / "b")
    halves = [make_documents("h1", texts[:20]), make_documents("h2", texts[20:], shard_rows=11)]
    run(halves, tmp_path / "c", **settings)
    assert [row["text"] for row in rows_of(tmp_path / "a")] == [row["text"] for row in rows_of(tmp_path / "c")]


@pytest.mark.parametrize("settings", [{}, {"keep": "first", "scope": "shards:3"}, {"key_bits": 128}])
def test_the_number_of_partitions_changes_no_byte(
    make_documents: Make, tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_documents("in", made_texts(), shard_rows=6)
    run([source], tmp_path / "one", **settings)
    monkeypatch.setattr(runs, "_LEAST_KEYS", 8)
    monkeypatch.setattr(runs, "KEYS_PER_PARTITION", 40)
    run([source], tmp_path / "small", RunOptions(memory=64, quiet=True), **settings)
    assert contents(tmp_path / "one") == contents(tmp_path / "small")


def test_scopes_are_consecutive_shards(make_documents: Make, tmp_path: Path) -> None:
    texts = ["line a\nu1", "line a\nu2", "line a\nu3", "line b\nline a", "line b\nu4"]
    texts = [text.replace("u", "unique " + "x" * number) for number, text in enumerate(texts)]
    source = make_documents("in", texts, shard_rows=1)
    run([source], tmp_path / "out", scope="shards:2")
    kept = [row["text"] for row in rows_of(tmp_path / "out")]
    assert kept == [texts[0].split("\n")[1], texts[1].split("\n")[1], texts[2].split("\n")[1], "line b", texts[4]]
    datasets = [Dataset.open(source)]
    pieces = input_pieces(datasets)
    assert [task.scope for task in scoped_tasks(pieces, datasets, "33%")] == [0, 0, 1, 1, 2]
    assert scope_bounds(scoped_tasks(pieces, datasets, "33%")) == [0, 2, 4, 5] and scope_bounds([]) == [0]
    assert [task.scope for task in scoped_tasks(pieces, datasets, "3%")] == [0, 1, 2, 3, 4]
    assert [(task.scope, task.place) for task in scoped_tasks(pieces, datasets, "100%")] == [(0, n) for n in range(5)]
    cut = [Dataset.open(make_documents("cut", texts, shard_rows=2, piece_rows=1))]
    tasks = scoped_tasks(input_pieces(cut), cut, "shards:2")
    assert [(task.scope, task.place) for task in tasks] == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]


def test_deduplicated_twice_keeps_the_first_line_numbers() -> None:
    once = line_metadata('{"score":3,"url":"ü"}', [0, 2, 5], LineSizes(3, 40, 7, 90))
    assert once == (
        '{"length":40,"line_ids":[0,2,5],"nlines":3,"original_length":90,"original_nlines":7,"score":3,"url":"ü"}'
    )
    twice = json.loads(line_metadata(once, [1, 2], LineSizes(2, 20, 3, 40)))
    assert twice["line_ids"] == [2, 5] and twice["original_nlines"] == 7 and twice["original_length"] == 90


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text() | st.sampled_from(
    ["length", "line_ids", "nlines", "", "lengti", "lengtg", "line", "o", "z", "\U00010000"]
)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.dictionaries(NAMES, VALUES, max_size=5), st.lists(st.integers(0, 1 << 31 - 1), max_size=4)))
)
def test_metadata_kernel_is_python(rows: list[tuple[dict[str, Any], list[int]]]) -> None:
    texts = [json.dumps(o, sort_keys=True, separators=(",", ":"), ensure_ascii=False) for o, _ in rows]
    sizes = [(n, 0, len(ids), 7 * n, 3) for n, (_, ids) in enumerate(rows)]
    bounds = np.cumsum([0, *(len(ids) for _, ids in rows)], dtype=np.int64)
    numbers = np.array([number for _, ids in rows for number in ids], dtype=np.int32)
    kept = Kept(numbers, bounds, np.array(sizes, dtype=np.int64).reshape(-1, 5))
    earlier = [isinstance(o.get("line_ids"), list) for o, _ in rows]
    if any(earlier):
        return
    wanted = [
        line_metadata(text, ids, LineSizes(len(ids), n, 3, 7 * n))
        for n, (text, (_, ids)) in enumerate(zip(texts, rows, strict=True))
        if ids
    ]
    assert with_lines(pa.array(texts, pa.string()), kept).to_pylist() == wanted


@pytest.mark.parametrize(
    "text",
    ['{"b":1,"a":2}', '{ "a":1}', '{"a":1 }', '{"a": 1}', '{"\\u0061":1}', '{"a":1,"a":2}', '{"nlines":4}', "{}\n"],
)
def test_metadata_that_is_written_otherwise(text: str) -> None:
    kept = Kept(np.array([4], np.int32), np.array([0, 1]), np.array([[1, 0, 1, 2, 3]]))
    wanted = line_metadata(text, [4], LineSizes(1, 1, 3, 2))
    assert with_lines(pa.array([text], pa.string()), kept).to_pylist() == [wanted]


@pytest.mark.parametrize("inner", [{"line_ids": []}, '"line_ids":[]', ["line_ids", []]])
def test_metadata_that_looks_like_line_numbers_is_left(inner: object) -> None:
    before = {"a": {"b": inner}, "z": inner}
    after = json.loads(line_metadata(json.dumps(before), [1, 3], LineSizes(2, 4, 5, 6)))
    assert after["line_ids"] == [1, 3] and {"a": after["a"], "z": after["z"]} == before


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
        {"level": "document", "preset": "ccnet"},
        {"keep": "longest"},
        {"key": "url"},
        {"key_bits": 32},
        {"threshold": 0.5},
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"--{list(settings)[-1].replace('_', '-')}"):
        DedupConfig(**settings)


def test_a_refused_setting_names_the_levels_that_have_it() -> None:
    with pytest.raises(UsageError) as raised:
        DedupConfig(threshold=0.5)
    wanted = "--level line has no --threshold 0.5: leave it out (--level book or --level near has it)."
    assert raised.value.message == wanted


@pytest.mark.parametrize("key_bits", [64, 128])
@pytest.mark.parametrize("shard_rows", [7, 60])
def test_the_document_whose_url_has_the_least_digest_keeps_a_line(
    make_documents: Make, tmp_path: Path, key_bits: int, shard_rows: int
) -> None:
    texts = made_texts()
    urls = [f"https://www.a.example/{number}/?utm_source=x" if number % 5 else None for number in range(len(texts))]
    source = make_documents("in", texts, shard_rows=shard_rows, url=urls)
    run([source], tmp_path / "out", preset="c4", key_bits=key_bits)
    names = [f"a.example/{number}" if url else f"c4/made.jsonl#{number}" for number, url in enumerate(urls)]
    twin = twin_dedup(texts, lower, "url", ranks=[md5(name.encode()).hexdigest() for name in names])
    wanted = {f"c4/made.jsonl#{i}": document.text for i, document in enumerate(twin) if document.line_ids}
    assert {row["id"]: row["text"] for row in rows_of(tmp_path / "out")} == wanted
    assert sum(text.lower().count("accept cookies\n") for text in wanted.values()) <= 1


def test_the_order_of_documents_is_nothing_to_it_and_what_is_compared_with_stays(
    make_documents: Make, tmp_path: Path
) -> None:
    texts = [text for text in made_texts() if text]
    urls = [f"http://b.example/{number}" for number in range(len(texts))]
    one = make_documents("one", texts, shard_rows=9, url=urls)
    other = make_documents("other", texts[::-1], shard_rows=11, url=urls[::-1])
    run([one], tmp_path / "a", preset="c4")
    run([other], tmp_path / "b", preset="c4")
    found, again = ({row["url"]: row["text"] for row in rows_of(tmp_path / name)} for name in "ab")
    assert found == again and len(found) > 20
    more = make_documents(
        "more", [texts[0] + "\nnowhere else", *texts], shard_rows=11, url=["http://b.example/new", *urls]
    )
    run([more], tmp_path / "c", preset="c4", against=(str(one),), max_drop=1.0)
    assert [row["text"] for row in rows_of(tmp_path / "c")] == ["nowhere else"]


KEYS = st.lists(st.lists(st.lists(st.integers(2, 12), unique=True), max_size=3), min_size=1, max_size=4)


@settings(max_examples=60)
@given(
    KEYS,
    st.sampled_from(["none", "first", "url"]),
    st.sampled_from([1, 4]),
    st.integers(1, 2000),
    st.sampled_from([1, 2]),
)
def test_repeats_and_removals(
    tasks: list[list[list[int]]], keep: str, partitions: int, memory: int, words: int
) -> None:
    """tasks: for each its documents' distinct keys, spread over the whole range; with two words many share the first."""
    import tempfile

    spread = 0x1555555555555555
    keep_first, ranked = keep != "none", keep == "url"

    def rank_of(task: int, document: int) -> int:
        return (task * 7 + document * 5) % 11 if ranked else 0

    def key_of(number: int) -> list[int]:
        return [number * spread % 2**64] if words == 1 else [number // 3 * 3 * spread % 2**64, number]

    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "_LEAST_KEYS", 2)
        files = []
        for number, documents in enumerate(tasks):
            directory = Path(name) / str(number)
            directory.mkdir()
            spill = KeyRuns(directory, partitions, memory, 1 << 20, words, ranked)
            for place, keys in enumerate(documents):
                ranks = np.full(len(keys), rank_of(number, place), np.uint64)
                spill.add(
                    np.array([key_of(key) for key in keys], np.uint64).reshape(-1, words), ranks if ranked else None
                )
            files.append([run_path(directory, run) for run in range(spill.close())])
        sections, top = [], []
        for partition in range(partitions):
            directory = Path(name) / f"p{partition}"
            directory.mkdir()
            found = find_repeats(directory, files, partition, partitions, keep_first, memory, words, ranked)
            sections += [section_path(directory, piece) for piece in range(found.sections)]
            top += found.top
        holders = {
            key: [
                n
                for _, n in sorted(
                    (rank_of(n, place), n)
                    for n, docs in enumerate(tasks)
                    for place, doc in enumerate(docs)
                    if key in doc
                )
            ]
            for key in range(2, 13)
        }
        assert sorted(top) == sorted((key_of(key), len(held)) for key, held in holders.items() if len(held) > 1)
        for number, documents in enumerate(tasks):
            own = {key for doc in documents for key in doc if len(holders[key]) > 1}
            stays = {key for key in own if keep_first and holders[key][0] == number}
            several = {key for key in stays if holders[key].count(number) > 1}
            parts = list(removals(sections, number, len(tasks), memory, words))
            gone, first = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
            assert gone.tolist() == sorted(map(key_of, own - stays))
            assert first.tolist() == sorted(map(key_of, several))


WIDE = st.tuples(st.sampled_from([2, 3, 1 << 63, (1 << 64) - 1]) | st.integers(2, (1 << 64) - 1), st.integers(0, 3))


@given(st.lists(WIDE), st.lists(WIDE), st.sampled_from([1, 2]), st.booleans())
def test_mark_finds_exactly_the_listed(
    listed: list[tuple[int, int]], others: list[tuple[int, int]], words: int, keep_first: bool
) -> None:
    cut = [key[:words] for key in listed]
    keys = np.array(sorted(set(cut)), dtype=np.uint64).reshape(-1, words)
    wanted = [*cut, *(key[:words] for key in others), *cut]
    lines = np.array([(0, 0)[:words], (1, 1)[:words], *wanted], dtype=np.uint64).reshape(-1, words)
    state = np.zeros(len(lines), dtype=np.uint8)
    mark(lines, KeySet.of(keys), np.zeros(len(keys), dtype=np.bool_), keep_first, state)
    met: set[tuple[int, ...]] = set()
    for line, found in zip(wanted, state.tolist()[2:], strict=True):
        assert found == (line in cut and (not keep_first or line in met))
        met.add(line)
    assert state[:2].tolist() == [EMPTY, REPEAT]
    places = first_places(lines, keys).tolist()
    assert places == [2 + wanted.index(tuple(key)) for key in keys.tolist()]


def test_known_answers_of_the_samples(samples: Path, make_documents: Make, tmp_path: Path) -> None:
    folder = samples / "dedup_fixtures"
    names = [f"doc{n}.txt" for n in range(1, 6)]
    texts = [(folder / "documents_with_line_duplicates" / name).read_text() for name in names]
    wanted = [(folder / "documents_line_deduplicated" / name).read_text().rstrip("\n") for name in names]
    run([make_documents("in", texts, shard_rows=2)], tmp_path / "out", normalize="exact")
    got = {row["source"]["record"]: row["text"] for row in rows_of(tmp_path / "out")}
    assert [got.get(number, "") for number in range(5)] == wanted
