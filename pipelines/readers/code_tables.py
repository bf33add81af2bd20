"""Tables of source files: BigQuery's export of GitHub (contents, files, licences), and those shaped like The Stack.

Rows are those of JSON lines, Parquet or Avro files. A table of contents is read; tables that say to which repositories and
paths contents belong, and what licences repositories have, are gathered before.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from corpus.ingest.compression import QUARANTINE_BYTES, Damage
from corpus.ingest.reader import RawFile
from pipelines.markup.licences.expression import licences_of_expression
from pipelines.markup.licences.survey import refusal
from pipelines.readers.jsonl import SUFFIXES, read_objects
from pipelines.readers.parquet import ERRORS, rows_of

PATTERNS = (
    *(f"*.{name}{suffix}" for name in ("jsonl", "ndjson", "json") for suffix in SUFFIXES),
    *("*.parquet", "*.pq", "*.avro"),
)
CONTENT = ("content", "code", "text")
REPOSITORY = ("repo_name", "max_stars_repo_name", "sample_repo_name", "repository_name", "repository", "repo")
PATH = ("path", "max_stars_repo_path", "sample_path", "file_path")
LICENCE = ("license", "licenses", "max_stars_repo_licenses", "detected_licenses", "gha_license_id", "licence")
COMMIT = ("max_stars_repo_head_hexsha", "revision_id", "commit", "commit_id", "ref", "sample_ref")
IDENTIFIER = ("id", "hexsha", "blob_id")
MORE = ("binary", "ext", "size")
NAMES = frozenset((*CONTENT, *REPOSITORY, *PATH, *LICENCE, *COMMIT, *IDENTIFIER, *MORE))
DATABASE = "tables.sqlite"
SCHEMA = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16384;
CREATE TABLE licence (repository TEXT, licences TEXT, PRIMARY KEY (repository, licences)) WITHOUT ROWID;
CREATE TABLE file (id TEXT, repository TEXT, path TEXT, commit_id TEXT, PRIMARY KEY (id, repository, path)) WITHOUT ROWID;
"""
_ROWS = 256
_JUDGED_ROWS = 256
"""By these what a table is of is told: one whose first rows have no content may have contents below."""
_STORED = NAMES.difference(CONTENT)
_AVRO_ERRORS = (*ERRORS, EOFError, LookupError, TypeError, AttributeError, ArithmeticError)
_AVRO_PACKAGES = frozenset(("fastavro", "cramjam", "zlib", "struct", "zstandard", "lz4", "_lzma", "backports"))
"""What damaged schemas and blocks raise, and the packages whose own errors mean damage."""
Kind = Literal["contents", "files", "licences", ""]


@dataclass(frozen=True)
class Row:
    """A source file of a table; `column` is where its licence stands, empty where it was gathered from another table."""

    content: object
    repository: str
    path: str
    commit: str
    identifier: str
    licences: frozenset[str]
    column: str
    binary: bool = False


def table_rows(path: Path) -> Iterator[Mapping[str, object] | Damage]:
    """The rows of a table, with the columns that mean something here; strings of Parquet that are no UTF-8 stay bytes."""
    name = path.name.lower()
    if name.endswith((".parquet", ".pq")):
        yield from _parquet(path)
    elif name.endswith(".avro"):
        yield from _avro(path)
    else:
        for found in read_objects(path, CONTENT):
            if isinstance(found, Damage) or _is_unicode(found.row):
                yield found if isinstance(found, Damage) else found.row
            else:
                yield Damage(found.offset, len(found.data), "not UTF-8", found.data[:QUARANTINE_BYTES])


def kind_of(row: Mapping[str, object]) -> Kind:
    """What table a row is of, by its columns: JSON leaves out those that are null."""
    if any(name in row for name in (*CONTENT, "binary")):
        return "contents"
    if _first(row, REPOSITORY) and any(name in row for name in PATH):
        return "files"
    return "licences" if _first(row, REPOSITORY) and any(name in row for name in LICENCE) else ""


def kind_of_table(path: Path) -> Kind:
    """What table a file is, by its first rows that can be read: contents where one of them or none at all is of contents,
    else what the first that tells something says."""
    rows = (row for row in table_rows(path) if not isinstance(row, Damage))
    kinds = [kind_of(row) for row in islice(rows, _JUDGED_ROWS)]
    return "contents" if not kinds or "contents" in kinds else next((kind for kind in kinds if kind), "")


def survey_table(file: RawFile, folder: Path) -> None:
    """Writes the rows of a table of files or licences."""
    kind = kind_of_table(file.path)
    if kind not in ("files", "licences"):
        return
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as database:
        database.executescript(SCHEMA + "BEGIN")
        for row in table_rows(file.path):
            if isinstance(row, Damage):
                continue
            repository = _first(row, REPOSITORY)
            if kind == "licences":
                stated = json.dumps(sorted(stated_licences(row)[0]))
                database.execute("INSERT OR IGNORE INTO licence VALUES (?, ?)", (repository, stated))
            else:
                values = (_first(row, IDENTIFIER), repository, _first(row, PATH), _first(row, COMMIT))
                database.execute("INSERT OR IGNORE INTO file VALUES (?, ?, ?, ?)", values)
        database.execute("COMMIT")


def gather_tables(surveys: Sequence[tuple[str, Path]], folder: Path) -> None:
    """Brings the tables of files and licences together."""
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as database:
        database.executescript(SCHEMA)
        for _, survey in surveys:
            if (survey / DATABASE).exists():
                database.execute("ATTACH ? AS part", (str(survey / DATABASE),))
                for table in ("licence", "file"):
                    database.execute(f"INSERT OR IGNORE INTO main.{table} SELECT * FROM part.{table}")
                database.execute("DETACH part")


class Gathered:
    """What the tables beside those of contents say; `database` is that of `gather_tables`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def licences(self, repository: str) -> frozenset[str]:
        """The licences of a repository, those of all rows that name it; empty if none does."""
        rows = self._database.execute("SELECT licences FROM licence WHERE repository = ?", (repository,))
        return frozenset(licence for (stated,) in rows for licence in json.loads(stated))

    def files(self, identifier: str) -> list[tuple[str, str, str]]:
        """Repository, path and commit of each file that has a content, in order."""
        select = "SELECT repository, path, commit_id FROM file WHERE id = ? ORDER BY repository, path LIMIT 1000"
        return self._database.execute(select, (identifier,)).fetchall()


def row_of(row: Mapping[str, object], gathered: Gathered, permits: frozenset[str]) -> Row:
    """A row of contents with all that is known of it. Of several files with one content that of the first repository whose
    licences `permits` lets through is taken, else the first."""
    content = next((row[name] for name in CONTENT if row.get(name) is not None), None)
    identifier, repository, path, commit = (_first(row, names) for names in (IDENTIFIER, REPOSITORY, PATH, COMMIT))
    licences, column = stated_licences(row)
    if not repository and identifier:
        files = gathered.files(identifier)
        permitted = (file for file in files if _permitted(gathered.licences(file[0]), permits))
        repository, path, commit = next(permitted, files[0] if files else ("", path, commit))
    if not licences:
        licences, column = gathered.licences(repository), ""
    extension = row.get("ext")
    path = path or (f"file.{extension}" if extension else "")
    return Row(content, repository, path, commit, identifier, licences, column, row.get("binary") is True)


def stated_licences(row: Mapping[str, object]) -> tuple[frozenset[str], str]:
    """The licences that a row states, all of which hold, and the column where it does."""
    for name in LICENCE:
        value = row.get(name)
        values = value if isinstance(value, list) else [value]
        found = frozenset(one for stated in values if isinstance(stated, str) for one in _named(stated))
        if found:
            return found, name
    return frozenset(), ""


def _permitted(licences: frozenset[str], permits: frozenset[str]) -> bool:
    return bool(licences) and refusal(licences, permits) is None


@lru_cache(maxsize=4096)
def _named(expression: str) -> frozenset[str]:
    return frozenset(licences_of_expression(expression))


def _first(row: Mapping[str, object], names: Sequence[str]) -> str:
    values = (row.get(name) for name in names)
    return next((value for value in values if isinstance(value, str) and value), "")


def _is_unicode(row: Mapping[str, object]) -> bool:
    """Whether what is stored of a row can be written as UTF-8, which half a surrogate pair in JSON's escapes cannot."""
    values = [value for name in _STORED if (value := row.get(name)) is not None]
    strings = [one for value in values for one in (value if isinstance(value, list) else [value])]
    try:
        for string in strings:
            if isinstance(string, str) and not string.isascii():
                string.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parquet(path: Path) -> Iterator[Mapping[str, object] | Damage]:
    try:
        parquet = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
    except PermissionError:
        raise
    except ERRORS:
        yield Damage(0, path.stat().st_size, "no whole Parquet file", b"")
        return
    with parquet:
        columns = [name for name in parquet.schema_arrow.names if name in NAMES]
        for group in range(parquet.metadata.num_row_groups):
            try:
                for batch in parquet.iter_batches(_ROWS, row_groups=[group], columns=columns, use_threads=False):
                    yield from rows_of(batch)
            except ERRORS:
                yield Damage(0, parquet.metadata.row_group(group).total_byte_size, "corrupt row group", b"")


def _avro(path: Path) -> Iterator[Mapping[str, object] | Damage]:
    import fastavro

    with path.open("rb") as stored:
        try:
            for row in fastavro.reader(stored):
                yield row if isinstance(row, dict) else Damage(stored.tell(), 0, "no record", b"")
        except Exception as error:
            modules = {base.__module__.partition(".")[0] for base in type(error).__mro__}
            if isinstance(error, PermissionError) or not (isinstance(error, _AVRO_ERRORS) or modules & _AVRO_PACKAGES):
                raise
            yield Damage(stored.tell(), 0, "corrupt Avro block", b"")
