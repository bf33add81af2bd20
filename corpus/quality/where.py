"""Map `where`: documents that an SQL expression over their columns does not hold for go. DuckDB evaluates it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import pyarrow as pa

from corpus.engine.document_map import DocumentBatch, DocumentMap, Mapped
from corpus.errors import DataError, UsageError
from corpus.option import nearest, option

NO_SCORE, NOT_MET = "where: no score", "where: not met"
_EXAMPLE = 'write for example --where "perplexity < 500 and reference > 0.25"'


@lru_cache(maxsize=1)
def _database() -> Any:
    """An empty database in memory without files, network and threads."""
    import duckdb

    return duckdb.connect(config={"enable_external_access": "false", "threads": "1"})


@lru_cache(maxsize=1)
def _pure_functions() -> frozenset[str]:
    """The functions whose value follows from one row alone."""
    rows = _database().execute("SELECT function_name, function_type, stability FROM duckdb_functions()").fetchall()
    impure = {name for name, kind, stability in rows if kind != "scalar" or stability != "CONSISTENT"}
    return frozenset({name for name, _, _ in rows} - impure)


@dataclass(frozen=True)
class Where(DocumentMap):
    """Keeps the documents for which an SQL expression is true; where it is null, a score that it needs is missing."""

    name: ClassVar[str] = "where"

    expression: str = option("", "An SQL expression over the columns of documents, in DuckDB's dialect.", metavar="SQL")

    def __post_init__(self) -> None:
        for part in _parts(_parsed(self.expression)):
            if part.get("class") in ("SUBQUERY", "WINDOW", "STAR", "PARAMETER"):
                raise UsageError(
                    f"--where {self.expression}: only columns of one document can be compared; {_EXAMPLE}."
                )
            function = part.get("function_name") if part.get("class") == "FUNCTION" else None
            if function is not None and function not in _pure_functions():
                raise UsageError(
                    f"--where {self.expression}: {function} is no function of one document's columns alone; {_EXAMPLE}."
                )

    @property
    def names(self) -> list[str]:
        """The columns that the expression names."""
        parts = (part for part in _parts(_parsed(self.expression)) if part.get("class") == "COLUMN_REF")
        return sorted({part["column_names"][0] for part in parts})

    def check_columns(self, schema: pa.Schema) -> None:
        for name in self.names:
            if name.lower() not in [known.lower() for known in schema.names]:
                raise UsageError(f"--where {self.expression}: no column '{name}'; {nearest(name, schema.names)}")
        try:
            self._values(pa.Table.from_pylist([], schema=schema))
        except DataError as error:
            raise UsageError(error.message) from None

    def apply(self, batch: DocumentBatch) -> Mapped:
        wanted = [name for name in batch.rows.schema.names if name.lower() in {name.lower() for name in self.names}]
        values = self._values(pa.Table.from_batches([batch.rows]).select(wanted or ["id"]))
        return Mapped(reasons=[NO_SCORE if value is None else None if value else NOT_MET for value in values])

    def _values(self, table: pa.Table) -> list[bool | None]:
        """Of each row whether the expression holds, in order."""
        import duckdb

        try:
            rows = _database().from_arrow(table).project(f"CAST(({self.expression}\n) AS BOOLEAN)").fetchall()
        except duckdb.Error as error:
            raise DataError(f"--where {self.expression}: {str(error).splitlines()[0]}.") from None
        return [value for (value,) in rows]


def _parsed(expression: str) -> Any:
    """The syntax tree of an expression; a UsageError where it is none."""
    if not expression.strip():
        raise UsageError(f"--where is empty: {_EXAMPLE}.")
    query = f"SELECT (\n{expression}\n)"
    ((answer,),) = _database().execute("SELECT json_serialize_sql(?)", [query]).fetchall()
    tree = json.loads(answer)
    if tree["error"] and "SELECT" in tree["error_message"]:
        raise UsageError(f"--where {expression}: this is no expression alone; {_EXAMPLE}.")
    if tree["error"]:
        raise UsageError(f"--where {expression}: {tree['error_message']}; {_EXAMPLE}.")
    if len(tree["statements"]) != 1:
        raise UsageError(f"--where {expression}: this is no expression alone; {_EXAMPLE}.")
    return tree["statements"][0]["node"]["select_list"]


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    """All nodes of a syntax tree."""
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _parts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _parts(value)
