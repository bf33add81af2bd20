"""The split: both sides choose alike, validation is never empty, and nothing is on both sides."""

from __future__ import annotations

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
from corpus.data.manifest import Counts
from corpus.data.schema import DOCUMENT_SCHEMA
from corpus.data.verify import verify_dataset
from corpus.engine.document_stage import MapStage
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, UsageError
from corpus.heldout.choice import IN_TRAINING, LINES_IN_TRAINING, OTHER_SIDE, hash_documents, hash_texts
from corpus.heldout.lines import LineTable, line_hashes, overlapping
from corpus.heldout.side import Side, side_stage
from corpus.heldout.stage import ChoiceConfig, ChoiceStage
from corpus.quality.rules.length import MaxChars
from corpus.quantity import parse_fraction

QUIET = RunOptions(quiet=True)
Make = Callable[..., Path]


def rank(key: str, seed: int) -> int:
    return xxhash.xxh3_64_intdigest(key.encode(), seed)


def split(source: Path, tmp_path: Path, options: RunOptions = QUIET, **config: Any) -> dict[str, Dataset]:
    """Choice and both sides, checked: every document is on one side, in the order of the input, or a duplicate."""
    output = tmp_path / f"{source.name}-split-{len(list(tmp_path.iterdir()))}"
    run_stage(ChoiceStage((str(source),), ChoiceConfig(**config)), output / "choice", options)
    sides = {"choice": Dataset.open(output / "choice", "choice")}
    for side in ("train", "validation"):
        run_stage(side_stage((str(source),), output / "choice", side), output / side, options)
        sides[side] = Dataset.open(output / side, "documents")
    assert not any(verify_dataset(dataset.path).problems for dataset in sides.values())
    assert sides["choice"].manifest.counts == sides["validation"].manifest.counts
    train, validation = ids(sides["train"]), ids(sides["validation"])
    counts = sides["validation"].manifest.counts["documents"].dropped
    twice = counts.get(IN_TRAINING, 0) + counts.get(LINES_IN_TRAINING, 0)
    everything = ids(Dataset.open(source))
    assert len(train) + len(validation) + twice == len(everything)
    assert [key for key in everything if key in set(train)] == train
    assert [key for key in everything if key in set(validation)] == validation
    assert not set(train) & set(validation)
    assert not set(texts(sides["train"])) & set(texts(sides["validation"]))
    return sides


def ids(dataset: Dataset) -> list[str]:
    return [key for batch in dataset.batches(["id"]) for key in batch.column("id").to_pylist()]


def texts(dataset: Dataset) -> list[str]:
    return [text for batch in dataset.batches(["text"]) for text in batch.column("text").to_pylist()]


def test_both_sides_by_hash_of_id(tmp_path: Path, make_documents: Make) -> None:
    source = make_documents("in", [f"text {n}" for n in range(2000)], shard_rows=300)
    sides = split(source, tmp_path, validation="5%", min_bytes=0, seed=7)
    limit = int(Fraction(5, 100) * 2**64)
    expected = [key for key in ids(Dataset.open(source)) if rank(key, 7) < limit]
    assert ids(sides["validation"]) == expected
    assert 60 < len(expected) < 140
    counts = sides["train"].manifest.counts["documents"]
    assert (counts.seen, counts.kept) == (2000, 2000 - len(expected))
    assert counts.dropped == {OTHER_SIDE: len(expected)}
    assert not (sides["train"].path / "_dropped").exists()
    assert sides["validation"].manifest.config["maps"][0]["side"] == "validation"
    assert sides["validation"].manifest.extra["unlisted"] == [OTHER_SIDE]
    assert sides["choice"].manifest.extra["limit"] == f"{limit - 1:016x}"
    other = split(source, tmp_path, validation="5%", min_bytes=0, seed=8)
    assert ids(other["validation"]) != expected


def test_validation_is_never_empty(tmp_path: Path, make_documents: Make) -> None:
    source = make_documents("in", [f"text {n}" for n in range(20)])
    sides = split(source, tmp_path, min_bytes=0)
    hashes = {key: rank(key, 0) for key in ids(Dataset.open(source))}
    assert ids(sides["validation"]) == [min(hashes, key=lambda key: hashes[key])]


def test_validation_grows_to_the_bytes_it_needs(tmp_path: Path, make_documents: Make) -> None:
    source = make_documents("in", [f"{n:04d}" * 250 for n in range(100)])
    sides = split(source, tmp_path, min_bytes=16_000)
    hashes = sorted((rank(key, 0), key) for key in ids(Dataset.open(source)))
    assert set(ids(sides["validation"])) == {key for _, key in hashes[:16]}
    # never more than half of the text
    sides = split(source, tmp_path, min_bytes=10**9)
    assert sides["validation"].manifest.totals["bytes"] == 50_000


def test_duplicates_are_dropped_from_validation(tmp_path: Path, make_documents: Make) -> None:
    made = [f"text number {n}" for n in range(200)] + ["the same everywhere"] * 200
    source = make_documents("in", made, shard_rows=70)
    sides = split(source, tmp_path, validation="20%", min_bytes=0)
    dropped = sides["validation"].manifest.counts["documents"].dropped
    assert dropped[IN_TRAINING] > 10
    assert texts(sides["train"]).count("the same everywhere") == 200 - dropped[IN_TRAINING]
    assert "the same everywhere" not in texts(sides["validation"])


def test_documents_that_drop_out_are_replaced(tmp_path: Path, make_documents: Make) -> None:
    keys = sorted(range(50), key=lambda n: rank(f"c4/made.jsonl#{n}", 0))
    made = [f"text number {n:03d}" for n in range(50)]
    for twin in keys[-3:]:
        made[twin] = made[keys[0]]
    made[keys[1]] = made[keys[-1]]
    sides = split(make_documents("in", made), tmp_path, min_bytes=30)
    assert texts(sides["validation"]) == [made[n] for n in sorted(keys[2:4])]
    assert sides["validation"].manifest.counts["documents"].dropped[IN_TRAINING] == 2


def test_inputs_that_cannot_be_split(tmp_path: Path, make_documents: Make) -> None:
    with pytest.raises(DataError, match=r"/one: The input has 1 documents, too few to split any off"):
        split(make_documents("one", ["alone"]), tmp_path)
    with pytest.raises(DataError, match="/same: Every document that could be split off also occurs in"):
        split(make_documents("same", ["same"] * 30), tmp_path)
    mixed = tuple(str(make_documents(name, ["one", "two"], domain=name)) for name in ("a", "b"))
    with pytest.raises(DataError, match=r"several domains \(a, b\); split each by itself"):
        run_stage(ChoiceStage(mixed, ChoiceConfig()), tmp_path / "out", QUIET)


def test_same_bytes_for_any_workers(tmp_path: Path, make_documents: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_documents("in", [f"text {n % 450}" for n in range(500)], shard_rows=90)
    one = split(source, tmp_path, validation="10%")
    two = split(source, tmp_path, RunOptions(workers=2, quiet=True, always_pool=True), validation="10%")
    for side in ("choice", "train", "validation"):
        assert one[side].manifest == two[side].manifest


def own_lines(number: int) -> list[str]:
    return [f"document {number}, its line {line}" for line in range(10)]


def test_lines_of_training_count_by_their_bytes(tmp_path: Path, make_documents: Make) -> None:
    made = [own_lines(number) for number in range(300)]
    keys = sorted(range(300), key=lambda n: rank(f"c4/made.jsonl#{n}", 0))
    first, second, third, training = keys[0], keys[1], keys[2], keys[-1]
    made[first][:6] = [f"  {line}\t" for line in made[training][:6]]  # blanks at the ends do not count
    made[second][:4] = made[training][:4]
    made[third][:5] = ["", " ", "}", "}", made[training][9]]
    made[training] += ["}", ""]
    source = make_documents("in", ["\n".join(lines) for lines in made], shard_rows=40)
    trained = []
    for limit, gone in (("50%", {first}), ("35%", {first, second}), ("0%", {first, second, third}), ("100%", set())):
        sides = split(source, tmp_path, validation="2%", min_bytes=0, line_overlap=limit)
        counts = sides["validation"].manifest.counts["documents"]
        assert counts.dropped.get(LINES_IN_TRAINING, 0) == len(gone), limit
        assert not {f"c4/made.jsonl#{n}" for n in gone} & set(ids(sides["validation"]))
        # what is dropped is in neither, and training is the same for every limit
        trained.append(sides["train"].manifest)
    assert all(manifest == trained[0] for manifest in trained)
    looked = dropped(split(source, tmp_path, validation="2%", min_bytes=0)["validation"], 100)
    assert [entry["id"] for entry in looked] == [f"c4/made.jsonl#{first}"]


def test_validation_keeps_its_bytes_though_lines_overlap(tmp_path: Path, make_documents: Make) -> None:
    made = ["\n".join(["the same line in every document", f"{n:02d}"]) for n in range(60)]
    source = make_documents("in", made)
    sides = split(source, tmp_path, validation="20%", min_bytes=100)
    assert len(ids(sides["validation"])) == 4  # 33 bytes on lines each
    assert sides["choice"].manifest.extra["kept_with_overlap"] == 4
    sides = split(source, tmp_path, validation="20%", min_bytes=0)
    assert len(ids(sides["validation"])) == 1


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
    assert looked["validation"].manifest.counts["documents"].dropped[LINES_IN_TRAINING] == 2
    assert looked["train"].manifest == plain["train"].manifest
    inputs = looked["choice"].manifest.inputs
    assert [ref["digest"] for ref in inputs] == [Dataset.open(source).digest, Dataset.open(crawl).digest]
    with pytest.raises(UsageError, match=r"in is among the documents to split: leave it out there"):
        split(source, tmp_path, training=(str(source),))
    with pytest.raises(UsageError, match="--training is of no use with --line-overlap 100%"):
        ChoiceConfig(training=("x",), line_overlap="1")


def test_the_command_tells_what_stays(tmp_path: Path, make_documents: Make) -> None:
    made = ["\n".join(["the same line in every document", f"{n:02d}"]) for n in range(60)]
    source = make_documents("in", made)
    arguments = ["split", str(source), "--validation", "20%", "--min-bytes", "100", "--workers", "1"]
    result = CliRunner().invoke(cli, [*arguments, "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    gone = Dataset.open(tmp_path / "out" / "validation").manifest.counts["documents"].dropped[LINES_IN_TRAINING]
    said = f"4 validation documents; dropped: {gone} lines also in training; kept though also in training, to have "
    assert said + "--min-bytes: 4 with their lines\n" in result.output
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


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9), st.integers(1, 9)), max_size=30),
    st.sets(st.integers(0, 9)),
    st.sampled_from([Fraction(0), Fraction(1, 3), Fraction(1, 2)]),
    st.integers(0, 60),
)
def test_dropped_documents_equal_a_slow_count(
    made: list[tuple[int, int, int]], training: set[int], most: Fraction, wanted: int
) -> None:
    size = {key: sum(b for k, _, b in made if k == key) for key, _, _ in made}
    shared = {key: sum(b for k, line, b in made if k == key and line in training) for key in size}
    columns = (
        np.array([*size], np.uint64),
        np.array([*size.values()], np.int64),
        np.array([*shared.values()], np.int64),
    )
    gone, kept = overlapping(*columns, most, wanted)
    share = {key: Fraction(shared[key], size[key]) for key in size}
    bad = {key for key in size if share[key] > most}
    assert set(gone.tolist()) <= bad
    assert kept == len(bad) - len(gone)
    left = sum(size[key] for key in size if key not in set(gone.tolist()))
    if size:
        assert left > 0
    if kept:
        stayed = sorted(bad - set(gone.tolist()), key=lambda key: (share[key], key))
        assert all((share[key], key) < (share[other], other) for key in stayed for other in gone.tolist())
        assert left - size[stayed[-1]] < max(1, wanted)
    if len(gone):
        assert left >= wanted


def test_the_command_writes_both_sides(tmp_path: Path, make_documents: Make) -> None:
    source = make_documents("in", [f"text {n}" for n in range(200)])
    arguments = ["split", str(source), "--validation", "5%", "--min-bytes", "0", "--quiet", "--workers", "1"]
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
    assert (result.exit_code, "is a dataset, not a folder of both sides" in result.output) == (2, True)


def test_a_rerun_does_nothing_and_texts_are_hashed_once(
    tmp_path: Path, make_documents: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_documents("in", [f"text {n % 180}" for n in range(200)], shard_rows=60)
    arguments = ["split", str(source), "--validation", "5%", "--min-bytes", "0", "--workers", "1"]
    arguments += ["--output", str(tmp_path / "out")]
    hashed: list[int] = []

    def count(text: pa.Array) -> Any:
        hashed.append(len(text))
        return hash_texts(text)

    monkeypatch.setattr("corpus.heldout.choice.hash_texts", count)
    monkeypatch.setattr("corpus.heldout.side.hash_texts", count)
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    choice = Dataset.open(tmp_path / "out" / "choice", "choice")
    held_out = 200 - choice.manifest.counts["documents"].dropped[OTHER_SIDE]
    assert sum(hashed) == 200 + held_out  # and once more those of validation
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
    side = Side(str(sides["choice"].path), "validation")
    joined = run_stage(MapStage((str(source),), "both", maps=(side, MaxChars(13))), tmp_path / "joined", QUIET)
    assert joined.shards == alone.shards
    assert joined.extra["unlisted"] == [OTHER_SIDE]
    assert verify_dataset(tmp_path / "joined").problems == []
    assert Counts.from_json(joined.extra["maps"][0]["counts"]) == sides["validation"].manifest.counts["documents"]


def test_sides_that_make_no_sense(tmp_path: Path, make_documents: Make) -> None:
    with pytest.raises(UsageError, match="side is 'both': give train or validation"):
        Side("choice", "both")  # type: ignore[arg-type]
    source = make_documents("in", ["one", "two"])
    with pytest.raises(DataError, match="does not exist"):
        run_stage(side_stage((str(source),), tmp_path / "none", "train"), tmp_path / "out", QUIET)
    with pytest.raises(UsageError, match="holds documents, but choice are wanted here"):
        run_stage(side_stage((str(source),), source, "train"), tmp_path / "out", QUIET)


def test_hashes_of_slices_and_of_both_string_types() -> None:
    rows = [{"id": f"c4/a#{n}", "text": f"Grüße {n}"} for n in range(9)]
    table = pa.Table.from_pylist(rows, schema=pa.schema([DOCUMENT_SCHEMA.field("id"), DOCUMENT_SCHEMA.field("text")]))
    expected = [
        (
            xxhash.xxh3_64_intdigest(row["id"].encode(), 3),
            xxhash.xxh3_128_digest(row["text"].encode()),
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


def test_line_overlaps_that_make_no_sense() -> None:
    for text in ("-1", "101%", "nan", "", "half"):
        with pytest.raises(UsageError, match="is no part of a text"):
            ChoiceConfig(line_overlap=text)


@pytest.mark.parametrize("text", ["0", "51%", "1", "-0.1", "some", "", "nan", "1e", "e-5", "1e-99999999"])
def test_parts_that_make_no_sense(text: str) -> None:
    with pytest.raises(UsageError, match="is no part of the documents"):
        ChoiceConfig(validation=text)
