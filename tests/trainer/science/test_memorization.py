"""Memorization: spans, their occurrences against a slow twin, one forward pass against generation, planted duplicates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import UsageError
from tests.trainer.packed import write_packed
from tests.trainer.shapes import build, small
from trainer.cli import main
from trainer.data.rows import RowRange
from trainer.data.validation_sets import PackedRows
from trainer.run.decoding import continue_ids
from trainer.run.sampling import SamplingConfig
from trainer.science import occurrences as module
from trainer.science.memorization import Share, bucket_of, bucket_range, greedy_matches, measure_memorization
from trainer.science.memorization_options import MemorizationOptions
from trainer.science.memorization_report import count_shares
from trainer.science.occurrences import count_occurrences
from trainer.science.spans import draw_spans

Ints = npt.NDArray[np.int64]


def _twin(spans: Ints, rows: Ints, ranges: Sequence[RowRange]) -> list[int]:
    length = spans.shape[1]
    return [
        sum(
            list(rows[row, at : at + length]) == list(span)
            for part in ranges
            for row in range(part.start, part.stop)
            for at in range(rows.shape[1] - length + 1)
        )
        for span in spans
    ]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_occurrences_are_those_of_a_slow_count(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = np.array(data.draw(st.lists(st.lists(st.integers(0, 2), min_size=9, max_size=9), min_size=1, max_size=6)))
    packed = PackedRows(write_packed(tmp_path_factory.mktemp("p") / "packed", rows.astype(np.int64), 3))
    length = data.draw(st.integers(1, 6))
    chosen = data.draw(st.lists(st.tuples(st.integers(0, len(rows) - 1), st.integers(0, 9 - length)), max_size=5))
    spans = np.array([rows[row, at : at + length] for row, at in chosen], np.int64).reshape(-1, length)
    start = data.draw(st.integers(0, len(rows)))
    ranges = [RowRange(0, start // 2), RowRange(start, len(rows))]
    assert count_occurrences(spans, packed, ranges).counts.tolist() == _twin(spans, rows, ranges)


def test_many_hits_in_a_block_find_room_and_documents_count_once(tmp_path: Path) -> None:
    rows = np.ones((700, 9), np.int64)
    packed = PackedRows(write_packed(tmp_path / "packed", rows, 3, segments=[[(0, 5), (0, 4)]] * 700))
    found = count_occurrences(np.ones((2, 4), np.int64), packed, [RowRange(0, 700)])
    assert found.counts.tolist() == [700 * 6] * 2  # more than one block's first room of hits
    assert found.documents.tolist() == [1400] * 2
    assert count_occurrences(np.full((1, 4), 2, np.int64), packed, [RowRange(0, 700)]).documents.tolist() == [0]


def test_spans_of_equal_hashes_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.array([[1, 2, 3, 1, 2, 4, 1, 2, 3]])
    packed = PackedRows(write_packed(tmp_path / "packed", rows, 5))
    real = module._table

    def chained(spans: Ints) -> tuple[npt.NDArray[np.uint64], Ints, Ints]:
        keys, heads, following = real(spans)
        assert len(spans) == 2
        # as if both had the first one's hash
        heads[heads >= 0] = 0
        following[0] = 1
        return keys, heads, following

    monkeypatch.setattr(module, "_table", chained)
    found = count_occurrences(np.array([[1, 2, 3], [1, 2, 4]]), packed, [RowRange(0, 1)])
    assert found.counts.tolist() == [2, 1]


def test_spans_lie_in_one_document_of_one_row(tmp_path: Path) -> None:
    rows = np.arange(4 * 17).reshape(4, 17) % 50
    segments = [[(0, 4), (0, 13)], [(13, 17)], [(30, 6), (0, 6), (0, 5)], [(5, 8), (0, 9)]]
    packed = PackedRows(write_packed(tmp_path / "packed", rows, 50, segments=segments, domains=["a", "b", "c", "d"]))
    spans = draw_spans(packed, [RowRange(0, 1), RowRange(2, 4)], 8, 60, 0)
    places = set(zip(spans.rows.tolist(), spans.positions.tolist(), strict=True))
    assert places == {(0, p) for p in range(4, 10)} | {(3, 0)} | {(3, 8), (3, 9)}
    for tokens, row, position, document, domain in zip(
        spans.tokens, spans.rows, spans.positions, spans.documents, spans.domains, strict=True
    ):
        assert tokens.tolist() == rows[row, position : position + 8].tolist()
        assert domain == "abcd"[row] and document == 10 * row + (position >= (4, 0, 0, 8)[row])
    with pytest.raises(UsageError, match="no document with 14 tokens"):
        draw_spans(packed, [RowRange(0, 1)], 14, 5, 0)
    with pytest.raises(UsageError, match="no document with 40 tokens"):
        draw_spans(packed, [RowRange(0, 4)], 40, 5, 0)


@pytest.mark.parametrize("family", ["llama", "palm"])
def test_one_pass_says_what_greedy_decoding_says(family: str) -> None:
    model = build(small(family)).eval()
    generator = np.random.default_rng(0)
    sampling = SamplingConfig(temperature=0.0, max_tokens=6)
    spans = []
    for number in range(12):
        prompt = generator.integers(0, 48, 5).tolist()
        continued = continue_ids(model, prompt, sampling, stop=-1, vocabulary=48)
        if number % 3:  # two of three have a wrong token
            continued[number % 6] = (continued[number % 6] + 1) % 48
        spans.append(prompt + continued)
    tokens = np.array(spans, np.int64)
    found = greedy_matches(model, tokens, 5, 48, "fp32", 5)
    assert found.all(1).tolist() == [number % 3 == 0 for number in range(12)]
    # up to the first wrong token it is what decoding gives
    first = np.argmin(found, axis=1)
    assert [int(first[n]) for n in range(12) if n % 3] == [n % 6 for n in range(12) if n % 3]


def test_buckets_are_half_decades() -> None:
    ranges = [bucket_range(bucket) for bucket in range(8)]
    assert ranges == [(0, 0), (1, 1), (2, 3), (4, 10), (11, 31), (32, 100), (101, 316), (317, 1000)]
    for count in range(1001):
        low, high = bucket_range(bucket_of(count))
        assert low <= count <= high


def test_wilsons_interval() -> None:
    low, high = Share(10, 100).interval
    assert (round(low, 4), round(high, 4)) == (0.0552, 0.1744)
    assert Share(0, 0).interval == (0.0, 1.0)
    assert Share(0, 100).interval[0] == 0.0


def _planted(tmp_path: Path, copies: Sequence[int], each: int, batch_size: int = 16) -> tuple[Path, Path, Path]:
    """A packed set of random rows, some of them planted several times, and a validation set of others; and a run on it."""
    generator = np.random.default_rng(0)
    length, vocabulary = 24, 40
    planted = [
        row for count in copies for row in np.repeat(generator.integers(3, vocabulary, (each, length + 1)), count, 0)
    ]
    rows = generator.permutation(np.array(planted, np.int64))
    domains = ["even" if row[0] % 2 == 0 else "odd" for row in rows]
    packed = write_packed(
        tmp_path / "packed", rows, vocabulary, domains=domains, listed=[("0.parquet", 10 * len(rows))]
    )
    control = write_packed(tmp_path / "validation", generator.integers(3, vocabulary, (50, length + 1)), vocabulary)
    arguments = [
        "fit", "--data", str(packed), "--model", "llama-tiny", "--output", str(tmp_path / "run"), "--batch-size", str(batch_size),
        "--threads", "1", "--quiet", "--set", "optimizer.lr=0.003", "--set", "model.layers=2", "--set", "spikes.mode=ignore",
        "--set", "schedule.warmup=0.1", "--steps", str(len(rows) // batch_size),
    ]  # fmt: skip
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return tmp_path / "run", packed, control


@pytest.mark.timeout(300)
def test_planted_duplicates_are_memorized_and_traced(tmp_path: Path) -> None:
    run, packed, control = _planted(tmp_path, (1, 300), 3, 12)
    options = MemorizationOptions(packed, control, 60, 40, ("8", "4"), 8)
    found = measure_memorization(run, options, lambda text: None)
    shares = count_shares(found.by_count, 8)
    once, often = shares[1], shares[bucket_of(300)]
    assert often.value > 0.3 and once.value < 0.1
    assert found.control is not None and Share.of(found.control.exact(8)).hits == 0
    # spans are those of one length, so that a longer prompt leaves the same tokens to say
    assert found.random.correct[8].shape == found.random.correct[4].shape
    arguments = [
        str(run), "--data", str(packed), "--validation", str(control), "--samples", "60", "--per-count", "40", "--prompt", "8",
        "--continue", "8",
    ]  # fmt: skip
    result = CliRunner().invoke(main, ["memorization", *arguments, "--plot", str(tmp_path / "m.svg")])
    assert result.exit_code == 0, result.output
    assert "by occurrences in training" in result.output and "control, prompt of 8: 0 of 60 " in result.output
    assert (tmp_path / "m.svg").exists()
    value = json.loads(CliRunner().invoke(main, ["memorization", *arguments, "--json"]).output)
    rows = PackedRows(packed)
    for hit in value["hits"]:
        assert hit["document"] == f"d{10 * hit['row']}"
        # the rows of a last, shorter batch are not trained on
        assert 285 <= hit["occurrences"] <= 300 and hit["step"] == hit["row"] // 12 + 1
        assert hit["domain"] == rows.domains(slice(hit["row"], hit["row"] + 1))[0]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_memorization_rises_with_the_number_of_copies(tmp_path: Path) -> None:
    run, packed, control = _planted(tmp_path, (1, 10, 300), 6, 8)
    found = measure_memorization(run, MemorizationOptions(packed, control, 100, 80, ("8",), 8), lambda text: None)
    shares = count_shares(found.by_count, 8)
    values = [shares[bucket].value for bucket in sorted(shares)]
    assert values == sorted(values) and values[0] < 0.1 and values[-1] > 0.3


def test_what_cannot_be_tested_is_said(tmp_path: Path) -> None:
    run, packed, control = _planted(tmp_path, (4,), 8)
    for changes, words in (
        ({"data": control}, "was not trained on"),
        ({"prompt": ("20",)}, "longer than the model's 24"),
        ({"prompt": ("x",)}, "whole numbers"),
    ):
        given = {"data": packed, "prompt": ("8",), "continuation": 8} | changes
        with pytest.raises(UsageError, match=words):
            measure_memorization(run, MemorizationOptions(**given), lambda text: None)  # type: ignore[arg-type]  # on purpose
