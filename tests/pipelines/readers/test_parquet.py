"""Parquet files of text."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError
from corpus.ingest.reader import Record, Skipped, Unreadable
from corpus.ingest.stage import IngestStage
from pipelines.readers.parquet import ParquetReader
from tests.pipelines.readers.reading import items_of, reasons_of, records_of


def write(path: Path, columns: dict[str, object], **options: object) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def test_text_is_kept_and_other_columns_are_metadata(tmp_path: Path) -> None:
    text = " a\r\n\u0000\U0001f600 "
    path = write(
        tmp_path / "a.parquet",
        {
            "text": [text],
            "url": ["u"],
            "id": [7],
            "language": ["de"],
            "when": [datetime.datetime(2020, 1, 2, 3, 4, 5)],
            "price": [decimal.Decimal("1.50")],
            "score": [float("nan")],
            "blob": [b"\xff"],
            "tags": pa.array([["a", None]]),
            "place": pa.array([{"x": 1, "y": None}]),
        },
    )
    (record,) = records_of(items_of(ParquetReader(), path))
    assert (record.ordinal, record.text, record.url, record.language) == (0, text, "u", "de")
    assert record.metadata == {
        "id": 7,
        "when": "2020-01-02T03:04:05",
        "price": "1.50",
        "score": "nan",
        "blob": "\ufffd",
        "tags": ["a", None],
        "place": {"x": 1, "y": None},
    }
    json.dumps(record.metadata, allow_nan=False)


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
)
def test_types_of_text(tmp_path: Path, kind: pa.DataType) -> None:
    texts = ["a", "ä", None, "", "a"]
    values = [None if text is None else text.encode() for text in texts] if "binary" in str(kind) else texts
    path = write(tmp_path / "a.parquet", {"body": pa.array(values, kind), "text": ["other"] * 5}, row_group_size=2)
    items = items_of(ParquetReader(text_column="body"), path)
    assert [item.text for item in records_of(items)] == ["a", "ä", "a"]
    assert items[2] == Unreadable(2, 0, 0, "field 'body' is not a string", b"")
    assert items[3] == Skipped(3, "no text")


def test_a_string_that_is_no_utf8_costs_its_row(tmp_path: Path) -> None:
    bad = pa.StringArray.from_buffers(
        3, pa.py_buffer(pa.array([0, 1, 3, 4], pa.int32()).buffers()[1]), pa.py_buffer(b"a\xff\xfeb")
    )
    path = write(tmp_path / "a.parquet", {"text": bad, "note": bad})
    items = items_of(ParquetReader(), path)
    assert records_of(items) == [Record(0, "a", metadata={"note": "a"}), Record(2, "b", metadata={"note": "b"})]
    assert items[1] == Unreadable(1, 0, 2, "not UTF-8", b"\xff\xfe")


def test_many_batches_and_row_groups(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(5_000)]
    path = write(tmp_path / "a.parquet", {"text": texts}, row_group_size=1_700)
    assert [(item.ordinal, item.text) for item in records_of(items_of(ParquetReader(), path))] == list(enumerate(texts))


def test_a_corrupt_row_group_costs_its_rows_alone(tmp_path: Path) -> None:
    generator = random.Random(0)
    texts = [generator.randbytes(40).hex() for _ in range(300)]
    path = write(tmp_path / "a.parquet", {"text": texts}, row_group_size=100, use_dictionary=False, compression="zstd")
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    stored = bytearray(path.read_bytes())
    middle = column.data_page_offset + column.total_compressed_size // 2
    stored[middle - 200 : middle + 200] = bytes(400)
    path.write_bytes(stored)
    items = items_of(ParquetReader(), path)
    assert [item.text for item in records_of(items)] == texts[:100] + texts[200:]
    assert reasons_of(items) == ["corrupt row group"] * 100


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"txt": ["a"], "number": [1]})
    with pytest.raises(DataError, match=r"a.parquet has no column 'text' .*did you mean 'txt'.*--text-column"):
        items_of(ParquetReader(), path)
    with pytest.raises(DataError, match=r"column 'number' of .* is int64, not text"):
        items_of(ParquetReader(text_column="number"), path)
    stored = path.read_bytes()
    for cut in (stored[:-20], b"text", b"PAR1" + bytes(100) + b"PAR1"):
        path.write_bytes(cut)
        assert items_of(ParquetReader(), path) == [Unreadable(0, 0, len(cut), "no whole Parquet file", cut)]
    path.write_bytes(b"")
    assert items_of(ParquetReader(), path) == [Unreadable(0, 0, 0, "empty file", b"")]


def test_a_torn_file_does_not_end_the_run(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    write(raw / "a.parquet", {"text": ["kept"]})
    (raw / "b.parquet").write_bytes((raw / "a.parquet").read_bytes()[:-9])
    (raw / "c.parquet").write_bytes(b"no Parquet")
    manifest = run_stage(IngestStage(ParquetReader(), (str(raw),)), tmp_path / "out", RunOptions(quiet=True))
    assert (manifest.rows, manifest.counts["records"].quarantined) == (1, 2)


def test_flipped_bytes_never_raise(tmp_path: Path) -> None:
    texts = [f"text {number} {random.Random(number).randbytes(9).hex()}" for number in range(400)]
    stored = write(tmp_path / "a.parquet", {"text": texts}, row_group_size=100, compression="zstd").read_bytes()
    for seed in range(60):
        generator = random.Random(seed)
        broken = bytearray(stored)
        for _ in range(3):
            broken[generator.randrange(len(broken))] = generator.randrange(256)
        path = tmp_path / "b.parquet"
        path.write_bytes(broken)
        with contextlib.suppress(DataError):  # the name of the column was hit
            items_of(ParquetReader(), path)


def test_text_inside_other_columns(tmp_path: Path) -> None:
    messages = [[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]]
    columns = {"a": pa.array([{"b": "deep", "c": 1}]), "title": ["T"], "body": ["B"], "messages": pa.array(messages)}
    path = write(tmp_path / "a.parquet", columns)

    def text(column: str, speakers: bool = False) -> str:
        (record,) = records_of(items_of(ParquetReader(text_column=column, speakers=speakers), path))
        return record.text

    assert text("a.b") == "deep"
    assert text("title,body") == "T\n\nB"
    assert text("messages") == "Hi\n\nHello"
    assert text("messages", speakers=True) == "user: Hi\n\nassistant: Hello"
