"""Exports are read back by readers written from the published formats, and by datatrove itself."""

from __future__ import annotations

import fcntl
import json
import os
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import corpus
from corpus.data.dataset import Dataset
from corpus.engine.runner import run_stage
from corpus.errors import DataError, UsageError
from corpus.export import mds, megatron, sequences
from corpus.export.export import export
from corpus.export.registry import FORMATS
from corpus.export.sequences import Batch
from tests.corpus.mixture.mixed import QUIET, packed_rows, stage
from tests.corpus.mixture.mixing import EOD, write_tokens

LENGTHS = {"alpha": [5, 40, 1, 17, 9, 30], "beta": [3, 3, 50, 22], "gamma": [64, 2, 11, 8]}
WIDTH = 17


@pytest.fixture(params=["concatenate", "best-fit", "wide"])
def packed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A packed set of rows of 17 ids."""
    vocabulary = 100_000 if request.param == "wide" else 32_000
    inputs = [
        write_tokens(tmp_path / name, name, lengths, vocab_size=vocabulary, first=70_000 if vocabulary > 1 << 16 else 3)
        for name, lengths in LENGTHS.items()
    ]
    config = {"packing": "best-fit"} if request.param == "best-fit" else {}
    run_stage(stage(inputs, sequence_length=WIDTH - 1, **config), tmp_path / "packed", QUIET)
    return tmp_path / "packed"


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    return write_tokens(tmp_path / "alpha", "alpha", LENGTHS["alpha"], shards=2)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many batches, steps and shards of what is small."""
    monkeypatch.setattr(sequences, "BATCH_TOKENS", 3 * WIDTH)
    monkeypatch.setattr(megatron, "_AT_A_TIME", 4)
    monkeypatch.setattr(mds, "SHARD_BYTES", 700)


def write(dataset: Path, kind: str, output: Path) -> Path:
    export(dataset, kind, output, lambda line: None)
    return output


def ids_of(dataset: Path) -> list[list[int]]:
    """The documents of a token set."""
    return [row["ids"] for batch in Dataset.open(dataset).batches() for row in batch.to_pylist()]


def ends_of(rows: list[dict[str, Any]]) -> list[int]:
    """Where documents and paddings end in rows that follow each other."""
    ends = set()
    for number, row in enumerate(rows):
        place = number * WIDTH
        for segment in row["segments"]:
            place += segment["length"]
            ends.add(place)
        ends.add((number + 1) * WIDTH)
    return sorted(ends)


def read_megatron(prefix: Path) -> tuple[list[list[int]], list[int]]:
    """The sequences and the document indices of an indexed dataset, by its published format."""
    index = Path(f"{prefix}.idx").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    version, code, count, indices = struct.unpack_from("<QBQQ", index, 9)
    assert version == 1
    dtype = {1: np.uint8, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 8: np.uint16}[code]
    lengths = np.frombuffer(index, np.int32, count, 34)
    pointers = np.frombuffer(index, np.int64, count, 34 + 4 * count)
    documents = np.frombuffer(index, np.int64, indices, 34 + 12 * count)
    assert len(index) == 34 + 12 * count + 8 * indices
    data = Path(f"{prefix}.bin").read_bytes()
    found = [
        np.frombuffer(data, dtype, length, pointer).tolist() for length, pointer in zip(lengths, pointers, strict=True)
    ]
    assert sum(map(len, found)) * np.dtype(dtype).itemsize == len(data)
    return found, documents.tolist()


def read_mds(folder: Path) -> list[dict[str, Any]]:
    """The samples of all shards, by the published format."""
    samples: list[dict[str, Any]] = []
    index = json.loads((folder / "index.json").read_text())
    assert index["version"] == 2
    for shard in index["shards"]:
        data = (folder / shard["raw_data"]["basename"]).read_bytes()
        assert len(data) == shard["raw_data"]["bytes"] <= mds.SHARD_BYTES
        (count,) = np.frombuffer(data, np.uint32, 1)
        assert count == shard["samples"]
        offsets = np.frombuffer(data, np.uint32, count + 1, 4)
        assert json.loads(data[4 * (count + 2) : offsets[0]]).items() <= shard.items()
        assert offsets[-1] == len(data)
        for begin, end in pairwise(offsets.tolist()):
            samples.append(decode(shard, data[begin:end]))
    return samples


def decode(shard: dict[str, Any], data: bytes) -> dict[str, Any]:
    sizes, place = [], 0
    for size in shard["column_sizes"]:
        if not size:
            (size,) = struct.unpack_from("<I", data, place)
            place += 4
        sizes.append(size)
    sample = {}
    for name, encoding, size in zip(shard["column_names"], shard["column_encodings"], sizes, strict=True):
        value, place = data[place : place + size], place + size
        if encoding == "str":
            sample[name] = value.decode()
            continue
        _, dtype, *shape = encoding.split(":")
        if not shape:  # number of dimensions and log2 of the bytes of each, then these
            assert value[0] >> 2 == 1
            width = 1 << (value[0] & 3)
            shape, value = [int.from_bytes(value[1 : 1 + width], "little")], value[1 + width :]
        sample[name] = np.frombuffer(value, dtype).tolist()
        assert len(sample[name]) == int(shape[0])
    assert place == len(data)
    return sample


@pytest.mark.usefixtures("small_steps")
class TestPackedSets:
    """Rows in training order, with their documents."""

    def test_megatron(self, packed: Path, tmp_path: Path) -> None:
        found, documents = read_megatron(write(packed, "megatron", tmp_path / "out") / "train")
        assert found == [row["tokens"] for row in packed_rows(packed)]
        assert documents == list(range(len(found) + 1))

    def test_mds(self, packed: Path, tmp_path: Path) -> None:
        output = write(packed, "mds", tmp_path / "out")
        assert len(list(output.glob("*.mds"))) > 1
        assert read_mds(output) == [
            {
                "tokens": row["tokens"],
                "domain": row["domain"],
                "document_lengths": [segment["length"] for segment in row["segments"]],
            }
            for row in packed_rows(packed)
        ]

    def test_datatrove(self, packed: Path, tmp_path: Path) -> None:
        from datatrove.utils.dataset import DatatroveFolderDataset

        output = write(packed, "datatrove", tmp_path / "out")
        rows = packed_rows(packed)
        size = int((output / "00000.ds.metadata").read_text().split("\n")[0].split("|")[1])
        found = DatatroveFolderDataset(str(output), WIDTH - 1, token_size=size, return_positions=True)
        ends = {0, *ends_of(rows)}
        assert len(found) == len(rows)
        for number, row in enumerate(rows):
            item = found[number]
            assert item["input_ids"].tolist() == row["tokens"]
            starts = [place - number * WIDTH for place in range(number * WIDTH, (number + 1) * WIDTH) if place in ends]
            assert np.flatnonzero(item["positions"].numpy() == 0).tolist() == starts
        assert np.fromfile(output / "00000.ds.index", np.uint64).tolist() == ends_of(rows)

    def test_nanogpt(self, packed: Path, tmp_path: Path) -> None:
        rows = packed_rows(packed)
        dtype = np.uint16 if max(max(row["tokens"]) for row in rows) < 1 << 16 else np.uint32
        found = np.memmap(write(packed, "nanogpt", tmp_path / "out") / "train.bin", dtype, "r").reshape(-1, WIDTH)
        assert found.tolist() == [row["tokens"] for row in rows]


@pytest.mark.usefixtures("small_steps")
class TestTokenSets:
    """Documents in the order of the set."""

    def test_megatron(self, tokens: Path, tmp_path: Path) -> None:
        found, documents = read_megatron(write(tokens, "megatron", tmp_path / "out") / "alpha")
        assert found == ids_of(tokens)
        assert documents == list(range(len(found) + 1))

    def test_mds(self, tokens: Path, tmp_path: Path) -> None:
        rows = [row for batch in Dataset.open(tokens).batches() for row in batch.to_pylist()]
        expected = [{"id": row["id"], "tokens": row["ids"]} for row in rows]
        assert read_mds(write(tokens, "mds", tmp_path / "out")) == expected

    def test_datatrove(self, tokens: Path, tmp_path: Path) -> None:
        output = write(tokens, "datatrove", tmp_path / "out")
        found = []
        for path in sorted(output.glob("*.ds")):
            ids = np.fromfile(path, np.uint16)
            ends = np.fromfile(f"{path}.index", np.uint64).astype(int)
            assert ends[-1] == len(ids) == int(Path(f"{path}.metadata").read_text().split("\n")[1])
            found += [part.tolist() for part in np.split(ids, ends[:-1])]
        assert found == ids_of(tokens)

    def test_nanogpt(self, tokens: Path, tmp_path: Path) -> None:
        found = np.memmap(write(tokens, "nanogpt", tmp_path / "out") / "train.bin", np.uint16, "r")
        assert [part.tolist() for part in np.split(found, np.flatnonzero(found == EOD)[:-1] + 1)] == ids_of(tokens)


@pytest.mark.parametrize("length", [1, 255, 256, 65_535, 65_536])
def test_documents_of_any_length_in_mds(tmp_path: Path, length: int) -> None:
    made = write_tokens(tmp_path / "long", "long", [length, 2])
    assert [sample["tokens"] for sample in read_mds(write(made, "mds", tmp_path / "out"))] == ids_of(made)


@given(st.lists(st.tuples(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 3)), min_size=1))
def test_ends_of_parts_and_paddings(rows: list[tuple[list[int], int]]) -> None:
    expected, place = set(), 0
    for parts, padding in rows:
        for part in parts:
            place += part
            expected.add(place)
        place += padding
        expected.add(place)
    lengths = np.array([sum(parts) + padding for parts, padding in rows])
    flat = np.array([part for parts, _ in rows for part in parts])
    counts = np.array([len(parts) for parts, _ in rows])
    batch = Batch(np.zeros(place, np.uint16), lengths, counts, flat, [""] * len(rows))
    assert batch.part_ends.tolist() == sorted(expected)


def test_validation_sets_have_names_of_their_own(tmp_path: Path, tokens: Path) -> None:
    held = tmp_path / "held"
    run_stage(stage([tokens], None, sequence_length=16, split="validation"), held, QUIET)
    write(held, "nanogpt", tmp_path / "nano")
    write(held, "megatron", tmp_path / "mega")
    assert (tmp_path / "nano" / "val.bin").exists()
    assert read_megatron(tmp_path / "mega" / "validation")[0] == [row["tokens"] for row in packed_rows(held)]


@pytest.mark.parametrize("kind", FORMATS)
def test_same_bytes_every_time(tokens: Path, tmp_path: Path, kind: str) -> None:
    first, second = (write(tokens, kind, tmp_path / name) for name in ("first", "second"))
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)
    said = json.loads((first / "export.json").read_text())
    assert said["source"]["digest"] == Dataset.open(tokens).digest
    assert sorted(said["files"]) == [name for name in names if name != "export.json"]


@pytest.mark.parametrize("kind", FORMATS)
def test_damage_is_named_and_leaves_nothing(tokens: Path, tmp_path: Path, kind: str) -> None:
    shard = tokens / "00001.arrow"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DataError, match=r"00001\.arrow is damaged"):
        write(tokens, kind, tmp_path / "out")
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_what_a_killed_export_left_goes(tokens: Path, tmp_path: Path) -> None:
    left = tmp_path / ".out.unfinished"
    (left / "tokenizer").mkdir(parents=True)
    (left / "train.bin").write_bytes(b"half")
    write(tokens, "nanogpt", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["export.json", "train.bin"]
    assert not left.exists()


def test_another_export_at_work(tokens: Path, tmp_path: Path) -> None:
    (tmp_path / ".out.unfinished").mkdir()
    descriptor = os.open(tmp_path / ".out.unfinished", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(DataError, match="being written by another export"):
            write(tokens, "nanogpt", tmp_path / "out")
        assert (tmp_path / ".out.unfinished").exists()
    finally:
        os.close(descriptor)


def test_what_cannot_be_exported(tokens: Path, tmp_path: Path, make_documents: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="holds documents: give a packed set"):
        write(make_documents("docs", ["a"]), "mds", tmp_path / "out")
    with pytest.raises(UsageError, match="lies in the set"):
        write(tokens, "mds", tokens / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(UsageError, match="exists already"):
        write(tokens, "mds", tmp_path / "full")
    with pytest.raises(UsageError, match="did you mean 'megatron'"):
        corpus.open(tokens).export("megatro", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_from_python(tokens: Path, tmp_path: Path) -> None:
    corpus.open(tokens).export("nanogpt", tmp_path / "out")
    assert np.fromfile(tmp_path / "out" / "train.bin", np.uint16).tolist() == [
        id for ids in ids_of(tokens) for id in ids
    ]
