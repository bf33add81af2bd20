"""Which tokens of a packed set are trained on, against a slow twin that looks each one up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.data.dataset import Dataset
from corpus.data.packed import PackedRows
from corpus.data.verify import verify_dataset
from corpus.engine.runner import RunOptions, run_stage
from corpus.mixture.pack.trained import Marks, mark_bit
from tests.corpus.mixture.mixed import files, listed_documents, packed_rows, stage
from tests.corpus.mixture.mixing import write_tokens

QUIET = RunOptions(quiet=True)
LENGTHS = [9, 1, 40, 17, 5, 23, 8, 31, 2, 64]


def _spans(lengths: list[int], seed: int) -> list[list[tuple[int, int]]]:
    """Some spans of each document, often with its EOD."""
    generator = np.random.default_rng(seed)
    found = []
    for length in lengths:
        bits = np.repeat(generator.random(length) < 0.4, 1 + generator.integers(3))[:length]
        edges = np.flatnonzero(np.diff(np.concatenate([[0], bits.astype(np.int8), [0]])))
        found.append([(int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)])
    return found


@pytest.mark.parametrize("vocab_size", [32_000, 50_000, 70_000])
@pytest.mark.parametrize("packing", ["concatenate", "best-fit"])
def test_the_mask_follows_its_tokens(tmp_path: Path, packing: str, vocab_size: int) -> None:
    spans = _spans(LENGTHS, 1)
    chat = write_tokens(tmp_path / "chat", "chat", LENGTHS, shards=3, spans=spans, vocab_size=vocab_size)
    web = write_tokens(tmp_path / "web", "web", LENGTHS[::-1], vocab_size=vocab_size, first=9000)
    mixture = {"chat": {"epochs": 2.3}, "web": {"epochs": 1}}
    output = tmp_path / "packed"
    run_stage(stage([chat, web], mixture, packing=packing), output, QUIET)
    assert verify_dataset(output).problems == []
    trained = {number: _bits(length, own) for number, (length, own) in enumerate(zip(LENGTHS, spans, strict=True))}
    documents, rows = listed_documents(output), packed_rows(output)
    read = PackedRows(output)
    masks = read.trained_tokens(slice(0, len(read)))[:, 1:]
    assert masks is not None
    total = 0
    for row, mask in zip(rows, masks, strict=True):
        expected = []
        for segment in row["segments"]:
            where = documents[segment["document"]]["source"]
            own = [True] * 99
            if where["input"] == 0:
                shard = int(where["shard"].split(".")[0])
                own = trained[int(np.concatenate([[0], np.cumsum([4, 3, 3])])[shard]) + where["row"]]
            expected += own[segment["start"] : segment["start"] + segment["length"]]
        expected += [False] * (17 - len(expected))
        assert row["trained"] == expected
        assert mask.tolist() == expected[1:]
        total += sum(expected[1:])
    assert Dataset.open(output).manifest.totals["trained"] == total


def test_tokens_are_those_of_a_set_without_a_mask(tmp_path: Path) -> None:
    masked = write_tokens(tmp_path / "a" / "chat", "chat", LENGTHS, spans=_spans(LENGTHS, 2))
    plain = write_tokens(tmp_path / "b" / "chat", "chat", LENGTHS)
    found: list[list[dict[str, Any]]] = []
    for source in (masked, plain):
        output = source.parent / "packed"
        run_stage(stage([source], {"chat": {"epochs": 2}}), output, QUIET)
        found.append([{key: value for key, value in row.items() if key != "trained"} for row in packed_rows(output)])
    assert found[0] == found[1]
    assert "trained" not in packed_rows(plain.parent / "packed")[0]
    assert not PackedRows(plain.parent / "packed").trained


def test_neither_workers_nor_memory_change_a_byte(tmp_path: Path) -> None:
    source = write_tokens(
        tmp_path / "chat", "chat", LENGTHS * 40, shards=3, spans=_spans(LENGTHS * 40, 3), group_rows=50
    )
    digests = []
    for number, options in enumerate([QUIET, RunOptions(quiet=True, memory=80_000_000)]):
        output = tmp_path / f"packed-{number}"
        run_stage(stage([source], {"chat": {"epochs": 3}}, packing="best-fit"), output, options)
        digests.append(files(output))
    assert digests[0] == digests[1]


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=20), min_size=1, max_size=8), st.booleans())
def test_marks_are_the_bits_of_the_spans(documents: list[list[bool]], wide: bool) -> None:
    spans = []
    for bits in documents:
        edges = np.flatnonzero(np.diff(np.array([0, *bits, 0], np.int8)))
        spans.append([(int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)])
    flat = np.array([span for own in spans for span in own], np.int64).reshape(-1, 2)
    bounds = np.concatenate([[0], np.cumsum([len(own) for own in spans])]).astype(np.int64)
    marks = Marks(bounds, np.ascontiguousarray(flat[:, 0]), np.ascontiguousarray(flat[:, 1]))
    out = np.zeros(sum(map(len, documents)), np.uint32 if wide else np.uint16)
    marks.set(0, np.array([len(bits) for bits in documents], np.int64), out)
    assert ((out & out.dtype.type(mark_bit(out.dtype))) != 0).tolist() == [bit for bits in documents for bit in bits]


def _bits(length: int, spans: list[tuple[int, int]]) -> list[bool]:
    return [any(start <= at < start + size for start, size in spans) for at in range(length)]
