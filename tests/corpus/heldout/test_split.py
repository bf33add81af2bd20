"""The split: both sides choose alike, validation is never empty, and nothing is on both sides."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from corpus.cli import cli
from corpus.data.dataset import Dataset
from corpus.data.inspect import dropped
from corpus.data.manifest import Counts, Manifest
from corpus.data.schema import DOCUMENT_SCHEMA
from corpus.data.verify import verify_dataset
from corpus.engine.document_stage import MapStage
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, UsageError
from corpus.heldout.choice import (
    IN_TRAINING,
    LINES_IN_TRAINING,
    OTHER_SIDE,
    REPEATED_TEXT,
    hash_documents,
    hash_texts,
)
from corpus.heldout.config import ChoiceConfig
from corpus.heldout.lines import LineTable, line_hashes
from corpus.heldout.side import Side, side_stage
from corpus.heldout.stage import ChoiceStage
from corpus.quality.rules.length import MaxChars
from corpus.quantity import parse_fraction

QUIET = RunOptions(quiet=True)
Make = Callable[..., Path]


def rank(text: str, seed: int = 0) -> int:
    return int.from_bytes(xxhash.xxh3_128_digest(text.encode(), seed)[:8], "big")


def split(source: Path, tmp_path: Path, options: RunOptions = QUIET, **config: Any) -> dict[str, Dataset]:
    """Choice and both sides, checked: every document is on one side, in the order of the input, or dropped."""
    output = tmp_path / f"{source.name}-split-{len(list(tmp_path.iterdir()))}"
    settings = {"min_documents": 1, "max_share_of_one_document": "100%"} | config
    stage = ChoiceStage((str(source),), ChoiceConfig(**settings))
    run_stage(stage, output / "choice", options)
    sides = {"choice": Dataset.open(output / "choice", "choice")}
    (domain,) = stage.domains
    for side in ("train", "validation"):
        run_stage(side_stage((str(source),), output / "choice", domain, side), output / side, options)
        sides[side] = Dataset.open(output / side, "documents")
    assert not any(verify_dataset(dataset.path).problems for dataset in sides.values())
    assert sides["choice"].manifest.counts == sides["validation"].manifest.counts
    train, validation = ids(sides["train"]), ids(sides["validation"])
    counts = sides["validation"].manifest.counts["documents"].dropped
    gone = sum(number for reason, number in counts.items() if reason != OTHER_SIDE)
    everything = ids(Dataset.open(source))
    assert len(train) + len(validation) + gone == len(everything)
    assert [key for key in everything if key in set(train)] == train
    assert [key for key in everything if key in set(validation)] == validation
    assert not set(train) & set(validation)
    assert not set(texts(sides["train"])) & set(texts(sides["validation"]))
    assert len(set(texts(sides["validation"]))) == len(validation)
    return sides


def ids(dataset: Dataset) -> list[str]:
    return [key for batch in dataset.batches(["id"]) for key in batch.column("id").to_pylist()]


def texts(dataset: Dataset) -> list[str]:
    return [text for batch in dataset.batches(["text"]) for text in batch.column("text").to_pylist()]


def test_both_sides_by_hash_of_text(tmp_path: Path, make_documents: Make) -> None:
    made = [f"text {n}" for n in range(2000)]
    source = make_documents("in", made, shard_rows=300)
    sides = split(source, tmp_path, validation="5%", min_bytes=0, seed=7)
    limit = int(Fraction(5, 100) * 2**64)
    expected = [text for text in made if rank(text, 7) < limit]
    assert texts(sides["validation"]) == expected
    assert 60 < len(expected) < 140
    counts = sides["train"].manifest.counts["documents"]
    assert (counts.seen, counts.kept) == (2000, 2000 - len(expected))
    assert counts.dropped == {OTHER_SIDE: len(expected)}
    assert not (sides["train"].path / "_dropped").exists()
    assert sides["validation"].manifest.config["maps"][0]["side"] == "validation"
    assert sides["validation"].manifest.extra["unlisted"] == [OTHER_SIDE]
    other = split(source, tmp_path, validation="5%", min_bytes=0, seed=8)
    assert texts(other["validation"]) != expected


def test_validation_is_never_empty(tmp_path: Path, make_documents: Make) -> None:
    made = [f"text {n}" for n in range(20)]
    sides = split(make_documents("in", made), tmp_path, min_bytes=0)
    assert texts(sides["validation"]) == [min(made, key=rank)]


def test_validation_grows_to_what_it_needs(tmp_path: Path, make_documents: Make) -> None:
    made = [f"{n:04d}" * 250 for n in range(100)]
    source = make_documents("in", made)
    sides = split(source, tmp_path, min_bytes=16_000)
    assert set(texts(sides["validation"])) == set(sorted(made, key=rank)[:16])
    sides = split(source, tmp_path, min_bytes=0, min_documents=7)
    assert set(texts(sides["validation"])) == set(sorted(made, key=rank)[:7])
    # never more than half of the text
    sides = split(source, tmp_path, min_bytes=10**9)
    assert sides["validation"].manifest.totals["bytes"] == 50_000


def test_no_document_is_most_of_validation(tmp_path: Path, make_documents: Make) -> None:
    made = sorted((f"{n:04d}" * 250 for n in range(100)), key=rank)
    made[1] *= 30  # its hash is another one now
    book = sorted(made, key=rank).index(made[1])
    source = make_documents("in", made)
    wanted: dict[str, Any] = {"validation": "50%", "min_bytes": 0, "min_documents": book + 1}
    if book < 40:
        assert made[1] in texts(split(source, tmp_path, **wanted)["validation"])
    sides = split(source, tmp_path, max_share_of_one_document="25%", **wanted)
    assert made[1] in texts(sides["train"])
    sizes = [len(text) for text in texts(sides["validation"])]
    assert max(sizes) <= sum(sizes) / 4


def test_a_text_is_held_out_with_its_copies(tmp_path: Path, make_documents: Make) -> None:
    made = sorted((f"text number {n}" for n in range(200)), key=rank)
    source = make_documents("in", [*made, *[made[2]] * 10, *[made[150]] * 30], shard_rows=70)
    sides = split(source, tmp_path, min_bytes=0, min_documents=5)
    assert sorted(texts(sides["validation"])) == sorted(made[:5])
    assert texts(sides["train"]).count(made[150]) == 31
    assert sides["validation"].manifest.counts["documents"].dropped[REPEATED_TEXT] == 10
    assert sides["train"].manifest.counts["documents"].dropped == {OTHER_SIDE: 15}


def test_inputs_that_cannot_be_split(tmp_path: Path, make_documents: Make) -> None:
    with pytest.raises(DataError, match=r"domain c4: The input has 1 documents, too few to split any off"):
        split(make_documents("one", ["alone"]), tmp_path)
    with pytest.raises(
        DataError, match="domain c4: The input has no text that could be split off, each one being over"
    ):
        split(make_documents("same", ["same"] * 30), tmp_path)
    mixed = make_documents("mixed", ["one", "two"], domain="a")
    manifest = Manifest.load(mixed)
    dataclasses.replace(manifest, extra={"domains": ["a", "b"]}).save(mixed)
    with pytest.raises(UsageError, match=r"mixed is of several domains \(a, b\): give a dataset for each domain"):
        split(mixed, tmp_path)
    dataclasses.replace(manifest, extra={"domains": ["b"]}).save(mixed)
    with pytest.raises(DataError, match="has documents of domain a, which its manifest does not name"):
        split(mixed, tmp_path)


def test_same_bytes_for_any_workers(tmp_path: Path, make_documents: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_documents("in", [f"text {n % 450}" for n in range(500)], shard_rows=90)
    one = split(source, tmp_path, validation="10%")
    two = split(source, tmp_path, RunOptions(workers=2, quiet=True, always_pool=True), validation="10%")
    for side in ("choice", "train", "validation"):
        assert one[side].manifest == two[side].manifest


def own_lines(number: int) -> list[str]:
    return [f"document {number}, its line {line}" for line in range(10)]


def placed(lines: list[str], held_out: bool) -> str:
    """A text of `lines` and one more, by which it is among the first 2% or not."""
    texts = ("\n".join([*lines, f"({n})"]) for n in itertools.count())
    return next(text for text in texts if (rank(text) < int(Fraction(2, 100) * 2**64)) is held_out)


def test_lines_of_training_count_by_their_bytes(tmp_path: Path, make_documents: Make) -> None:
    training = [*own_lines(999), "}", ""]
    first = placed([f"  {line}\t" for line in training[:6]] + own_lines(1)[6:], True)  # blanks at the ends do not count
    second = placed(training[:4] + own_lines(2)[4:], True)
    third = placed(["", " ", "}", "}", training[9], *own_lines(3)[5:]], True)
    own = placed(own_lines(4), True)
    made = [placed(own_lines(number), False) for number in range(10, 300)]
    made = [*made[:50], first, second, *made[50:], placed(training, False), third, own]
    source = make_documents("in", made, shard_rows=40)
    trained = []
    for limit, gone in (("50%", {first}), ("35%", {first, second}), ("0%", {first, second, third}), ("100%", set())):
        sides = split(source, tmp_path, validation="2%", min_bytes=0, line_overlap=limit)
        counts = sides["validation"].manifest.counts["documents"]
        assert counts.dropped.get(LINES_IN_TRAINING, 0) == len(gone), limit
        assert set(texts(sides["validation"])) == {first, second, third, own} - gone
        # what is dropped is in neither, and training is the same for every limit
        trained.append(sides["train"].manifest)
    assert all(manifest == trained[0] for manifest in trained)
    looked = dropped(split(source, tmp_path, validation="2%", min_bytes=0)["validation"].path, 100)
    assert [entry["id"] for entry in looked] == [f"c4/made.jsonl#{made.index(first)}"]


def test_nothing_of_training_stays_for_want_of_others(tmp_path: Path, make_documents: Make) -> None:
    made = ["\n".join(["the same line in every document", f"{n:02d}"]) for n in range(60)]
    source = make_documents("in", made)
    with pytest.raises(
        DataError, match="domain c4: training has the text, lines or near-duplicates of all 6 documents"
    ):
        split(source, tmp_path, min_documents=10, min_bytes=0)
    sides = split(source, tmp_path, min_documents=10, min_bytes=0, overlap="exact")
    assert len(ids(sides["validation"])) == 6  # a tenth


def test_memory_cuts_the_lines_and_changes_nothing(
    tmp_path: Path, make_documents: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ["\n".join([*own_lines(n % 45), *[f"own {n}"] * (n % 23), ""]) for n in range(90)] + [" \n"] * 3
    source = make_documents("in", made, shard_rows=40)
    config: dict[str, Any] = {"validation": "30%", "min_bytes": 0}
    whole = {side: dataset.manifest for side, dataset in split(source, tmp_path, **config).items()}
    assert whole["choice"].counts["documents"].dropped[LINES_IN_TRAINING] > 3
    monkeypatch.setattr("corpus.heldout.lines._LEAST_MEMORY", 1)
    for memory in (1, 2000):
        options = RunOptions(memory=memory, quiet=True)
        again = split(source, tmp_path, options, **config)
        assert {side: dataset.manifest for side, dataset in again.items()} == whole


def test_further_training(tmp_path: Path, make_documents: Make) -> None:
    made = ["\n".join(own_lines(number)) for number in range(300)]
    source = make_documents("in", made, shard_rows=40)
    plain = split(source, tmp_path, validation="5%", min_bytes=0)
    chosen = texts(plain["validation"])
    half = chosen[1].split("\n")[:6]
    crawl = make_documents("crawl", ["other", chosen[0], "\n".join(half)], domain="commoncrawl", shard_rows=1)
    looked = split(source, tmp_path, validation="5%", min_bytes=0, training=(str(crawl),))
    assert texts(looked["validation"]) == chosen[2:]
    counts = looked["validation"].manifest.counts["documents"].dropped
    assert (counts[IN_TRAINING], counts[LINES_IN_TRAINING]) == (1, 1)
    assert looked["choice"].manifest.extra["pairs"] == [
        {"validation": "c4", "other": "commoncrawl (--training)", IN_TRAINING: 1, LINES_IN_TRAINING: 1}
    ]
    assert looked["train"].manifest == plain["train"].manifest
    exact = split(source, tmp_path, validation="5%", min_bytes=0, training=(str(crawl),), overlap="exact")
    assert texts(exact["validation"]) == chosen[1:]
    inputs = looked["choice"].manifest.inputs
    assert [ref["digest"] for ref in inputs] == [Dataset.open(source).digest, Dataset.open(crawl).digest]
    with pytest.raises(UsageError, match=r"in is among the documents to split: leave it out there"):
        split(source, tmp_path, training=(str(source),))


def test_the_command_tells_what_is_missing(tmp_path: Path, make_documents: Make) -> None:
    shared = own_lines(999)
    made = [placed(own_lines(number), number < 3) for number in range(200)]
    made += [placed([*shared, "own"], True), placed(shared, False)]
    source = make_documents("in", made)
    arguments = ["split", str(source), "--validation", "2%", "--min-bytes", "0", "--workers", "1"]
    arguments += ["--min-documents", "4", "--max-share-of-one-document", "30%"]
    result = CliRunner().invoke(cli, [*arguments, "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    lines = [line.strip() for line in result.output.splitlines()]
    assert "c4  3 validation documents; dropped: 1 lines also in training" in lines
    assert "fewer than the 4 documents asked for: its figures rest on few" in lines
    assert "1 validation documents of c4 dropped: lines also in training of c4" in lines
    result = CliRunner().invoke(cli, [*arguments, "--training", "nowhere", "--output", str(tmp_path / "out")])
    assert (result.exit_code, "nowhere does not exist" in result.output) == (2, True)


LINES = st.lists(st.text("ab \t\n\r\x0bé", max_size=12), max_size=6)


@given(LINES, LINES, st.booleans())
def test_marked_lines_equal_a_set_of_stripped_lines(some: list[str], others: list[str], wide: bool) -> None:
    def plain(text: str) -> list[bytes]:
        found = [line.strip(b" \t\n\r\x0b\x0c") for line in text.encode().split(b"\n")]
        return [line for line in found if line]

    kind = pa.large_string() if wide else pa.string()
    index, hashes, sizes = line_hashes(pa.array(["x", *some], kind).slice(1))
    assert index.tolist() == [n for n, text in enumerate(some) for _ in plain(text)]
    assert sizes.tolist() == [len(line) for text in some for line in plain(text)]
    flat = [line for text in some for line in plain(text)]
    assert len({*zip(hashes.tolist(), flat, strict=True)}) == len(set(flat)) == len(set(hashes.tolist()))
    table = LineTable.of(hashes)
    seen = np.zeros(len(table.hashes), np.bool_)
    table.mark(pa.array(["y", *others], kind).slice(1), seen)
    theirs = {line for text in others for line in plain(text)}
    assert {*table.hashes[seen].tolist()} == {
        h for h, line in zip(hashes.tolist(), flat, strict=True) if line in theirs
    }


def test_the_command_writes_both_sides(tmp_path: Path, make_documents: Make) -> None:
    source = make_documents("in", [f"text {n}" for n in range(200)])
    arguments = ["split", str(source), "--validation", "5%", "--min-bytes", "0", "--quiet", "--workers", "1"]
    arguments += ["--min-documents", "1"]
    result = CliRunner().invoke(cli, [*arguments, "--output", str(tmp_path / "both")])
    assert result.exit_code == 0, result.output
    train, validation = (ids(Dataset.open(tmp_path / "both" / side)) for side in ("train", "validation"))
    assert sorted(train + validation) == sorted(ids(Dataset.open(source)))
    result = CliRunner().invoke(cli, [*arguments, "--side", "validation", "--output", str(tmp_path / "one")])
    assert result.exit_code == 0, result.output
    assert ids(Dataset.open(tmp_path / "one")) == validation
    assert Dataset.open(tmp_path / "one").manifest == Dataset.open(tmp_path / "both" / "validation").manifest
    assert Dataset.open(tmp_path / "_choice" / "one").manifest == Dataset.open(tmp_path / "both" / "choice").manifest
    result = CliRunner().invoke(cli, [*arguments, "--output", str(tmp_path / "one")])
    assert (result.exit_code, "is a dataset, and" in result.output) == (2, True)


def test_a_rerun_does_nothing(tmp_path: Path, make_documents: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_documents("in", [f"text {n % 180}" for n in range(200)], shard_rows=60)
    arguments = ["split", str(source), "--validation", "5%", "--min-bytes", "0", "--workers", "1"]
    arguments += ["--output", str(tmp_path / "out")]
    hashed: list[int] = []

    def count(text: pa.Array, seed: int) -> Any:
        hashed.append(len(text))
        return hash_texts(text, seed)

    monkeypatch.setattr("corpus.heldout.choice.hash_texts", count)
    monkeypatch.setattr("corpus.heldout.side.hash_texts", count)
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    choice = Dataset.open(tmp_path / "out" / "choice", "choice")
    assert sum(hashed) == 3 * 200  # for the choice and for each side
    hashed.clear()
    before = {
        path: path.stat().st_mtime_ns
        for path in (tmp_path / "out").rglob("*")
        if path.is_file() and path.name != "lock"
    }
    result = CliRunner().invoke(cli, arguments)
    assert (result.exit_code, "validation documents; dropped:" in result.output, hashed) == (0, True, [])
    assert {path: path.stat().st_mtime_ns for path in before} == before
    # a lost choice is made again, and the sides still hold
    shutil.rmtree(tmp_path / "out" / "choice")
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    assert Dataset.open(tmp_path / "out" / "choice").manifest == choice.manifest
    result = CliRunner().invoke(cli, ["inspect", str(choice.path)])
    assert (result.exit_code, "holds a choice of validation documents: give a dataset" in result.output) == (2, True)
    result = CliRunner().invoke(cli, [*arguments, "--seed", "5"])
    assert (result.exit_code, "/out/choice was made with other settings (seed: 0 -> 5)" in result.output) == (2, True)
    assert CliRunner().invoke(cli, [*arguments, "--seed", "5", "--overwrite"]).exit_code == 0
    assert verify_dataset(tmp_path / "out" / "validation").problems == []


def test_a_side_joins_a_chain_of_maps(tmp_path: Path, make_documents: Make) -> None:
    made = [f"{'long ' * (n % 3)}text {n % 450}" for n in range(500)]
    source = make_documents("in", made, shard_rows=90)
    sides = split(source, tmp_path, validation="10%")
    alone = run_stage(
        MapStage((str(sides["validation"].path),), "filter", maps=(MaxChars(13),)), tmp_path / "alone", QUIET
    )
    side = Side(str(sides["choice"].path), "c4", "validation")
    joined = run_stage(MapStage((str(source),), "both", maps=(side, MaxChars(13))), tmp_path / "joined", QUIET)
    assert joined.shards == alone.shards
    assert joined.extra["unlisted"] == [OTHER_SIDE]
    assert verify_dataset(tmp_path / "joined").problems == []
    assert Counts.from_json(joined.extra["maps"][0]["counts"]) == sides["validation"].manifest.counts["documents"]


def test_sides_that_make_no_sense(tmp_path: Path, make_documents: Make) -> None:
    with pytest.raises(UsageError, match="side is 'both': give train or validation"):
        Side("choice", "c4", "both")  # type: ignore[arg-type]
    source = make_documents("in", [f"text {n}" for n in range(30)])
    with pytest.raises(DataError, match="does not exist"):
        run_stage(side_stage((str(source),), tmp_path / "none", "c4", "train"), tmp_path / "out", QUIET)
    with pytest.raises(UsageError, match="holds documents, but choice are wanted here"):
        run_stage(side_stage((str(source),), source, "c4", "train"), tmp_path / "out", QUIET)
    choice = split(source, tmp_path, min_bytes=0)["choice"].path
    with pytest.raises(UsageError, match=r"has no choice for domain c5: did you mean 'c4'"):
        run_stage(side_stage((str(source),), choice, "c5", "train"), tmp_path / "out", QUIET)


def test_hashes_of_slices_and_of_both_string_types() -> None:
    rows = [{"id": f"c4/a#{n}", "text": f"Grüße {n}"} for n in range(9)]
    table = pa.Table.from_pylist(rows, schema=pa.schema([DOCUMENT_SCHEMA.field("id"), DOCUMENT_SCHEMA.field("text")]))
    expected = [
        (
            xxhash.xxh3_128_digest(row["text"].encode(), 3),
            xxhash.xxh3_64_intdigest(row["id"].encode(), 3),
            len(row["text"].encode()),
        )
        for row in rows
    ]
    for kind in (pa.large_string(), pa.string()):
        (batch,) = table.cast(pa.schema([("id", pa.string()), ("text", kind)])).combine_chunks().to_batches()
        got = hash_documents(batch.slice(2, 5), 3)
        assert [tuple(entry) for entry in got.tolist()] == expected[2:7]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1%", Fraction(1, 1000)),
        ("0.001", Fraction(1, 1000)),
        ("50 %", Fraction(1, 2)),
        ("1e-05", Fraction(1, 10**5)),
    ],
)
def test_fractions(text: str, value: Fraction) -> None:
    assert parse_fraction(text) == value


def test_settings_that_make_no_sense() -> None:
    for text in ("-1", "101%", "nan", "half"):
        with pytest.raises(UsageError, match=r"--line-overlap .* is no part of a text"):
            ChoiceConfig(line_overlap=text)
        with pytest.raises(UsageError, match=r"--max-share-of-one-document .* is no part of a text"):
            ChoiceConfig(max_share_of_one_document=text)
    with pytest.raises(UsageError, match="--near-overlap is of no use with --overlap lines: give --overlap near"):
        ChoiceConfig(near_overlap="75%")
    with pytest.raises(UsageError, match="--line-overlap is of no use with --overlap exact: give --overlap lines"):
        ChoiceConfig(overlap="exact", line_overlap="75%")


@pytest.mark.parametrize("text", ["0", "51%", "1", "-0.1", "some", "", "nan", "1e", "e-5", "1e-99999999"])
def test_parts_that_make_no_sense(text: str) -> None:
    with pytest.raises(UsageError, match="is no part of the documents"):
        ChoiceConfig(validation=text)
