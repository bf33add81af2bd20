"""Level `book`: 90 % of the 8-grams of the smaller book, candidates by sampling, no chains, and the real editions."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.data.verify import verify_dataset
from corpus.dedup import spill
from corpus.dedup.config import DedupConfig
from corpus.dedup.similar.books import LEAST_KEYS, SCALE, BookDedupStage
from corpus.engine.runner import RunOptions, run_stage
from corpus.ingest.stage import IngestStage
from pipelines.readers.books import BooksReader
from tests.corpus.dedup.similar_twin import (
    contents,
    greedy,
    invented,
    kept_rows,
    overlap,
    removed,
    run,
    shingles,
    table,
)

Make = Callable[..., Path]


def edition(rng: random.Random, words: list[str], changes: int) -> list[str]:
    """The same book with some words replaced, each far from the others."""
    words = list(words)
    for at in rng.sample(range(5, len(words) - 5, 10), changes):
        words[at] = "erratum" + "abcdefghij"[at % 10]
    return words


def test_a_novella_in_collected_works_goes_and_the_works_stay(make_documents: Make, tmp_path: Path) -> None:
    rng = random.Random(1)
    parts = [invented(rng, 1500) for _ in range(12)]
    works = " ".join(" ".join(part) for part in parts)
    novella = " ".join(edition(rng, parts[7], 10)).upper().replace(" ", " -- ")
    other = " ".join(invented(rng, 1500))
    texts = [novella, other, works, " ".join(parts[3] + invented(rng, 300))]
    run([make_documents("in", texts, shard_rows=2)], tmp_path / "out", level="book")
    assert removed(tmp_path / "out") == {0: 2}
    (row,) = table(tmp_path / "out")
    assert row["similarity"] == overlap(shingles(novella, 8), shingles(works, 8)) == row["shared"] / row["removed_size"]
    assert row["removed_size"] == len(shingles(novella, 8)) and row["kept_size"] == len(shingles(works, 8))
    run([make_documents("in2", texts)], tmp_path / "loose", level="book", threshold=0.8)
    assert removed(tmp_path / "loose") == {0: 2, 3: 2}
    assert verify_dataset(tmp_path / "out").problems == []


def test_more_than_the_threshold_to_the_shingle(make_documents: Make, tmp_path: Path) -> None:
    """Two texts of 10 and 11 shingles, of which 9 are shared: exactly 0.9, which is not more."""
    words = [f"word{chr(97 + n)}" for n in range(26)]
    first, second = " ".join([*words[:16], "x"]), " ".join([*words[:16], "y", "z"])
    assert overlap(shingles(first, 8), shingles(second, 8)) == 0.9
    source = make_documents("in", [first, second])
    run([source], tmp_path / "a", level="book")
    assert removed(tmp_path / "a") == {}
    run([source], tmp_path / "b", level="book", threshold=0.8999)
    assert removed(tmp_path / "b") == {0: 1}
    same = make_documents("same", [first, first.upper()])
    run([same], tmp_path / "c", level="book", threshold=1.0)
    assert removed(tmp_path / "c") == {1: 0}


def test_no_chains(make_documents: Make, tmp_path: Path) -> None:
    """A ~ B ~ C, but not A ~ C: B is larger than neither, so one of its neighbours' removals frees the other."""
    rng = random.Random(2)
    words = invented(rng, 1300)
    a, b, c = (" ".join(words[start : start + 1000]) for start in (0, 90, 180))
    x, y, z = (shingles(text, 8) for text in (a, b, c))
    assert overlap(x, y) > 0.9 and overlap(y, z) > 0.9 and overlap(x, z) < 0.9
    run([make_documents("in", [a, b, c])], tmp_path / "abc", level="book")
    assert removed(tmp_path / "abc") == {1: 0}
    run([make_documents("in2", [b, a, c])], tmp_path / "bac", level="book")
    assert removed(tmp_path / "bac") == {1: 0, 2: 0}


def test_short_empty_and_single_books(make_documents: Make, tmp_path: Path) -> None:
    texts = ["", "", "...", "Tiny book.", "tiny  BOOK", "other book", "one two three four five six seven eight nine"]
    texts += ["One, two: three four five six seven eight nine!", "書は短し" * 9, "書は、短し" * 9, "本" * 30]
    run([make_documents("in", texts)], tmp_path / "out", level="book")
    assert removed(tmp_path / "out") == {4: 3, 7: 6, 9: 8}
    for number, text in enumerate(["", "alone"]):
        run([make_documents(f"one{number}", [text])], tmp_path / f"one-{number}", level="book")
        assert len(kept_rows(tmp_path / f"one-{number}")) == 1


def planted(rng: random.Random) -> list[str]:
    """Books, editions of them with up to 2 % of the words changed (16 % of the 8-grams), and parts of them."""
    texts = []
    for _ in range(12):
        words = invented(rng, rng.randrange(800, 2600))
        texts.append(" ".join(words))
        for _ in range(rng.randrange(3)):
            texts.append(" ".join(edition(rng, words, int(len(words) * rng.uniform(0, 0.02)))))
        if rng.random() < 0.5:
            part = words[: rng.randrange(500, 800)]
            texts.append(" ".join(part + invented(rng, rng.randrange(150))))
    rng.shuffle(texts)
    return texts


@pytest.mark.parametrize("threshold", [0.9, 0.6])
def test_planted_books_as_the_twin(make_documents: Make, tmp_path: Path, threshold: float) -> None:
    texts = planted(random.Random(4))
    run([make_documents("in", texts, shard_rows=5)], tmp_path / "out", level="book", threshold=threshold)
    sets = [shingles(text, 8) for text in texts]
    order = sorted(range(len(texts)), key=lambda number: (-len(sets[number]), number))
    alike = {
        (a, b): value
        for place, a in enumerate(order)
        for b in order[place + 1 :]
        if (value := overlap(sets[a], sets[b])) > threshold
    }
    assert len(alike) > 10
    assert removed(tmp_path / "out") == greedy(order, alike)
    for row in table(tmp_path / "out"):
        pair = [int(row[side].rpartition("#")[2]) for side in ("kept", "removed")]
        assert row["similarity"] == alike[pair[0], pair[1]]


def test_a_common_passage_in_all_books_is_no_duplicate(make_documents: Make, tmp_path: Path) -> None:
    """More books than a key lists, all with the same licence; the late edition is found by its own keys."""
    rng = random.Random(5)
    licence = invented(rng, 400)
    texts = [" ".join(licence + invented(rng, 600)) for _ in range(40)]
    words = texts[37].split()
    texts.append(" ".join(edition(rng, words, 5)))
    run([make_documents("in", texts)], tmp_path / "out", level="book")
    assert list(removed(tmp_path / "out").values()) in ([37], [40])


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_equal_books_are_found_among_many_larger_ones_with_most_of_them(
    make_documents: Make, tmp_path: Path, share: float
) -> None:
    rng = random.Random(8)
    base = invented(rng, 1200)
    larger = [" ".join(base + invented(rng, 900)) for _ in range(18)]
    book = " ".join(base[: int(1000 * share)] + invented(rng, int(1000 * (1 - share))))
    run([make_documents("in", [book, *larger, book])], tmp_path / "out", level="book")
    assert removed(tmp_path / "out") == {19: 0}


@given(st.integers(0, 5000), st.integers(0, 2**32))
def test_the_sample_is_what_lies_below_its_bound(size: int, seed: int) -> None:
    own = np.unique(np.random.default_rng(seed).integers(0, 2**64, size, dtype=np.uint64))
    stage = BookDedupStage(("unused",), DedupConfig(level="book"))
    keys, limit = stage.sketch(own)
    assert keys.tolist() == [value for value in own.tolist() if value < limit or limit == 2**64 - 1]
    assert keys.size >= min(LEAST_KEYS, own.size)
    assert limit >= 2**64 // SCALE


def test_cuts_memory_and_partitions_change_nothing(
    make_documents: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = planted(random.Random(6))
    source = make_documents("in", texts, shard_rows=10)
    run([source], tmp_path / "one", level="book")
    assert table(tmp_path / "one")
    run([make_documents("whole", texts)], tmp_path / "whole-out", level="book")
    assert kept_rows(tmp_path / "whole-out") == kept_rows(tmp_path / "one")
    assert table(tmp_path / "whole-out") == table(tmp_path / "one")
    monkeypatch.setattr(spill, "_LEAST_BYTES", 256)
    run([source], tmp_path / "small", RunOptions(memory=64, quiet=True), level="book")
    assert contents(tmp_path / "one") == contents(tmp_path / "small")
    monkeypatch.setattr(spill, "ENTRIES_PER_PARTITION", 300)
    run([source], tmp_path / "parts", RunOptions(memory=64, quiet=True), level="book")
    assert contents(tmp_path / "one") == contents(tmp_path / "parts")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 3])
def test_workers_change_nothing(make_documents: Make, tmp_path: Path, workers: int) -> None:
    source = make_documents("in", planted(random.Random(6)), shard_rows=4)
    run([source], tmp_path / "one", level="book")
    options = RunOptions(workers=workers, quiet=True, always_pool=True)
    run([source], tmp_path / "many", options, level="book")
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


PHASES = ["sketch", "vote", "pairs", "shingles", "compare", "choose", "rewrite"]


@pytest.mark.parametrize("phase", PHASES)
def test_an_end_in_any_phase_changes_no_byte(make_documents: Make, tmp_path: Path, phase: str) -> None:
    source = make_documents("in", planted(random.Random(7))[:14], shard_rows=7)
    run([source], tmp_path / "whole", level="book")
    original = BookDedupStage.run

    def stopped(self: BookDedupStage, name: str, index: int, task: Any) -> None:
        original(self, name, index, task)
        if name == phase:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BookDedupStage, "run", stopped)
        with pytest.raises(KeyboardInterrupt):
            run([source], tmp_path / "out", level="book")
    run([source], tmp_path / "out", level="book")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


WORKS = {
    "pride": ("1342", "Pride_and_Prejudice"),
    "whale": ("2701",),
    "karenina": ("1399", "Anna_Karenina"),
    "island": ("120",),
    "16215": ("16215",),
    "devil": ("972", "dvldc10"),
}
"""What books of the samples are editions of the same work, by a part of their names."""


@pytest.fixture(scope="module")
def books(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample books, as documents."""
    output = tmp_path_factory.mktemp("samples") / "books"
    run_stage(IngestStage(BooksReader(), (str(samples / "books"),)), output, RunOptions(quiet=True))
    return output


@pytest.mark.parametrize("threshold", [0.9, 0.85])
def test_editions_of_the_samples(samples: Path, books: Path, tmp_path: Path, threshold: float) -> None:
    run([books], tmp_path / "out", level="book", threshold=threshold)
    gone = {
        row["removed"].removeprefix("books/").rpartition("#")[0]: row["kept"].removeprefix("books/").rpartition("#")[0]
        for row in table(tmp_path / "out")
    }
    least = 0.9 if threshold == 0.9 else 0.869
    with (samples / "books_near_duplicates.tsv").open(newline="") as file:
        pairs = list(csv.DictReader(file, delimiter="\t"))
    for pair in pairs:
        a, b = pair["file_a"], pair["file_b"]
        if float(pair["containment_of_8grams"]) > least:
            assert gone.get(a, a) == gone.get(b, b), pair
    assert "ru_pg59254.txt" not in gone and "ru_Death_at_the_Excelsior_PGWodehouse.txt" not in gone
    for lost, kept in gone.items():
        assert kept not in gone
        assert any(all(any(part in name for part in parts) for name in (lost, kept)) for parts in WORKS.values())
