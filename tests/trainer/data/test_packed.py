"""Reading packed sets, and which rows a step takes."""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corpus.data import packed as data_module
from corpus.data.packed import PADDING
from corpus.errors import DataError, UsageError
from tests.trainer.packed import learnable_rows, write_packed
from trainer.data.rows import RowRange, next_batch, rows_left
from trainer.data.targets import InputsAhead, Wanted, read_inputs, target_mask
from trainer.data.validation_sets import PackedRows, Segment, open_validation, read_tensor


@pytest.mark.parametrize("wide", [False, True])
def test_rows_across_batches_and_shards(tmp_path: Path, wide: bool) -> None:
    tokens = learnable_rows(50, 12, 70_000 if wide else 300)
    rows = PackedRows(write_packed(tmp_path / "p", tokens, 70_000 if wide else 300, wide=wide, shards=3))
    assert len(rows) == 50
    assert rows[0:1].dtype == (np.uint32 if wide else np.uint16)
    for first, last in ((0, 50), (0, 7), (3, 5), (6, 9), (16, 18), (49, 50), (20, 20)):
        assert np.array_equal(rows[first:last], tokens[first:last])


def test_few_shards_stay_mapped_and_views_stay_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_module, "MAPPED_SHARDS", 2)
    tokens = learnable_rows(50, 12, 300)
    rows = PackedRows(write_packed(tmp_path / "p", tokens, 300, shards=10, batch_rows=5))
    views = [rows[first : first + 5] for first in range(0, 50, 5)]
    assert sum(bool(shard._batches) for shard in rows.shards) == 2
    assert np.array_equal(np.concatenate(views), tokens)
    assert np.array_equal(rows[0:50], tokens)


def test_rows_of_one_batch_are_a_view(tmp_path: Path) -> None:
    rows = PackedRows(write_packed(tmp_path / "p", learnable_rows(10, 12, 300), 300, batch_rows=10))
    assert rows[2:6].base is not None
    assert not rows[2:6].flags.writeable


def test_identity_is_of_the_contents_alone(tmp_path: Path) -> None:
    tokens = learnable_rows(10, 12, 300)
    first = PackedRows(write_packed(tmp_path / "a", tokens, 300)).identity
    assert first == PackedRows(write_packed(tmp_path / "b", tokens, 300)).identity
    assert first != PackedRows(write_packed(tmp_path / "c", tokens[:, ::-1].copy(), 300)).identity
    assert (first.rows, first.sequence_length, first.vocabulary, first.eod) == (10, 12, 300, 2)


def test_segments_domains_and_documents(tmp_path: Path) -> None:
    spans = [[(700, 13)], [(90, 4), (0, 9)], [(5, 1), (0, 2), (0, 10)], [(0, 13)]] * 4
    names = ["web", "books", "web", "arxiv"] * 4
    path = write_packed(tmp_path / "p", learnable_rows(16, 12, 300), 300, segments=spans, domains=names, shards=2)
    rows = PackedRows(path)
    assert rows.domains(slice(5, 12)) == names[5:12]
    got = rows.segments(slice(1, 11))
    assert [[(s.start, s.length) for s in row] for row in got] == spans[1:11]
    assert rows.segments(slice(2, 3)) == [[Segment(20, 0, 5, 1), Segment(21, 0, 0, 2), Segment(22, 0, 0, 10)]]
    documents = rows.documents(slice(1, 3))
    assert documents.tolist() == [[0] * 4 + [1] * 9, [0, 1, 1] + [2] * 10]


def test_segments_that_do_not_fill_their_row_are_refused(tmp_path: Path) -> None:
    spans = [[(0, 13)], [(0, 13)], [(0, 4), (4, 8)]]
    rows = PackedRows(write_packed(tmp_path / "p", learnable_rows(3, 12, 300), 300, segments=spans))
    with pytest.raises(DataError, match=r"segments of row 2 .* hold 12 tokens and not 13"):
        rows.documents(slice(1, 3))


def test_padding_is_no_document_and_no_target(tmp_path: Path) -> None:
    spans = [[(0, 13)], [(0, 4), (0, 5)], [], [(0, 1)], [(7, 2), (0, 11)]]
    path = write_packed(
        tmp_path / "p", learnable_rows(5, 12, 300), 300, segments=spans, packing="best-fit", batch_rows=2
    )
    rows = PackedRows(path)
    documents, targets = rows.documents(slice(0, 5)), target_mask(rows, slice(0, 5))
    assert targets is not None
    for row, parts in enumerate(spans):
        lengths = [length for _, length in parts]
        filled = [n for n, length in enumerate(lengths) for _ in range(length)]
        assert documents[row].tolist() == filled + [PADDING] * (13 - len(filled))
        assert targets[row].tolist() == [place < len(filled) for place in range(1, 13)]
    assert np.array_equal(rows.documents(slice(1, 4)), documents[1:4])
    assert rows.documents(slice(2, 2)).shape == (0, 13)
    plain = PackedRows(write_packed(tmp_path / "q", learnable_rows(5, 12, 300), 300))
    assert target_mask(plain, slice(0, 5)) is None
    over = write_packed(tmp_path / "r", learnable_rows(1, 12, 300), 300, segments=[[(0, 14)]], packing="best-fit")
    with pytest.raises(DataError, match=r"segments of row 0 .* hold 14 tokens and not 13"):
        target_mask(PackedRows(over), slice(0, 1))


@given(st.data())
def test_any_slice_equals_row_by_row(data: st.DataObject) -> None:
    spans = data.draw(
        st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), max_size=3), min_size=1, max_size=12)
    )
    tokens = learnable_rows(len(spans), 11, 300)
    with tempfile.TemporaryDirectory() as folder:
        shards = data.draw(st.integers(1, len(spans)))
        rows = PackedRows(
            write_packed(
                Path(folder, "p"), tokens, 300, segments=spans, packing="best-fit", shards=shards, batch_rows=3
            )
        )
        first = data.draw(st.integers(0, len(spans)))
        last = data.draw(st.integers(first, len(spans)))
        piece = slice(first, last)
        assert np.array_equal(rows[piece], tokens[piece])
        assert [[(s.start, s.length) for s in row] for row in rows.segments(piece)] == spans[piece]
        copied = np.zeros((last - first, 12), np.int64)
        rows.copy_into(piece, copied)
        assert np.array_equal(copied, tokens[piece])
        single = [rows.documents(slice(row, row + 1))[0].tolist() for row in range(first, last)]
        assert rows.documents(piece).tolist() == single
        assert rows.epochs(piece) == [0] * (last - first)


def test_a_set_goes_to_other_processes_without_its_rows(tmp_path: Path) -> None:
    tokens = learnable_rows(50, 12, 300)
    rows = PackedRows(write_packed(tmp_path / "p", tokens, 300, shards=3))
    rows[0:50]
    sent = pickle.dumps(rows)
    assert len(sent) < 1000
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert np.array_equal(pool.apply(read_some, (rows,)), tokens[10:30])


def read_some(rows: PackedRows) -> object:
    return rows[10:30].copy()


def test_a_closed_set_is_unmapped_and_opens_again(tmp_path: Path) -> None:
    tokens = learnable_rows(50, 12, 300)
    path = write_packed(tmp_path / "p", tokens, 300, shards=3)
    rows = PackedRows(path)
    view = rows[0:5]
    rows[0:50]
    rows.close()
    assert not any(shard._batches for shard in rows.shards)
    assert np.array_equal(view, tokens[:5])
    del view
    if Path("/proc/self/maps").exists():
        assert str(path) not in Path("/proc/self/maps").read_text(encoding="utf-8")
    assert np.array_equal(rows[0:50], tokens)


def test_rows_become_int64_tensors(tmp_path: Path) -> None:
    tokens = learnable_rows(20, 12, 300)
    rows = PackedRows(write_packed(tmp_path / "p", tokens, 300, shards=3))
    made = read_tensor(rows, slice(3, 17))
    assert made.dtype == torch.int64
    assert np.array_equal(made.numpy(), tokens[3:17])
    again = read_tensor(rows, slice(2, 16), made)
    assert again.data_ptr() == made.data_ptr()
    assert np.array_equal(again.numpy(), tokens[2:16])
    assert np.array_equal(read_tensor(rows, slice(18, 20), made).numpy(), tokens[18:20])


def test_a_shard_cut_short_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = write_packed(tmp_path / "p", learnable_rows(50, 12, 300), 300, shards=2)
    shard = path / "00001.arrow"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"00001\.arrow is damaged \(it has [\d,]+ bytes"):
        PackedRows(path)
    shard.unlink()
    with pytest.raises(DataError, match="missing"):
        PackedRows(path)


def test_a_shard_of_zeros_is_refused_when_it_is_read(tmp_path: Path) -> None:
    path = write_packed(tmp_path / "p", learnable_rows(50, 12, 300), 300)
    shard = path / "00000.arrow"
    shard.write_bytes(bytes(shard.stat().st_size))
    rows = PackedRows(path)
    with pytest.raises(DataError, match=r"00000\.arrow is damaged \(some of its bytes"):
        rows[0:1]


def test_validation_is_a_set_or_a_directory_of_sets(tmp_path: Path) -> None:
    tokens = learnable_rows(4, 12, 300)
    write_packed(tmp_path / "v" / "web", tokens, 300)
    write_packed(tmp_path / "v" / "books", learnable_rows(4, 12, 300, seed=1), 300)
    assert sorted(open_validation(tmp_path / "v")) == ["books", "web"]
    assert list(open_validation(tmp_path / "v" / "web")) == ["web"]
    with pytest.raises(UsageError, match="does not exist"):
        open_validation(tmp_path / "nowhere")


def test_reading_rows_imports_neither_pandas_nor_torch(tmp_path: Path) -> None:
    path = write_packed(tmp_path / "p", learnable_rows(4, 12, 300), 300)
    code = (
        "import sys; from trainer.data.validation_sets import PackedRows; rows = PackedRows(sys.argv[1]); rows[0:2].sum(); "
        "rows.documents(slice(0, 2)); rows.domains(slice(0, 2)); "
        "assert not {'pandas', 'torch', 'numba', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


HOLES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 15)), max_size=5)


@given(st.integers(0, 40), st.integers(1, 20), HOLES)
def test_next_batch_equals_walking_row_by_row(start: int, size: int, holes: list[tuple[int, int]]) -> None:
    ranges = [RowRange(first, first + length) for first, length in holes]
    skipped = {row for hole in ranges for row in range(hole.start, hole.stop)}
    wanted, row = [], start
    while len(wanted) < size:
        if row not in skipped:
            wanted.append(row)
        row += 1
    taken, following = next_batch(start, size, ranges)
    assert [row for part in taken for row in range(part.start, part.stop)] == wanted
    assert all(len(part) > 0 for part in taken)
    # what follows may lie before a hole or behind it: the next batch is the same
    assert next_batch(following, size, ranges)[0] == next_batch(row, size, ranges)[0]
    assert rows_left(100, start, ranges) == len(set(range(start, 100)) - skipped)


def test_inputs_that_were_read_ahead_are_those_that_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = PackedRows(write_packed(tmp_path / "p", learnable_rows(20, 12, 300), 300))
    reads: list[range] = []

    def counted(data: PackedRows, rows: range, *rest: object) -> object:
        reads.append(rows)
        return read_inputs(data, rows, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("trainer.data.targets.read_inputs", counted)
    ahead, cpu = InputsAhead(), torch.device("cpu")
    ahead.read(data, Wanted(range(4, 8), False, True), cpu)
    taken = ahead.take(data, Wanted(range(4, 8), False, True), cpu)
    assert torch.equal(taken.tokens_BT, read_inputs(data, range(4, 8), False).tokens_BT)
    assert reads == [range(4, 8)]
    # a rewind in between, another mask, or what was taken already
    ahead.read(data, Wanted(range(4, 8), False, True), cpu)
    for wanted in (Wanted(range(8, 12), False, True), Wanted(range(4, 8), False, True)):
        taken = ahead.take(data, wanted, cpu)
        assert torch.equal(taken.tokens_BT, read_inputs(data, wanted.rows, False).tokens_BT)
    ahead.read(data, None, cpu)
    assert reads == [range(4, 8), range(4, 8), range(8, 12), range(4, 8)]
