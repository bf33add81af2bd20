"""Streams, rows and segments against a slow twin that lays the whole stream out; shards, runs and blocks."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.data.dataset import Dataset
from corpus.errors import DataError
from corpus.mixture.pack.blocks import BlockRows
from corpus.mixture.pack.order import permuted
from corpus.mixture.pack.sequences import block_batch, pack_block
from corpus.mixture.pack.shards import ShardReader, index_shard
from corpus.mixture.pack.spill import SEGMENT_RECORD, Spill, read_runs
from corpus.mixture.pack.stream import RowOrder, Segments, cut_stream, document_key, first_rows
from tests.corpus.mixture.mixing import EOD, write_tokens
from tests.datasets import stored


def orders(documents: int, epochs: int, seed: int) -> list[list[int]]:
    """The documents in the order of each epoch."""
    return [
        permuted(np.arange(documents), documents, document_key(seed, "d", number)).tolist() for number in range(epochs)
    ]


def slow_stream(lengths: list[int], epochs: int, seed: int) -> list[tuple[int, int, int]]:
    """(document, epoch, offset in the document) of every token of the stream."""
    return [
        (document, number + 1, at)
        for number, order in enumerate(orders(len(lengths), epochs, seed))
        for document in order
        for at in range(lengths[document])
    ]


def positions(lengths: list[int], epochs: int, seed: int) -> np.ndarray:
    """int64[epochs, documents]: where each document begins in the stream."""
    at = np.empty((epochs, len(lengths)), np.int64)
    total = 0
    for number, order in enumerate(orders(len(lengths), epochs, seed)):
        for document in order:
            at[number, document] = total
            total += lengths[document]
    return at


LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=25)


@given(LENGTHS, st.integers(1, 60), st.integers(1, 50), st.integers(0, 99))
def test_rows_are_those_of_the_stream(lengths: list[int], rows: int, length: int, seed: int) -> None:
    epochs = math.ceil((rows * length + 1) / sum(lengths))
    whole = slow_stream(lengths, epochs, seed)
    segments = cut_stream(positions(lengths, epochs, seed), np.array(lengths), length, rows)
    got: list[dict[int, tuple[int, int, int]]] = [{} for _ in range(rows)]
    columns = [getattr(segments, name).tolist() for name in Segments.__dataclass_fields__]
    assert sorted(zip(*columns, strict=True)) == list(zip(*columns, strict=True))
    for document, epoch, row, start, size, target in zip(*columns, strict=True):
        assert size > 0
        for at in range(size):
            assert target + at not in got[row]
            got[row][target + at] = (document, epoch, start + at)
    for row, places in enumerate(got):
        assert [places[at] for at in range(len(places))] == whole[row * length : row * length + length + 1]
    # every token of the stream but the first is a target once
    targets = Counter(token for places in got for at, token in places.items() if at)
    assert targets == Counter(whole[1 : rows * length + 1])


@given(st.integers(1, 300), st.integers(1, 400), st.integers(1, 50), st.integers(0, 99), st.booleans())
def test_training_goes_through_epoch_after_epoch(
    unique: int, rows: int, length: int, seed: int, shuffled: bool
) -> None:
    epochs = math.ceil((rows * length + 1) / unique)
    bounds = first_rows(unique, epochs, rows, length)
    order = RowOrder("d", seed, shuffled, bounds)
    at = order.rows_at(np.arange(rows))
    assert sorted(at.tolist()) == list(range(rows))
    assert order.ranks_of(at).tolist() == list(range(rows))
    found = (at * length // unique).tolist()
    assert found == sorted(found)
    assert [found.count(number) for number in range(epochs)] == np.diff(bounds).tolist()
    if not shuffled:
        assert at.tolist() == list(range(rows))


def test_shuffled_batches_hold_neighbours_no_more_often_than_chance() -> None:
    """One book of 4,000 rows: in batches of 64 rows, adjacent ones meet about as often as 63 in 3,999 times."""
    order = RowOrder("d", 5, True, np.array([0, 4000]))
    batch = order.ranks_of(np.arange(4_000)) // 64
    together = int((batch[1:] == batch[:-1]).sum())
    expected = 3_999 * 63 / 3_999
    assert abs(together - expected) < 4 * math.sqrt(expected)


def test_the_rows_of_two_epochs_are_uncorrelated() -> None:
    size = 50_000
    order = RowOrder("d", 0, True, np.array([0, size, 2 * size]))
    ranks = order.ranks_of(np.arange(2 * size))
    first, second = ranks[:size].astype(float), ranks[size:].astype(float)
    assert ranks[:size].max() == size - 1
    for one, two in ((first, second), (first, np.arange(size)), (first[1:], first[:-1])):
        assert abs(np.corrcoef(one, two)[0, 1]) * math.sqrt(size) < 4


@given(st.integers(1, 500), st.integers(1, 60), st.integers(1, 70))
def test_blocks_tile_the_shards(rows: int, shard_rows: int, block_rows: int) -> None:
    cut = BlockRows(rows, shard_rows, block_rows)
    block = cut.block_of(np.arange(rows))
    assert (np.diff(block) >= 0).all()
    assert block.max() < cut.blocks
    for low in range(cut.blocks):
        first, end = cut.range_of(low, low + 1)
        assert np.flatnonzero(block == low).tolist() == list(range(first, end))
        assert end - first <= block_rows
    assert (block // cut.per_shard == np.arange(rows) // shard_rows).all()
    for shard in range(-(-rows // shard_rows)):
        low = shard * cut.per_shard
        assert cut.range_of(low, low + cut.per_shard) == (
            shard * shard_rows,
            min(rows, (shard + 1) * shard_rows),
        )


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("memory", [1, 2000, 1 << 20])
def test_packing_through_runs(tmp_path: Path, wide: bool, memory: int) -> None:
    """Two tasks spill the documents of a domain; the blocks read from them are the rows of the slow stream."""
    generator = np.random.default_rng(3)
    lengths = generator.integers(1, 90, 33).tolist()
    vocabulary = 100_000 if wide else 32_000
    dataset = Dataset.open(write_tokens(tmp_path / "t", "d", lengths, shards=2, vocab_size=vocabulary))
    documents = [ids for batch in dataset.batches(["ids"]) for ids in batch.column("ids").to_pylist()]
    rows, length = 120, 16
    epochs = math.ceil((rows * length + 1) / sum(lengths))
    at = positions(lengths, epochs, 1)
    cut = BlockRows(rows, 50, 7)
    first = 0
    for number, path in enumerate(dataset.shard_paths()):
        (tmp_path / str(number)).mkdir()
        spill = Spill(tmp_path / str(number), wide, memory, cut)
        index = index_shard(stored(path), wide)
        with ShardReader(path, index, EOD, vocabulary) as reader:
            own = np.ascontiguousarray(at[:, first : first + len(index.lengths)])
            segments = cut_stream(own, index.lengths.astype(np.int64), length, rows)
            records = np.zeros(len(segments.row), SEGMENT_RECORD)
            for name in ("start", "length", "target", "epoch"):
                records[name] = getattr(segments, name)
            records["position"], records["document"] = segments.row, segments.document + first
            spill.add(reader, 0, segments, records)
        spill.close()
        first += len(index.lengths)
    whole = [documents[d][offset] for d, _, offset in slow_stream(lengths, epochs, 1)]
    for low, high in itertools.pairwise([0, 1, 5, 8, 16, 24]):
        begin, end = cut.range_of(low, high)
        runs = itertools.chain.from_iterable(read_runs(tmp_path / str(n), low, high, wide) for n in range(2))
        block = pack_block(runs, begin, end, length + 1, EOD, wide)
        assert block.tokens.dtype == (np.uint32 if wide else np.uint16)
        assert block.real == block.tokens.size
        assert block.tokens.tolist() == [whole[row * length : row * length + length + 1] for row in range(begin, end)]
        batch = block_batch(block, ["d"], wide)
        batch.validate(full=True)
        assert batch.column("domain").to_pylist() == ["d"] * (end - begin)
        for tokens, parts in zip(batch.column("tokens").to_pylist(), batch.column("segments").to_pylist(), strict=True):
            again = [documents[p["document"]][p["start"] : p["start"] + p["length"]] for p in parts]
            assert tokens == [token for part in again for token in part]


def test_ids_are_read_where_the_file_has_them(tmp_path: Path) -> None:
    (path,) = Dataset.open(write_tokens(tmp_path / "t", "d", [5, 6, 7, 8, 2])).shard_paths()
    index = index_shard(stored(path), False)
    with ShardReader(path, index, EOD, 32_000) as reader:
        for begin, end in itertools.combinations(range(6), 2):
            out = np.empty(int(index.lengths[begin:end].sum()), np.uint16)
            reader.read(begin, end, out)
            expected = [6 + n for n in range(28)]
            for last in (4, 10, 17, 25, 27):
                expected[last] = EOD
            low = int(index.lengths[:begin].sum())
            assert out.tolist() == expected[low : low + len(out)]


def write_ids(path: Path, lists: list[list[int]], item: pa.DataType, **options: object) -> Path:
    schema = pa.schema([pa.field("id", pa.string()), pa.field("ids", pa.list_(item))])
    table = pa.table([[str(n) for n in range(len(lists))], lists], schema=schema)
    with pa.ipc.new_file(str(path), schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return path


def test_bad_shards_get_one_sentence(tmp_path: Path) -> None:
    cases = [
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
            index_shard(stored(path), False)
        assert message in caught.value.message
        assert path.name in caught.value.message
        assert "\n" not in caught.value.message


def test_bad_ids_get_one_sentence(tmp_path: Path) -> None:
    path = write_ids(tmp_path / "end.arrow", [[5, EOD], [5, 6], [7, EOD]], pa.uint16())
    index = index_shard(stored(path), False)
    with ShardReader(path, index, EOD, 100) as reader:
        with pytest.raises(DataError, match=r"end\.arrow: the document of row 1 does not end with EOD \(2\); tokenize"):
            reader.read(1, 3, np.empty(4, np.uint16))
        reader.read(2, 3, np.empty(2, np.uint16))
    with (
        ShardReader(path, index, EOD, 7) as reader,
        pytest.raises(DataError, match=r"end\.arrow holds the id 7, outside the vocabulary of 7; tokenize"),
    ):
        reader.read(2, 3, np.empty(2, np.uint16))
    path.write_bytes(path.read_bytes()[: int(index.starts[2]) * 2 + 1])
    with (
        ShardReader(path, index, EOD, 100) as reader,
        pytest.raises(DataError, match=r"end\.arrow was cut short; tokenize it again"),
    ):
        reader.read(2, 3, np.empty(2, np.uint16))
