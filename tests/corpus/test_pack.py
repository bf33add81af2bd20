"""Streams, rows and segments against a slow twin that lays the whole stream out."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.data.dataset import Dataset
from corpus.errors import DataError
from corpus.mixture.order import cumulate, interleave, order_key, permuted
from corpus.mixture.pack import PackedDomain, block_batch, pack_block
from corpus.mixture.shards import MappedShard, ShardIndex, Tokens, index_shard
from corpus.mixture.stream import DomainStream
from tests.corpus.mixing import EOD, write_tokens


def make_stream(lengths: list[int], rows: int, length: int, *, seed: int = 0, shuffled: bool = True) -> DomainStream:
    unique = sum(lengths)
    passes = max(1, math.ceil((rows * length + 1) / unique))

    def sums(number: int) -> np.ndarray:
        out = np.empty(len(lengths) + 1, np.int64)
        cumulate(np.array(lengths, np.uint32), order_key(seed, "documents", "d", number), out)
        return out

    return DomainStream("d", len(lengths), unique, rows, passes, length, seed, shuffled, sums)


def slow_stream(stream: DomainStream, lengths: list[int]) -> list[tuple[int, int, int]]:
    """(document, epoch, place in the document) of every token of the stream."""
    out = []
    for number in range(stream.passes):
        key = order_key(stream.seed, "documents", "d", number)
        for document in permuted(np.arange(len(lengths)), len(lengths), key).tolist():
            out += [(document, number + 1, at) for at in range(lengths[document])]
    return out


LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=25)


@given(LENGTHS, st.integers(1, 60), st.integers(1, 50), st.integers(0, 99), st.booleans())
def test_rows_are_those_of_the_stream(lengths: list[int], rows: int, length: int, seed: int, shuffled: bool) -> None:
    stream = make_stream(lengths, rows, length, seed=seed, shuffled=shuffled)
    whole = slow_stream(stream, lengths)
    order = stream.rows_at(np.arange(rows))
    assert sorted(order.tolist()) == list(range(rows))
    assert stream.ranks_of(order).tolist() == list(range(rows))
    segments = stream.segments(order)
    got: list[list[tuple[int, int, int]]] = [[] for _ in range(rows)]
    for row, document, epoch, start, size, target in zip(
        *(getattr(segments, name).tolist() for name in segments.__dataclass_fields__), strict=True
    ):
        assert target == len(got[row])
        got[row] += [(document, epoch, start + at) for at in range(size)]
    for rank, row in enumerate(order.tolist()):
        assert got[rank] == whole[row * length : row * length + length + 1]
    assert stream.epochs_of(order).tolist() == [tokens[0][1] for tokens in got]
    # training goes through pass after pass
    assert sorted(stream.epochs_of(order).tolist()) == stream.epochs_of(order).tolist()
    # every token of the stream but the first is a target once
    targets = Counter(token for tokens in got for token in tokens[1:])
    assert targets == Counter(whole[1 : rows * length + 1])


@given(LENGTHS, st.integers(1, 60), st.integers(1, 50), st.integers(0, 99))
def test_occurrences_are_the_rows_that_hold_a_document(lengths: list[int], rows: int, length: int, seed: int) -> None:
    stream = make_stream(lengths, rows, length, seed=seed)
    segments = stream.segments(np.arange(rows))
    held = {
        (d, e, r)
        for d, e, r in zip(segments.document.tolist(), segments.epoch.tolist(), segments.row.tolist(), strict=True)
    }
    documents = np.arange(len(lengths))[::-1].copy()
    which, found, epochs = stream.occurrences(documents)
    triples = list(zip(documents[which].tolist(), epochs.tolist(), found.tolist(), strict=True))
    assert len(set(triples)) == len(triples)
    assert set(triples) == held
    assert which.tolist() == sorted(which.tolist())


def test_order_stream_keeps_neighbours_together() -> None:
    stream = make_stream([50] * 20, 150, 10, shuffled=False)
    assert stream.rows_at(np.arange(150)).tolist() == list(range(150))


def test_shuffled_batches_hold_neighbours_no_more_often_than_chance() -> None:
    """One book of 4,000 rows: in batches of 64 rows, adjacent ones meet about as often as 63 in 3,999 times."""
    stream = make_stream([40_010], 4_000, 10, seed=5)
    batch = stream.ranks_of(np.arange(4_000)) // 64
    together = int((batch[1:] == batch[:-1]).sum())
    expected = 3_999 * 63 / 3_999
    assert abs(together - expected) < 4 * math.sqrt(expected)


@dataclass
class Shards:
    paths: list[Path]
    found: list[ShardIndex]
    wide: bool

    def open(self, index: int) -> tuple[Tokens, np.ndarray]:
        mapped = MappedShard(self.paths[index], self.wide)
        mapped.release()
        return mapped.ids, self.found[index].starts

    def release(self, index: int) -> None: ...


def test_packing_copies_from_shards(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    for wide, vocabulary in ((False, 32_000), (True, 100_000)):
        lengths = generator.integers(1, 90, 33).tolist()
        dataset = Dataset.open(write_tokens(tmp_path / f"t{wide}", "d", lengths, shards=4, vocab_size=vocabulary))
        paths = dataset.shard_paths()
        found = [index_shard(path, wide, EOD) for path in paths]
        documents = [ids for batch in dataset.batches(["ids"]) for ids in batch.column("ids").to_pylist()]
        assert np.concatenate([index.lengths for index in found]).tolist() == lengths
        stream = make_stream(lengths, 150, 16, seed=1)
        places = np.empty(150, np.int64)
        interleave(np.array([150]), places)
        sizes = [len(index.starts) for index in found]
        domain = PackedDomain(
            stream=stream,
            places=places,
            first=np.concatenate([[0], np.cumsum(sizes)]),
            base=np.cumsum(sizes) - sizes + 1000,
            source=Shards(paths, found, wide),
        )
        whole = [documents[d][at] for d, _, at in slow_stream(stream, lengths)]
        block = pack_block([domain], 20, 140, wide)
        assert block.tokens.dtype == (np.uint32 if wide else np.uint16)
        for slot, row in enumerate(stream.rows_at(np.arange(20, 140)).tolist()):
            assert block.tokens[slot].tolist() == whole[row * 16 : row * 16 + 17]
        batch = block_batch(block, ["d"], wide)
        batch.validate(full=True)
        for tokens, parts in zip(batch.column("tokens").to_pylist(), batch.column("segments").to_pylist(), strict=True):
            again = [
                documents[part["document"] - 1000][part["start"] : part["start"] + part["length"]] for part in parts
            ]
            assert tokens == [token for part in again for token in part]


def test_ids_are_read_in_place_and_cannot_be_changed(tmp_path: Path) -> None:
    (path,) = Dataset.open(write_tokens(tmp_path / "t", "d", [5, 6])).shard_paths()
    tokens = MappedShard(path, False).ids
    assert not tokens.flags.writeable
    index = index_shard(path, False, EOD)
    assert tokens[index.starts[1] : index.starts[1] + 6].tolist() == [11, 12, 13, 14, 15, EOD]


def write_ids(path: Path, lists: list[list[int]], item: pa.DataType, **options: object) -> Path:
    schema = pa.schema([pa.field("id", pa.string()), pa.field("ids", pa.list_(item))])
    table = pa.table([[str(n) for n in range(len(lists))], lists], schema=schema)
    with pa.ipc.new_file(str(path), schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return path


def test_bad_shards_get_one_sentence(tmp_path: Path) -> None:
    cases = [
        (write_ids(tmp_path / "end.arrow", [[5, EOD], [5, 6]], pa.uint16()), "row 1 does not end with EOD"),
        (write_ids(tmp_path / "empty.arrow", [[5, EOD], []], pa.uint16()), "row 1 has no ids"),
        (write_ids(tmp_path / "wide.arrow", [[5, EOD]], pa.uint32()), "not uint16"),
        (write_ids(tmp_path / "zip.arrow", [[5] * 999 + [EOD]], pa.uint16(), compression="zstd"), "is compressed"),
    ]
    whole = write_ids(tmp_path / "whole.arrow", [[5, EOD]] * 99, pa.uint16()).read_bytes()
    for name, data in (("cut.arrow", whole[: len(whole) // 2]), ("none.arrow", b"")):
        (tmp_path / name).write_bytes(data)
        cases.append((tmp_path / name, "cannot be read"))
    for path, message in cases:
        with pytest.raises(DataError) as caught:
            index_shard(path, False, EOD)
        assert message in caught.value.message
        assert path.name in caught.value.message
        assert "\n" not in caught.value.message
