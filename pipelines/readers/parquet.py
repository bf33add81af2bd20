"""Parquet files with a column of text, read batch by batch; every other column becomes metadata."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.errors import DataError
from corpus.ingest.compression import QUARANTINE_BYTES
from corpus.ingest.reader import Item, RawFile, Unreadable
from corpus.option import nearest, option
from corpus.remote.path import RemotePath
from pipelines.readers.fields import DeclaresColumns, Fields, NoDocument

_BATCH_ROWS = 512
ERRORS = (pa.ArrowException, OSError, ValueError, MemoryError, RuntimeError)
"""What a damaged file makes Arrow raise: text that is no UTF-8 in its footer, sizes that no memory has."""


@dataclass(frozen=True)
class ParquetReader(DeclaresColumns):
    """`corpus ingest parquet`."""

    domain: ClassVar[str] = "parquet"
    streams: ClassVar[bool] = True
    patterns: ClassVar[tuple[str, ...]] = ("*.parquet", "*.pq")
    doc: ClassVar[str] = "Parquet files with a column of text."

    text_column: str = option("text", "Column of the text; a.b of one inside another, a,b of several that are joined.")
    id_column: str = option("id", "Column of the record's own id, kept as metadata.id.")
    url_column: str = option("url", "Column of the URL.")
    language_column: str = option("language", "Column of the language code.")
    date_column: str = option("date", "Column of the date.")
    speakers: bool = option(False, "Put its role before each message of a list of messages.")

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """One item a row. A row group that cannot be decoded is one `Unreadable` a row, the others are read; a file whose
        end is missing or damaged is one `Unreadable`."""
        if file.path.stat().st_size == 0:
            yield Unreadable(0, 0, 0, "empty file", b"")
            return
        fields = Fields(
            self.text_column, self.id_column, self.url_column, self.language_column, self.date_column, self.speakers
        )
        try:
            opened = _opened(file.path)
        except PermissionError:
            raise
        except ERRORS:
            yield torn_file(file.path, "no whole Parquet file")
            return
        with opened as parquet:
            self._check(file.path, parquet.schema_arrow)
            first = 0
            for group in range(parquet.metadata.num_row_groups):
                rows = parquet.metadata.row_group(group)
                yield from _group(parquet, group, first, fields)
                first += rows.num_rows

    def _check(self, path: Path, schema: pa.Schema) -> None:
        """A DataError unless the columns of the text are there, and can hold text."""
        for name in [self.text_column] if self.text_column in schema.names else self.text_column.split(","):
            column = name.strip().partition(".")[0]
            if column not in schema.names and (name == self.text_column or "," not in self.text_column):
                hint = nearest(column, schema.names)
                raise DataError(f"{path} has no column '{column}' for the text ({hint}): choose it with --text-column.")
            kind = schema.field(column).type if column in schema.names else pa.string()
            if pa.types.is_dictionary(kind):
                kind = kind.value_type
            if not (_is_text(kind) or pa.types.is_nested(kind)):
                raise DataError(f"column '{column}' of {path} is {kind}, not text: choose another with --text-column.")


def _opened(path: Path) -> pq.ParquetFile:
    """The file, in columns that are read as they are asked for."""
    if isinstance(path, RemotePath):
        return pq.ParquetFile(pa.PythonFile(path.open("rb"), mode="r"), pre_buffer=False, buffer_size=1 << 20)
    return pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)


def torn_file(path: Path, reason: str) -> Unreadable:
    """A file of which nothing can be read: it is set aside whole."""
    with path.open("rb") as stored:
        return Unreadable(0, 0, path.stat().st_size, reason, stored.read(QUARANTINE_BYTES))


def _group(parquet: pq.ParquetFile, group: int, first: int, fields: Fields) -> Iterator[Item]:
    """The items of one row group, whose first row has the ordinal `first`."""
    rows = parquet.metadata.row_group(group)
    ordinal = first
    try:
        for batch in parquet.iter_batches(_BATCH_ROWS, row_groups=[group], use_threads=False):
            for row in rows_of(batch):
                yield _item(ordinal, row, fields)
                ordinal += 1
    except ERRORS:
        column = rows.column(0)
        offset = column.dictionary_page_offset or column.data_page_offset
        for lost in range(ordinal, first + rows.num_rows):
            yield Unreadable(lost, offset, 0, "corrupt row group", b"")


def rows_of(batch: pa.RecordBatch) -> Iterator[dict[str, object]]:
    """The rows of a batch. Strings are taken as bytes, for Parquet files may hold text that is no UTF-8."""
    columns = []
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        columns.append(column.cast(pa.large_binary()) if _is_text(column.type) else column)
    names = batch.schema.names
    texts = [_is_text(column.type) for column in columns]
    for number in range(batch.num_rows):
        yield {
            name: _decoded(column[number].as_py()) if text else column[number].as_py()
            for name, column, text in zip(names, columns, texts, strict=True)
        }


def _decoded(data: bytes | None) -> str | bytes | None:
    """The string, or the bytes themselves if they are no UTF-8."""
    if data is None:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


def _item(ordinal: int, row: dict[str, object], fields: Fields) -> Item:
    text = row.get(fields.text)
    try:
        if isinstance(text, bytes):
            raise NoDocument("not UTF-8")
        return fields.item(ordinal, row)
    except NoDocument as error:
        data = text if isinstance(text, bytes) else b""
        return Unreadable(ordinal, 0, len(data), str(error), data[:QUARANTINE_BYTES])


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
    )
