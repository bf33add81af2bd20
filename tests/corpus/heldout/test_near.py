"""Near-duplicates of held-out documents: exact against sets of strings, the first in order, and enough text left."""

from __future__ import annotations

import functools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from corpus.cli import cli
from corpus.data.dataset import Dataset
from corpus.data.verify import verify_dataset
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import UsageError
from corpus.heldout import near
from corpus.heldout.choice import IN_TRAINING, LINES_IN_TRAINING, NEAR_TRAINING, REPEATED_TEXT
from corpus.heldout.config import ChoiceConfig
from corpus.heldout.side import side_stage
from corpus.heldout.stage import ChoiceStage
from tests.corpus.dedup.similar_twin import contents, invented, shingles

QUIET = RunOptions(quiet=True)
Make = Callable[..., Path]


@functools.cache
def grams(text: str) -> frozenset[tuple[str, ...]]:
    return frozenset(shingles(text, 5))


def similarity(one: str, other: str) -> Fraction:
    left, right = grams(one), grams(other)
    return Fraction(len(left & right), len(left | right)) if left and right else Fraction(0)


def batches(texts: Sequence[str], cut: int, wide: bool) -> list[pa.RecordBatch]:
    kind = pa.large_string() if wide else pa.string()
    made = pa.record_batch(
        {"id": pa.array(["?"] + [f"t{n}" for n in range(len(texts))]), "text": pa.array(["x", *texts], kind)}
    ).slice(1)
    return [made.slice(begin, cut) for begin in range(0, len(texts), cut)]


WORDS = st.lists(st.sampled_from(["a", "b", "A", "c,", "日本", "dé"]), max_size=14).map(" ".join)
EDITED = st.lists(st.tuples(st.integers(0, 59), st.sampled_from(["", "new", "w1 w2"])), max_size=8).map(
    lambda edits: " ".join(dict(edits).get(n, f"w{n}") for n in range(60))
)
TEXTS = st.lists(WORDS | EDITED, max_size=12)


@given(TEXTS, TEXTS, st.fractions(Fraction(1, 20), 1, max_denominator=20), st.integers(1, 5), st.booleans(), st.data())
def test_first_matches_equal_those_of_sets(
    held_out: list[str], others: list[str], share: Fraction, cut: int, wide: bool, data: st.DataObject
) -> None:
    taken = [data.draw(st.booleans()) for _ in held_out]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "_LEAST_MEMORY", data.draw(st.sampled_from([1, 2000, 1 << 20])))
        patch.setattr(near, "_FREQUENCY_BITS", data.draw(st.sampled_from([1, 8])))
        middle = len(held_out) // 2
        tasks = []
        for number, (begin, end) in enumerate(((0, middle), (middle, len(held_out)))):
            place = Path(folder, str(number))
            place.mkdir()
            own = [text for text, wanted in zip(held_out[begin:end], taken[begin:end], strict=True) if wanted]
            near.save_sets(place, len(own), batches(own, cut, wide))
            tasks.append(place)
        known = near.HeldOutSets.of(tasks)
        parts = near.save_indexes(Path(folder), known, share, 0)
        found = [
            match
            for part in range(parts)
            for match in near.find_first(
                near.NearIndex.load(Path(folder), part), known, share, batches(others, cut, wide), 0
            )
        ]
    expected = {}
    for number, text in enumerate(text for text, wanted in zip(held_out, taken, strict=True) if wanted):
        similar = [n for n, other in enumerate(others) if similarity(text, other) >= share]
        if similar:
            left, right = grams(text), grams(others[similar[0]])
            expected[number] = (f"t{similar[0]}", len(left & right), len(left), len(right))
    got = {
        match.pop("number"): tuple(match[k] for k in ("training", "shared", "size", "training_size")) for match in found
    }
    assert got == expected
    assert len(found) == len(got)


def planted(count: int = 240) -> list[str]:
    """Documents of own words, and in the second half variants of the first with more and more words changed."""
    rng = random.Random(3)
    texts = [" ".join(invented(rng, rng.randrange(60, 120))) for _ in range(count // 2)]
    for number in range(count // 2):
        words = texts[rng.randrange(count // 2)].split()
        for _ in range(number % 7):
            words[rng.randrange(len(words))] = "changed"
        texts.append(" ".join(words).upper())
    rng.shuffle(texts)
    return texts


def run(source: Path, output: Path, options: RunOptions = QUIET, side: str = "validation", **config: Any) -> Dataset:
    """One side in `output`, by a choice in `output`-choice."""
    settings: dict[str, Any] = {"validation": "25%", "min_bytes": 0, "overlap": "near"} | config
    choice = chosen(output)
    run_stage(ChoiceStage((str(source),), ChoiceConfig(**settings)), choice, options)
    run_stage(side_stage((str(source),), choice, "c4", side), output, options)
    assert not verify_dataset(choice).problems
    assert not verify_dataset(output).problems
    return Dataset.open(output)


def chosen(output: Path) -> Path:
    return output.parent / f"{output.name}-choice"


def rows(dataset: Dataset) -> list[dict[str, Any]]:
    return [row for batch in dataset.batches(["id", "text"]) for row in batch.to_pylist()]


def matches(dataset: Dataset) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(chosen(dataset.path) / "_matches" / near.MATCHES).to_pylist()
    return rows


@pytest.mark.parametrize("share", ["75%", "0.9", "100%"])
def test_planted_near_duplicates_are_dropped(tmp_path: Path, make_documents: Make, share: str) -> None:
    source = make_documents("in", planted(), shard_rows=40)
    train = rows(run(source, tmp_path / "train", side="train"))
    plain = rows(run(source, tmp_path / "plain", overlap="lines"))
    looked = run(source, tmp_path / "looked", near_overlap=share)
    wanted = Fraction(75, 100) if share == "75%" else Fraction(share.rstrip("%")) / (100 if "%" in share else 1)
    expected = []
    for row in plain:
        similar = [other for other in train if similarity(row["text"], other["text"]) >= wanted]
        if similar:
            expected.append((row["id"], similar[0]["id"], float(similarity(row["text"], similar[0]["text"]))))
    got = matches(looked)
    assert [(match["id"], match["training"], match["similarity"]) for match in got] == expected
    gone = {match["id"] for match in got}
    assert rows(looked) == [row for row in plain if row["id"] not in gone]
    assert looked.manifest.counts["documents"].dropped[NEAR_TRAINING] == len(gone)
    assert len(gone) >= 5
    # training is the same bytes with and without
    assert (
        run(source, tmp_path / "again", side="train", overlap="exact").manifest
        == Dataset.open(tmp_path / "train").manifest
    )


def test_each_document_is_dropped_for_one_reason(tmp_path: Path, make_documents: Make) -> None:
    texts = planted(120)
    rng = random.Random(8)
    texts += [rng.choice(texts) for _ in range(20)]  # whole texts again, which are single lines too
    source = make_documents("in", texts, shard_rows=30)
    looked = run(source, tmp_path / "out")
    counts = looked.manifest.counts["documents"].dropped
    assert counts[REPEATED_TEXT] > 0
    assert counts[NEAR_TRAINING] > 0
    assert LINES_IN_TRAINING not in counts and IN_TRAINING not in counts
    found = [row for path in (looked.path / "_dropped").glob("*.ids") for row in pq.read_table(path).to_pylist()]
    assert len({row["id"] for row in found}) == len(found)
    assert {row["id"] for row in found if row["reason"] == NEAR_TRAINING} == {row["id"] for row in matches(looked)}


def test_texts_without_words_and_short_ones(tmp_path: Path, make_documents: Make) -> None:
    texts = ["?!", "!!", "...", "one", "One.", "ONE", "two", "two,", "", " "] * 6
    looked = run(make_documents("in", [f"{'.' * n}{text}" for n, text in enumerate(texts)]), tmp_path / "out")
    assert {row["text"].strip(". ") for row in rows(looked)} <= {"?!", "!!", ""}
    assert matches(looked)


def test_workers_memory_and_pieces_change_nothing(
    tmp_path: Path, make_documents: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_documents("in", planted(), shard_rows=40)
    run(source, tmp_path / "one")
    options = RunOptions(workers=2, memory=200_000_000, quiet=True, always_pool=True)
    run(source, tmp_path / "two", options)
    monkeypatch.setattr(near, "_LEAST_MEMORY", 1)
    monkeypatch.setattr(near, "_FREQUENCY_BITS", 3)
    run(source, tmp_path / "small", RunOptions(memory=1, quiet=True))
    for name in ("", "-choice"):
        one, two, small = (contents(tmp_path / f"{which}{name}") for which in ("one", "two", "small"))
        assert one == two == small


def test_near_duplicates_in_further_training(tmp_path: Path, make_documents: Make) -> None:
    texts = [" ".join(invented(random.Random(n), 80)) for n in range(120)]
    source = make_documents("in", texts, shard_rows=40)
    plain = rows(run(source, tmp_path / "plain"))
    crawl = make_documents("crawl", ["other", "new " + plain[3]["text"].upper()], domain="commoncrawl")
    looked = run(source, tmp_path / "looked", training=(str(crawl),), line_overlap="100%")
    assert [(m["id"], m["training"]) for m in matches(looked)] == [(plain[3]["id"], "commoncrawl/made.jsonl#1")]
    assert rows(looked) == [row for row in plain if row != plain[3]]


@pytest.mark.slow
def test_killed_again_and_again(tmp_path: Path, make_documents: Make) -> None:
    source = make_documents("in", planted(), shard_rows=40)
    run(source, tmp_path / "whole")
    command = [sys.executable, "-c", "from corpus.cli import main; main()", "split", str(source), "--quiet"]
    command += ["--side", "validation", "--validation", "25%", "--min-bytes", "0", "--overlap", "near"]
    command += ["--workers", "2", "--output", str(tmp_path / "out")]
    rng = random.Random(1)
    for _ in range(15):
        process = subprocess.Popen(command, start_new_session=True)
        until = time.monotonic() + rng.uniform(1, 5)
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=15)
    subprocess.run(command, check=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert contents(tmp_path / "_choice" / "out") == contents(chosen(tmp_path / "whole"))


def test_the_command_drops_them(tmp_path: Path, make_documents: Make) -> None:
    source = make_documents("in", planted())
    arguments = ["split", str(source), "--validation", "25%", "--min-bytes", "0", "--quiet", "--workers", "1"]
    result = CliRunner().invoke(cli, [*arguments, "--overlap", "near", "--output", str(tmp_path / "both")])
    assert result.exit_code == 0, result.output
    validation, train = (Dataset.open(tmp_path / "both" / side) for side in ("validation", "train"))
    choice = Dataset.open(tmp_path / "both" / "choice", "choice")
    assert choice.manifest.config["near_overlap"] == "3/4"
    found = pq.read_table(choice.path / "_matches" / near.MATCHES).num_rows
    assert found == validation.manifest.counts["documents"].dropped[NEAR_TRAINING] > 5
    assert choice.manifest.counts["documents"] == validation.manifest.counts["documents"]
    for row in rows(validation):
        assert max(similarity(row["text"], other["text"]) for other in rows(train)) < Fraction(3, 4)
    help_text = CliRunner().invoke(cli, ["split", "--help"]).output
    assert "--near-overlap SHARE" in help_text


@pytest.mark.parametrize("text", ["0", "0%", "101%", "-1", "nan", "", "near"])
def test_likenesses_that_make_no_sense(text: str) -> None:
    with pytest.raises(UsageError, match="is no similarity of texts; give a number over 0% up to 100%, as 75%"):
        ChoiceConfig(overlap="near", near_overlap=text)
