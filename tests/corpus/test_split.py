"""The split: both sides choose alike, validation is never empty, and nothing is on both sides."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from corpus.data.dataset import Dataset
from corpus.data.schema import DOCUMENT_SCHEMA
from corpus.data.verify import verify_dataset
from corpus.errors import DataError, UsageError
from corpus.split import (
    DOCUMENT_HASH,
    IN_TRAINING,
    OTHER_SIDE,
    SplitConfig,
    SplitStage,
    choose,
    hash_documents,
    parse_fraction,
)
from corpus.stage.runner import RunOptions, run_stage

QUIET = RunOptions(quiet=True)
Make = Callable[..., Path]


def rank(key: str, seed: int) -> int:
    return xxhash.xxh3_64_intdigest(key.encode(), seed)


def split(source: Path, tmp_path: Path, options: RunOptions = QUIET, **config: Any) -> dict[str, Dataset]:
    """Both sides, checked: every document is on one of them, in the order of the input, or a duplicate."""
    sides = {}
    for side in ("train", "validation"):
        output = tmp_path / f"{source.name}-{side}-{len(list(tmp_path.iterdir()))}"
        run_stage(SplitStage((str(source),), SplitConfig(side=side, **config)), output, options)  # type: ignore[arg-type]
        sides[side] = Dataset.open(output, "documents")
        assert not verify_dataset(output).problems
    train, validation = ids(sides["train"]), ids(sides["validation"])
    twice = sides["validation"].manifest.counts["documents"].dropped.get(IN_TRAINING, 0)
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
    assert sides["validation"].manifest.extra["split"] == "validation"
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


def test_same_bytes_for_any_workers(tmp_path: Path, make_documents: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_documents("in", [f"text {n % 450}" for n in range(500)], shard_rows=90)
    one = split(source, tmp_path, validation="10%")
    two = split(source, tmp_path, RunOptions(workers=2, quiet=True, always_pool=True), validation="10%")
    for side in ("train", "validation"):
        assert one[side].manifest == two[side].manifest


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 50)), min_size=2, max_size=60),
    st.integers(0, 400),
    st.integers(1, 7),
)
def test_every_choice_is_within_its_bounds(documents: list[tuple[int, int]], wanted: int, cuts: int) -> None:
    hashes = np.zeros(len(documents), DOCUMENT_HASH)
    for row, (text, _) in enumerate(documents):
        hashes[row] = (rank(str(row), 0), xxhash.xxh3_128_digest(str(text).encode()), text * 3)
    parts = np.array_split(hashes, cuts)
    whole = int(hashes["bytes"].sum())
    try:
        choice = choose(lambda: parts, Fraction(1, 1 << 60), wanted)
    except DataError:
        return
    again = choose(lambda: [hashes], Fraction(1, 1 << 60), wanted)
    assert (choice.limit, choice.shared.tolist()) == (again.limit, again.shared.tolist())
    chosen = choice.chosen(hashes)
    good = chosen & ~choice.overlapping(hashes)
    assert good.any()
    assert chosen.sum() == 1 or 2 * hashes["bytes"][chosen].sum() <= whole
    assert not set(hashes["text"][good]) & set(hashes["text"][~chosen])
    if hashes["bytes"][good].sum() < wanted:
        # no further document fits into half of the text
        order = np.argsort(hashes["id"])
        more = hashes["bytes"][order][: int(chosen.sum()) + 1].sum()
        assert 2 * more > whole or 2 * hashes["bytes"][chosen].sum() >= whole


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


@pytest.mark.parametrize("text", ["0", "51%", "1", "-0.1", "some", "", "nan", "1e", "e-5", "1e-99999999"])
def test_parts_that_make_no_sense(text: str) -> None:
    with pytest.raises(UsageError, match="is no part of the documents"):
        SplitConfig(validation=text)
