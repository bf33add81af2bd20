"""Digests of the blocks of a file, and reading that checks them."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.data.arrow_footer import batch_spans
from corpus.data.stored import MOST_BLOCKS, PART_BYTES, DamagedFileError, Digests, Hasher, HashingSink, block_bytes
from tests.datasets import stored

_sizes = st.one_of(
    st.integers(0, 300), st.integers(PART_BYTES - 2, PART_BYTES + 2), st.integers(0, 5 * MOST_BLOCKS * PART_BYTES)
)


def _noise(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def _slow(data: bytes) -> Digests:
    """The definition: at most 32 blocks of a power of two, each the digest of the digests of its parts of 64 KiB."""
    length = 65536
    while -(-len(data) // length) > 32:
        length *= 2
    blocks = ""
    for begin in range(0, len(data), length):
        block = data[begin : begin + length]
        parts = [xxhash.xxh3_64_digest(block[at : at + 65536]) for at in range(0, len(block), 65536)]
        blocks += xxhash.xxh3_64_hexdigest(b"".join(parts))
    return Digests(len(data), xxhash.xxh3_128_hexdigest(data), blocks)


@settings(max_examples=50)
@given(size=_sizes, steps=st.lists(st.integers(0, 3 * PART_BYTES), min_size=1, max_size=5).filter(any))
def test_digests_do_not_depend_on_how_the_bytes_come(size: int, steps: list[int]) -> None:
    data, hasher, at, number = _noise(size), Hasher(), 0, 0
    while at < size:
        step = steps[number % len(steps)]
        hasher.update(data[at : at + step])
        at, number = at + step, number + 1
    assert hasher.digests() == _slow(data)


def test_digests_of_a_file_and_of_what_is_written(tmp_path: Path) -> None:
    for size in (0, 1, PART_BYTES, 3_000_001):
        path = tmp_path / str(size)
        with path.open("wb", buffering=0) as file:
            sink = HashingSink(file)
            assert sink.write(_noise(size)) == size
        assert sink.hasher.digests() == Digests.of(path) == _slow(_noise(size))


@settings(max_examples=50)
@given(size=_sizes, spans=st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**6)), max_size=8))
def test_what_is_read_is_the_file(
    size: int, spans: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    data, path = _noise(size), tmp_path_factory.mktemp("read") / "file"
    path.write_bytes(data)
    file = pickle.loads(pickle.dumps(stored(path)))
    assert file.read() == data
    plain = io.BytesIO(data)
    with file.open() as checked:
        for begin, length in spans:
            assert checked.seek(begin % (size + 1)) == plain.seek(begin % (size + 1))
            expected = plain.read(length)
            assert checked.read(length) == expected
            assert checked.tell() == plain.tell()
            assert checked.part(begin % (size + 1), len(expected)) == expected
            checked.seek(begin % (size + 1))
            assert pa.PythonFile(checked, "r").read(length) == expected


@settings(max_examples=60)
@given(data=st.data(), size=_sizes.filter(bool))
def test_a_read_sees_no_changed_byte(data: st.DataObject, size: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("changed") / "file"
    path.write_bytes(_noise(size))
    file = stored(path)
    place = data.draw(st.integers(0, size - 1))
    changed = bytearray(_noise(size))
    changed[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(changed)
    with pytest.raises(DamagedFileError, match=r"file is damaged .*make it again") as caught:
        file.check()
    assert (caught.value.path, pickle.loads(pickle.dumps(caught.value)).path) == (path, path)
    begin = data.draw(st.integers(0, size - 1))
    length = block_bytes(size)
    with file.open() as checked:
        checked.seek(begin)
        count = data.draw(st.integers(1, 2 * length))
        touched = range(begin // length, (min(begin + count, size) - 1) // length + 1)
        if place // length in touched:
            with pytest.raises(DamagedFileError):
                checked.read(count)
        else:
            assert checked.read(count) == _noise(size)[begin : begin + count]


def test_another_size_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"some bytes")
    file = stored(path)
    for data in (b"", b"some byte", b"some bytes!"):
        path.write_bytes(data)
        with pytest.raises(DamagedFileError, match=f"it has {len(data)} bytes and not 10"):
            file.read()
    path.unlink()
    with pytest.raises(DamagedFileError, match="it is missing"):
        file.check()


def test_arrays(tmp_path: Path) -> None:
    values = np.arange(100_000, dtype=np.int64).reshape(2, -1)
    np.save(tmp_path / "a.npy", values)
    values.tofile(tmp_path / "bare")
    array, bare = stored(tmp_path / "a.npy"), stored(tmp_path / "bare")
    assert (array.array() == values).all() and (array.mapped() == values).all()
    assert (bare.values(np.int64) == values.ravel()).all()
    assert bare.values(np.int64, 70_000, 70_003).tolist() == [70_000, 70_001, 70_002]
    assert len(bare.values([("a", np.int32), ("b", np.int32)], 5, 5)) == 0
    data = bytearray((tmp_path / "a.npy").read_bytes())
    data[-1] ^= 1
    (tmp_path / "a.npy").write_bytes(data)
    for read in (array.array, array.mapped):
        with pytest.raises(DamagedFileError):
            read()


@pytest.mark.parametrize("batches", [0, 1, 7])
def test_spans_of_record_batches(tmp_path: Path, batches: int) -> None:
    table = pa.table({"a": list(range(700)), "b": ["x" * (n % 50) for n in range(700)]})
    path = tmp_path / "file.arrow"
    with pa.ipc.new_file(str(path), table.schema) as sink:
        for number in range(batches):
            sink.write_table(table.slice(100 * number, 100))
    with stored(path).open() as file:
        spans = batch_spans(file)
    assert len(spans) == batches
    data = path.read_bytes()
    for number, (begin, end) in enumerate(spans):
        batch = pa.ipc.read_record_batch(pa.py_buffer(data[begin:end]), table.schema)
        assert batch.equals(table.slice(100 * number, 100).to_batches()[0])
    (tmp_path / "other").write_bytes(b"no Arrow file")
    with stored(tmp_path / "other").open() as file, pytest.raises(ValueError, match="does not end as an Arrow file"):
        batch_spans(file)
