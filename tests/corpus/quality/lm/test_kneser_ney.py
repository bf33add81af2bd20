"""The kernels of the estimator against the definition of Kneser-Ney, and its sorted runs against Python's sort."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpus.quality.lm.arpa_writer import Vocabulary
from corpus.quality.lm.counts import BEGIN, COUNTED, END, UNKNOWN, Adjustment, sentence_ngrams
from corpus.quality.lm.discounts import FALLBACK, discount_table, discounts
from corpus.quality.lm.probabilities import discounted, interpolated, unigrams
from corpus.quality.lm.runs import RowKind, Rows, RowWriter, merged, runs_of, sorted_rows
from tests.corpus.quality.lm.kneser_ney import Model, adjusted_counts, kneser_ney

BITS = 5
NAMES = ["<unk>", "<s>", "</s>", *"abcdefgh"]
sentences = st.lists(st.lists(st.sampled_from(NAMES[3:]), min_size=1, max_size=9), min_size=1, max_size=12)


def words_of(texts: Sequence[Sequence[str]]) -> Rows:
    numbers = [[*(NAMES.index(word) for word in text), END] for text in texts]
    return np.array([word for text in numbers for word in text], np.uint32)


def adjusted(texts: Sequence[Sequence[str]], order: int, block: int) -> tuple[list[Rows], Adjustment]:
    rows = sorted_rows([sentence_ngrams(words_of(texts), order)], order + 1, order, BITS, add=True)
    adjustment = Adjustment(order)
    parts = [adjustment.add(rows[at : at + block]) for at in range(0, len(rows), block)]
    parts.append(adjustment.close())
    return [np.concatenate([part[n] for part in parts]) for n in range(order)], adjustment


def estimate(texts: Sequence[Sequence[str]], order: int, block: int) -> Model:
    """The model of sentences by the kernels, in memory, `block` rows at a time."""
    levels, adjustment = adjusted(texts, order, block)
    stats = adjustment.stats
    table, _ = discount_table(stats[:, :COUNTED].tolist())

    def blocks(rows: Rows) -> list[Rows]:
        return [rows[at : at + block] for at in range(0, max(1, len(rows)), block)]

    grams, weights = {}, {}
    for n in range(2, order + 1):
        by_context = np.ascontiguousarray(levels[n - 1][:, [*range(1, n), 0, n]])
        ordered = sorted_rows([by_context], n + 1, n, BITS, add=False)
        found = list(discounted(iter(blocks(ordered)), table[n - 1]))
        grams[n] = sorted_rows([part for part, _ in found], n + 2, n, BITS, add=False)
        weights[n - 1] = np.concatenate([part for _, part in found])
    known = np.concatenate([np.array([[UNKNOWN, 0], [BEGIN, 0]], np.uint32), levels[0]])
    grams[1] = np.pad(unigrams(known, table[0], stats[0]), ((0, 0), (0, 1)))
    vocabulary = Vocabulary([name.encode() for name in NAMES])
    lower = np.zeros((1, 1), np.uint32)
    model: Model = {}
    for n in range(1, order + 1):
        contexts = blocks(weights[n]) if n < order else []
        out = list(interpolated(iter(blocks(grams[n])), iter(blocks(lower)), iter(contexts), n))
        lower = np.concatenate([rows for rows, _ in out])
        for rows, backoffs in out:
            for line in bytes(vocabulary.lines(rows, backoffs, n == order)).decode().splitlines():
                value, gram, *backoff = line.split("\t")
                model[tuple(gram.split(" "))] = (float(value), float(backoff[0]) if backoff else 0.0)
    return model


@given(sentences, st.integers(2, 5), st.integers(1, 40))
def test_adjusted_counts_are_those_of_the_definition(texts: list[list[str]], order: int, block: int) -> None:
    levels, adjustment = adjusted(texts, order, block)
    for n, (rows, expected) in enumerate(zip(levels, adjusted_counts(texts, order), strict=True), 1):
        found = {tuple(NAMES[word] for word in reversed(row[:n])): row[n] for row in rows.tolist()}
        assert found == dict(expected)
        assert rows.tolist() == sorted(rows.tolist())
        counted = [sum(count == k for count in expected.values()) for k in range(1, COUNTED + 1)]
        assert adjustment.stats[n - 1].tolist() == [*counted, len(expected), sum(expected.values())]


@given(sentences, st.integers(2, 5), st.integers(1, 40))
@example([["a"], ["a"], ["a"], ["b", "b", "c", "a"]], 3, 40)  # a context after which every word was seen
def test_the_model_is_that_of_the_definition(texts: list[list[str]], order: int, block: int) -> None:
    found, expected = estimate(texts, order, block), kneser_ney(texts, order)
    assert found.keys() == expected.keys()
    for gram, (probability, backoff) in expected.items():
        assert found[gram] == (pytest.approx(probability, abs=2e-6), pytest.approx(backoff, abs=2e-6)), gram


def test_probabilities_after_a_context_add_up_to_one() -> None:
    rng = np.random.default_rng(3)
    texts = [[NAMES[3 + int(k)] for k in rng.zipf(1.6, rng.integers(2, 30)) if k < 8] for _ in range(400)]
    texts = [text for text in texts if text]
    model = estimate(texts, 3, 1000)
    words = [gram[0] for gram in model if len(gram) == 1 and gram != ("<s>",)]

    def probability(*gram: str) -> float:
        if gram in model:
            return float(10 ** model[gram][0])
        return float(10 ** model.get(gram[:-1], (0, 0.0))[1]) * probability(*gram[1:])

    for context in [("a", "b"), ("<s>", "a"), ("b",), ("<s>",)]:
        assert sum(probability(*context, word) for word in words) == pytest.approx(1, abs=1e-4), context


@pytest.mark.parametrize(
    "counted",
    [(0, 1, 1, 1), (5, 0, 2, 1), (5, 3, 0, 1), (1, 1, 50, 1), (10, 9, 8, 700)],
)
def test_discounts_that_make_no_sense_fall_back(counted: tuple[int, ...]) -> None:
    assert discounts(counted) is None
    table, fallen = discount_table([counted, (1000, 400, 200, 120)])
    assert table[0].tolist() == [0, *FALLBACK] and fallen == [1]
    y = 1000 / 1800
    assert table[1].tolist() == pytest.approx([0, 1 - 0.8 * y, 2 - 1.5 * y, 3 - 2.4 * y])


keyed = st.lists(st.tuples(st.integers(0, 31), st.integers(0, 5), st.integers(1, 9)), max_size=60)


@given(st.lists(keyed, min_size=1, max_size=4), st.integers(1, 4))
def test_runs_come_back_in_order_and_added_up(tasks: list[list[tuple[int, int, int]]], partitions: int) -> None:
    kind = RowKind(3, 2, BITS)
    starts = np.array([32 * part // partitions for part in range(partitions)], np.int64)
    with TemporaryDirectory() as name:
        numbers = []
        for task, rows in enumerate(tasks):
            writer = RowWriter(Path(name) / str(task), kind, starts, 1, add=True)
            for row in rows:
                writer.add(np.array([row], np.uint32))
                writer._write()  # a run for every row, as if memory held no more
            numbers.append(writer.close())
        found = []
        for part in range(partitions):
            runs = [
                run for task, k in enumerate(numbers) for run in runs_of(Path(name) / str(task), k, part, partitions)
            ]
            for block in merged(runs, kind, 1, add=True):
                assert all(row[0] >= starts[part] for row in block.tolist())
                found += block.tolist()
    totals: dict[tuple[int, int], int] = {}
    for first, second, count in (row for rows in tasks for row in rows):
        totals[first, second] = totals.get((first, second), 0) + count
    assert found == [[*key, count] for key, count in sorted(totals.items())]


def test_a_merge_of_long_runs_reads_them_in_blocks(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    kind = RowKind(3, 2, 20)
    starts = np.zeros(1, np.int64)
    rows = np.stack([rng.integers(0, 50, 60_000), rng.integers(0, 1 << 20, 60_000), np.ones(60_000)], 1).astype(
        np.uint32
    )
    writer = RowWriter(tmp_path / "runs", kind, starts, 1, add=True)
    for part in np.array_split(rows, 7):
        writer.add(part)
        writer._write()
    blocks = list(merged(runs_of(tmp_path / "runs", writer.close(), 0, 1), kind, 1, add=True))
    assert len(blocks) > 2
    keys, counts = np.unique(rows[:, :2], axis=0, return_counts=True)
    assert np.array_equal(np.concatenate(blocks), np.column_stack([keys, counts]))
