"""Record batches of Arrow IPC files, read in the thread that asks."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.data.arrow_file import ArrowFile
from corpus.data.dataset import read_batches, read_schema
from corpus.data.schema import token_schema
from corpus.data.stored import CheckedFile
from corpus.errors import DataError
from tests.datasets import stored


def write(path: Path, sizes: list[int]) -> list[pa.RecordBatch]:
    schema = token_schema(False)
    batches = []
    with pa.ipc.new_file(str(path), schema) as sink:
        for number, size in enumerate(sizes):
            ids = [np.arange(row, dtype=np.uint16) for row in range(size)]
            columns = [pa.array([f"{number}-{row}" for row in range(size)]), pa.array(ids, schema.field("ids").type)]
            batches.append(pa.RecordBatch.from_arrays(columns, schema=schema))
            sink.write_batch(batches[-1])
    return batches


@given(st.lists(st.integers(0, 40), max_size=5))
def test_batches_are_those_of_pyarrow(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    path = tmp_path_factory.mktemp("arrow") / "0.arrow"
    batches = write(path, sizes)
    assert list(read_batches(stored(path))) == batches
    assert list(read_batches(stored(path), ["id"])) == [batch.select(["id"]) for batch in batches]
    assert read_schema(stored(path)) == token_schema(False)


def test_no_other_thread_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "0.arrow", [5, 7, 3])
    threads = set()
    real = CheckedFile.readinto

    def readinto(self: CheckedFile, buffer: object) -> int:
        threads.add(threading.get_ident())
        return real(self, buffer)  # type: ignore[arg-type]  # whatever it was given

    monkeypatch.setattr(CheckedFile, "readinto", readinto)
    assert sum(batch.num_rows for batch in read_batches(stored(tmp_path / "0.arrow"))) == 15
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize("data", [b"", b"ARROW1", b"ARROW1\0\0" + b"\0" * 40 + b"ARROW1", b"PAR1" * 20])
def test_what_is_no_arrow_file_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "0.arrow").write_bytes(data)
    with pytest.raises(DataError, match=r"0\.arrow is damaged"):
        list(read_batches(stored(tmp_path / "0.arrow")))
    with stored(tmp_path / "0.arrow").open() as file, pytest.raises(ValueError, match=r"Arrow|footer"):
        ArrowFile(file)
