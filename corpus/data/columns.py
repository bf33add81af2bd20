"""Open columns: what readers and stages add to documents besides the columns that all of them have."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from corpus.data.schema import DOCUMENT_SCHEMA
from corpus.errors import UsageError
from corpus.option import nearest

_TYPES: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "large_string": pa.large_string(),
    "bool": pa.bool_(),
    **{name: pa.type_for_alias(name) for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")},
    **{name: pa.type_for_alias(name) for name in ("uint64", "float32", "float64")},
    "date": pa.date32(),
}


@dataclass(frozen=True)
class Column:
    """A column that a reader or stage declares. It can be null in every document.

    `type` is string, large_string, bool, int8 to int64, uint8 to uint64, float32, float64, date, or list<…> of one of
    them; `doc` is one line that says what its values mean.
    """

    name: str
    type: str
    doc: str

    def field(self) -> pa.Field:
        """The Arrow field; a UsageError for a type that is none of the known ones."""
        return pa.field(self.name, arrow_type(self.type))

    def convert(self, value: object) -> object:
        """A raw value as one of this column, exactly, or None where it cannot be one."""
        return None if value is None else _convert(self.type, value)

    def to_json(self) -> dict[str, str]:
        """The entry in the manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Column:
        """Read the entry of a manifest."""
        return cls(str(value["name"]), str(value["type"]), str(value["doc"]))


TITLE = Column("title", "string", "Title of the page, book, paper or question.")
AUTHOR = Column("author", "string", "Who wrote the text, as the source names them.")
DATE = Column(
    "date", "string", "When the text was published or captured, as the source says (ISO 8601 where it can be)."
)
LICENCE = Column("licence", "string", "Licence of the text, as an SPDX identifier where there is one.")
COMMON = (TITLE, AUTHOR, DATE, LICENCE)
"""Columns that readers of several domains have."""


_EXACT = {"float32": 1 << 24, "float64": 1 << 53}
"""The largest whole number up to which all are exact."""


def _convert(kind: str, value: object) -> object:
    if kind.startswith("list<"):
        items = [_convert(kind[5:-1], item) for item in value] if isinstance(value, list | tuple) else [None]
        return None if None in items else items
    if kind in ("string", "large_string"):
        return value if isinstance(value, str) else None
    if isinstance(value, bool) or kind == "bool":
        return value if isinstance(value, bool) and kind == "bool" else None
    if kind in _EXACT:
        if isinstance(value, int):
            return float(value) if abs(value) <= _EXACT[kind] else None
        return value if isinstance(value, float) else None
    if kind == "date":
        return _date(value)
    bits = int(kind.removeprefix("u").removeprefix("int"))
    low, high = (0, 1 << bits) if kind.startswith("u") else (-(1 << bits - 1), 1 << bits - 1)
    return value if isinstance(value, int) and low <= value < high else None


def _date(value: object) -> datetime.date | None:
    """A date as it is, or from its ISO form."""
    if isinstance(value, datetime.date):
        return None if isinstance(value, datetime.datetime) else value
    try:
        return datetime.date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


@functools.cache
def arrow_type(name: str) -> pa.DataType:
    """The Arrow type of a column's type name."""
    if name.startswith("list<") and name.endswith(">"):
        return pa.list_(arrow_type(name[5:-1]))
    if name not in _TYPES:
        raise UsageError(f"there is no column type '{name}': {nearest(name, _TYPES)}")
    return _TYPES[name]


def merge_columns(groups: Iterable[Iterable[Column]]) -> tuple[Column, ...]:
    """The columns of several inputs or stages, each once, in the order of their first mention.

    A UsageError where two of one name have different types, or where one has the name of a column of all documents.
    """
    found: dict[str, Column] = {}
    for column in (column for group in groups for column in group):
        if not column.name.strip():
            raise UsageError("a column needs a name: write it as NAME or NAME:TYPE.")
        if column.name in DOCUMENT_SCHEMA.names:
            raise UsageError(f"a column cannot be called '{column.name}', which all documents have: rename it.")
        first = found.setdefault(column.name, column)
        if first.type != column.type:
            raise UsageError(
                f"the column '{column.name}' is {first.type} in one place and {column.type} in another: rename one."
            )
    return tuple(found.values())


def document_schema(columns: Iterable[Column]) -> pa.Schema:
    """The schema of documents with these open columns."""
    return pa.schema([*DOCUMENT_SCHEMA, *(column.field() for column in columns)])


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with exactly the columns of `schema`; those it lacks are null."""
    if batch.schema.equals(schema):
        return batch
    arrays = [
        batch.column(field.name).cast(field.type)
        if field.name in batch.schema.names
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
