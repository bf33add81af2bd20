"""Decontamination: the kernels against plain Python, GPT-3's and PaLM's rules by hand, reports, the same bytes for any
workers, and bad input."""

from __future__ import annotations

import gzip
import json
import math
import string
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.cli import cli
from corpus.data.dataset import Dataset
from corpus.data.verify import verify_dataset
from corpus.decontaminate.cut import pieces
from corpus.decontaminate.index import Index, read_examples
from corpus.decontaminate.matches import NOTHING_LEFT, OVERLAP, PIECES
from corpus.decontaminate.stage import DecontaminateConfig, DecontaminateStage
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, UsageError
from tests.datasets import write_documents

QUIET = RunOptions(quiet=True)
Make = Callable[..., Path]


def slow_words(text: str) -> list[tuple[str, int, int]]:
    """Words with their first byte and end."""
    found: list[tuple[str, int, int]] = []
    word, begin, end, at = "", 0, 0, 0
    for char in text + " ":
        size = len(char.encode())
        lower = char.lower() if len(char.lower()) == 1 else char
        if char.isspace():
            if word:
                found.append((word, begin, end))
            word = ""
        elif not (char in string.punctuation or unicodedata.category(char)[0] == "P" or char in "\0\1"):
            begin = begin if word else at
            word, end = word + lower, at + size
        at += size
    return found


def slow_grams(text: str, size: int) -> list[tuple[str, int, int]]:
    words = slow_words(text)
    return [
        (" ".join(word for word, _, _ in words[k : k + size]), words[k][1], words[k + size - 1][2])
        for k in range(len(words) - size + 1)
    ]


TEXT = st.lists(
    st.sampled_from(["a", "B", "b", "ß", "Ä.", "ä", "-", "…", "日本", "İ", "\n", "\u3000", "q!", "A\0", "𝒜"]),
    max_size=14,
)
TEXTS = st.lists(TEXT.map(" ".join) | TEXT.map("".join) | st.text(max_size=8), max_size=6)


@given(TEXTS, TEXTS, st.integers(1, 4), st.sampled_from([(1 << 64) - 1, 1 << 63, 0, 0b111 << 60]))
def test_found_grams_equal_plain_python(examples: list[str], documents: list[str], size: int, mask: int) -> None:
    index = Index.of(examples, size, mask)
    every = [[gram for gram, _, _ in slow_grams(text, size)] for text in examples]
    numbered = {index.gram(number): number for number in range(len(index.hashes))}
    assert len(numbered) == len(index.hashes)
    assert set(numbered) == {gram for grams in every for gram in grams}
    assert index.sizes.tolist() == [len(set(grams)) for grams in every]
    for text, grams in enumerate(every):
        assert sorted(index.held_by(text).tolist()) == sorted(numbered[gram] for gram in set(grams))
    for gram, number in numbered.items():
        holders = index.texts[index.bounds[number] : index.bounds[number + 1]].tolist()
        assert holders == [text for text, grams in enumerate(every) if gram in grams]
    expected = [
        (row, numbered[gram], begin, end)
        for row, text in enumerate(documents)
        for gram, begin, end in slow_grams(text, size)
        if gram in numbered
    ]
    for kind in (pa.string(), pa.large_string()):
        found = index.find(pa.array(["a b", *documents], kind).slice(1))
        assert list(zip(*(part.tolist() for part in found), strict=True)) == expected


def test_more_places_than_there_is_room_for() -> None:
    index = Index.of(["a b"], 2)
    row, _, begin, _ = index.find(pa.array(["x", "a b " * 5000]))
    assert len(row) == 5000
    assert begin.tolist() == list(range(0, 20_000, 4))


@given(st.text("aé🙂 \n", max_size=40), st.data(), st.integers(0, 6))
def test_pieces_equal_characters_that_are_far_from_matches(text: str, data: st.DataObject, window: int) -> None:
    spans = data.draw(st.lists(st.tuples(st.integers(0, len(text)), st.integers(0, len(text))), max_size=4))
    places = [(min(pair), max(pair)) for pair in spans if pair[0] != pair[1]]
    gone = {at for begin, end in places for at in range(begin - window, end + window)}
    expected, run = [], ""
    for at, char in enumerate(text):
        if at in gone:
            expected += [run] if run else []
            run = ""
        else:
            run += char
    expected += [run] if run else []
    in_bytes = [(len(text[:begin].encode()), len(text[:end].encode())) for begin, end in places]
    assert pieces(text, in_bytes, window) == expected


def words(number: int, count: int) -> str:
    """`count` words that occur in no other text."""
    return " ".join(f"w{number}x{k}" for k in range(count))


def write_examples(path: Path, records: list[Any]) -> str:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return str(path)


def rows(path: Path) -> list[dict[str, Any]]:
    return [row for batch in Dataset.open(path).batches() for row in batch.to_pylist()]


def matches(path: Path) -> list[dict[str, Any]]:
    return [row for file in sorted((path / "_matches").glob("*.matches")) for row in pq.read_table(file).to_pylist()]


def run(source: Path, output: Path, options: RunOptions = QUIET, **config: Any) -> Dataset:
    run_stage(DecontaminateStage((str(source),), DecontaminateConfig(**config)), output, options)
    assert not verify_dataset(output).problems
    return Dataset.open(output)


def test_gpt3_cuts_two_hundred_characters_around(tmp_path: Path, make_documents: Make) -> None:
    question = "What is the name of the fox that jumps over the lazy dog today?"  # 14 words
    against = write_examples(tmp_path / "e.jsonl", [{"q": question, "a": "short"}])
    head, tail = words(1, 100), words(2, 100)
    quoted = question.upper().replace(" ", "  --  ")
    texts = [
        f"{head} {quoted} {tail}",
        head,
        f"short {quoted[:-20]}",  # 12 words only
        f"{words(3, 20)} {quoted} {words(4, 20)}",
        " ".join([f"{words(5, 100)} {quoted}"] * 11) + words(6, 60),
    ]
    source = make_documents("in", texts, shard_rows=2)
    dataset = run(source, tmp_path / "out", against=(against,))
    kept = {row["id"].rpartition("#")[2]: row["text"] for row in rows(tmp_path / "out")}
    # the matches reach from WHAT to TODAY; the question mark behind it is in the window
    whole = texts[0]
    begin, end = whole.index("WHAT"), whole.index("TODAY") + 5
    assert kept["0"] == whole[: begin - 200] + "\n\n" + whole[end + 200 :]
    assert kept["1"] == texts[1]
    assert kept["2"] == texts[2]
    assert set(kept) == {"0", "1", "2"}
    assert dataset.manifest.counts["documents"].dropped == {NOTHING_LEFT: 1, PIECES: 1}
    extra = dataset.manifest.extra
    assert extra["evaluation"] == {"texts": 2, "short": 1, "contaminated": 1, "ngrams": 2, "ignored_ngrams": 0}
    assert extra["cut"] == 1
    report = {row["id"].rpartition("#")[2]: row for row in matches(tmp_path / "out")}
    assert {key: row["action"] for key, row in report.items()} == {"0": "cut", "3": "dropped", "4": "dropped"}
    line = report["0"]
    assert (line["file"], line["record"], line["field"], line["matched"], line["ngrams"]) == ("e.jsonl", 0, "q", 2, 2)
    assert line["ngram"] == "what is the name of the fox that jumps over the lazy dog"
    assert whole.encode()[line["start"] : line["end"]].decode().split()[0] == "WHAT"
    examples = pq.read_table(tmp_path / "out" / "_matches" / "examples").to_pylist()
    assert [(e["field"], e["ngrams"], e["seen"], e["contaminated"]) for e in examples] == [
        ("q", 2, 2, True),
        ("a", 0, 0, False),
    ]


def test_gpt3_ignores_what_is_in_more_than_ten_documents(tmp_path: Path, make_documents: Make) -> None:
    common, rare = words(1, 13), words(2, 13)
    against = write_examples(tmp_path / "e.jsonl", [{"t": common}, {"t": rare}])
    texts = [f"{common} {words(10 + n, 200)}" for n in range(11)]
    texts += [f"{rare} {rare} {words(50 + n, 200)}" for n in range(10)]
    source = make_documents("in", [*texts, "kept"], shard_rows=4)
    dataset = run(source, tmp_path / "out", against=(against,))
    assert dataset.manifest.extra["cut"] == 10
    assert dataset.manifest.extra["evaluation"]["ignored_ngrams"] == 1
    assert [row["text"] for row in rows(tmp_path / "out")][:11] == texts[:11]
    dataset = run(source, tmp_path / "all", against=(against,), most_documents=0, mode="drop")
    assert dataset.manifest.counts["documents"].dropped == {OVERLAP: 21}


def test_palm_drops_documents_with_seventy_percent_of_a_text(tmp_path: Path, make_documents: Make) -> None:
    parts = words(1, 17).split()  # 10 8-grams
    against = write_examples(tmp_path / "e.jsonl", [{"q": " ".join(parts), "c": {"d": [words(2, 8)]}}])
    texts = [
        " ".join(parts[:14]),  # 7 of them
        " ".join(parts[:13]),  # 6
        " ".join(parts[5:]) + " " + words(3, 5),  # 5
        words(2, 8),
        words(4, 50),
    ]
    dataset = run(make_documents("in", texts), tmp_path / "out", against=(against,), preset="palm")
    assert [row["id"].rpartition("#")[2] for row in rows(tmp_path / "out")] == ["1", "2", "4"]
    assert dataset.manifest.counts["documents"].dropped == {OVERLAP: 2}
    actions = {
        (row["id"].rpartition("#")[2], row["field"]): (row["action"], row["matched"])
        for row in matches(tmp_path / "out")
    }
    assert actions == {
        ("0", "q"): ("dropped", 7),
        ("1", "q"): ("kept", 6),
        ("2", "q"): ("kept", 5),
        ("3", "c.d.0"): ("dropped", 1),
    }
    examples = pq.read_table(tmp_path / "out" / "_matches" / "examples").to_pylist()
    assert [(e["seen"], e["contaminated"]) for e in examples] == [(10, True), (1, True)]


VOCABULARY = st.lists(st.sampled_from("abcde"), max_size=14).map(" ".join)


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(
    st.lists(VOCABULARY, min_size=1, max_size=4),
    st.lists(VOCABULARY.map(lambda text: text or "e"), min_size=1, max_size=6),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.5, 0.7, 1.0]),
    st.integers(0, 3),
)
def test_dropped_documents_equal_plain_python(
    examples: list[str], texts: list[str], size: int, share: float, most: int
) -> None:
    sets = [{gram for gram, _, _ in slow_grams(text, size)} for text in texts]
    held = [{gram for gram, _, _ in slow_grams(text, size)} for text in examples]
    frequency = Counter(gram for grams in sets for gram in grams)
    ignored = {gram for gram, count in frequency.items() if most and count > most}
    bad = [
        any(grams and len((own & grams) - ignored) >= max(1, math.ceil(share * len(grams) - 1e-9)) for grams in held)
        for own in sets
    ]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        against = write_examples(place / "e.jsonl", [{"t": text} for text in examples])
        source = write_documents(place / "in", [*texts, "kept"], shard_rows=2)
        if any(text for text in examples):
            config: dict[str, Any] = {"ngram": size, "share": share, "most_documents": most, "mode": "drop"}
            run(source, place / "out", against=(against,), **config)
            kept = [int(row["id"].rpartition("#")[2]) for row in rows(place / "out")]
            assert kept == [n for n, gone in enumerate([*bad, False]) if not gone]


def test_same_bytes_for_any_workers(tmp_path: Path, make_documents: Make) -> None:
    generator = np.random.default_rng(0)
    vocabulary = [f"v{n}" for n in range(6)]
    texts = [" ".join(generator.choice(vocabulary, 80)) for _ in range(300)]
    against = write_examples(
        tmp_path / "e.jsonl", [{"t": " ".join(generator.choice(vocabulary, 30))} for _ in range(40)]
    )
    source = make_documents("in", texts, shard_rows=25)
    config: dict[str, Any] = {"against": (against,), "ngram": 5, "window": 3, "min_piece": 5}
    one = run(source, tmp_path / "one", **config)
    two = run(source, tmp_path / "two", RunOptions(workers=2, quiet=True, always_pool=True), **config)
    assert one.manifest == two.manifest
    assert one.manifest.extra["cut"] > 10


def test_examples_by_field_and_compressed(tmp_path: Path) -> None:
    records = [{"q": "one", "c": {"text": ["two", "three"]}, "n": 4, "x": None}, {"q": "five"}]
    plain = write_examples(tmp_path / "e.jsonl", records)
    packed = tmp_path / "e.jsonl.gz"
    packed.write_bytes(gzip.compress(Path(plain).read_bytes()))
    for path in (plain, str(packed)):
        found = list(read_examples([path], []))
        assert [(e.record, e.field, e.text) for e in found] == [
            (0, "q", "one"),
            (0, "c.text.0", "two"),
            (0, "c.text.1", "three"),
            (1, "q", "five"),
        ]
        assert [e.text for e in read_examples([path], ["c.text"])] == ["two", "three"]
    with pytest.raises(UsageError, match=r"has no text in question .*: give its fields"):
        list(read_examples([plain], ["question"]))
    packed.write_bytes(packed.read_bytes()[:-12])
    with pytest.raises(DataError, match=r"e\.jsonl\.gz is no file of JSON lines"):
        list(read_examples([str(packed)], []))


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ("[1]\n", "line 1 is no JSON object"),
        ("{}\n{", "is no file of JSON lines"),
        ("", "has no text"),
        ("\n{}", "has no text"),
    ],
)
def test_broken_examples(tmp_path: Path, make_documents: Make, lines: str, wanted: str) -> None:
    (tmp_path / "e.jsonl").write_text(lines, encoding="utf-8")
    with pytest.raises((DataError, UsageError), match=wanted):
        run(make_documents("in", ["text"]), tmp_path / "out", against=(str(tmp_path / "e.jsonl"),))


def test_settings_that_make_no_sense(tmp_path: Path) -> None:
    for config, wanted in (
        ({"against": ()}, "nothing to compare with"),
        ({"ngram": 0}, "--ngram is 0"),
        ({"share": 1.5}, "--share is 1.5"),
        ({"window": -1}, "--window is -1"),
        ({"most_documents": -1}, "--most-documents is -1"),
    ):
        with pytest.raises(UsageError, match=wanted):
            DecontaminateConfig(**({"against": ("e",)} | config))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="nowhere is no file"):
        DecontaminateStage((), DecontaminateConfig(against=(str(tmp_path / "nowhere"),))).inputs()


def test_the_command(tmp_path: Path, make_documents: Make) -> None:
    against = write_examples(tmp_path / "e.jsonl", [{"t": words(1, 13)}, {"t": "few words"}])
    source = make_documents("in", [f"{words(2, 100)} {words(1, 13)} {words(3, 100)}", words(4, 9)])
    arguments = [
        "decontaminate",
        str(source),
        "--against",
        against,
        "--output",
        str(tmp_path / "out"),
        "--workers",
        "1",
    ]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert (
        "1 of 2 evaluation texts found in the input, 1 too short to look for; 1 documents cut, 0 dropped"
        in result.output
    )
    (tmp_path / "e.jsonl").write_text(json.dumps({"t": words(1, 14)}), encoding="utf-8")
    result = CliRunner().invoke(cli, arguments)
    assert (result.exit_code, "--overwrite" in result.output) == (2, True)
