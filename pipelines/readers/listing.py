"""arXiv's own listing of its papers (`arxiv-metadata-oai-snapshot.json`, a JSON object a line): who wrote what, in which category."""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from email.utils import parsedate_to_datetime
from pathlib import Path

import orjson

from corpus.ingest.compression import QUARANTINE_BYTES, Damage, TruncatedStream, open_stream
from corpus.ingest.reader import Item, RawFile, Skipped, Unreadable
from pipelines.formats.ndjson import Line, lines
from pipelines.markup.latex.plain import plain_text

LINE_BYTES = 4 << 20
PATTERNS = tuple(
    f"arxiv-metadata*.{ending}" for ending in ("json", "jsonl", "json.gz", "jsonl.gz", "json.zst", "json.bz2")
)
NAME = re.compile(r"arxiv-metadata[^/]*\.jsonl?(?:\.(?:gz|zst|bz2))?", re.I)
PAPERS = "listing.sqlite"
SCHEMA = "CREATE TABLE IF NOT EXISTS listed (id TEXT PRIMARY KEY, entry TEXT) WITHOUT ROWID"
CREATIVE_COMMONS = re.compile(r"creativecommons\.org/(licenses/([a-z-]+)|publicdomain/zero)/(\d\.\d)")


def is_listing(name: str) -> bool:
    """Whether a raw file is a listing, by its name."""
    return NAME.fullmatch(name.rpartition("/")[2]) is not None


def survey_listing(path: Path, folder: Path) -> None:
    """Writes the entries of a listing by the identifiers of the papers."""
    with closing(sqlite3.connect(folder / PAPERS, isolation_level=None)) as database:
        database.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {SCHEMA}; BEGIN")
        for row in _rows(path):
            if not isinstance(row, Damage) and (entry := _entry(row)):
                values = (str(row["id"]), orjson.dumps(entry).decode())
                database.execute("INSERT OR REPLACE INTO listed VALUES (?, ?)", values)
        database.execute("COMMIT")


def gather_listings(folders: Iterator[Path], target: Path) -> None:
    """Brings the entries of all listings together; of two for one paper that of the later file counts."""
    with closing(sqlite3.connect(target, isolation_level=None)) as database:
        database.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {SCHEMA}")
        for folder in folders:
            if (folder / PAPERS).exists():
                database.execute("ATTACH ? AS part", (str(folder / PAPERS),))
                database.execute("INSERT OR REPLACE INTO listed SELECT * FROM part.listed")
                database.execute("DETACH part")


def listed(database: sqlite3.Connection, identifier: str) -> Mapping[str, object]:
    """What the listings say of a paper; empty if nothing."""
    row = database.execute("SELECT entry FROM listed WHERE id = ?", (identifier,)).fetchone()
    found: Mapping[str, object] = orjson.loads(row[0]) if row else {}
    return found


def read_listing(file: RawFile) -> Iterator[Item]:
    """A listing is no document; what of it cannot be read is set aside."""
    yield Skipped(0, "listing of papers")
    faults = (row for row in _rows(file.path) if isinstance(row, Damage))
    for ordinal, row in enumerate(faults, start=1):
        yield Unreadable(ordinal, row.offset, row.length, row.reason, row.data[:QUARANTINE_BYTES])


def _rows(path: Path) -> Iterator[dict[str, object] | Damage]:
    try:
        with open_stream(path) as stream:
            for line in lines(stream, LINE_BYTES):
                yield _row(line) if isinstance(line, Line) else line
    except TruncatedStream as error:
        yield Damage(error.offset, 0, error.reason, b"")


def _row(line: Line) -> dict[str, object] | Damage:
    try:
        row = orjson.loads(line.data)
    except orjson.JSONDecodeError:
        row = None
    if isinstance(row, dict) and isinstance(row.get("id"), str):
        return row
    return Damage(line.offset, len(line.data), "no entry of a listing", line.data[:QUARANTINE_BYTES])


def _entry(row: Mapping[str, object]) -> dict[str, object]:
    """What of an entry goes to a paper's metadata, as far as it is there."""
    authors, categories = row.get("authors"), row.get("categories")
    entry = {
        "title": plain_text(str(row.get("title") or "")),
        "author": _authors(row.get("authors_parsed")) or (plain_text(authors) if isinstance(authors, str) else ""),
        "categories": categories.split() if isinstance(categories, str) else categories,
        "licence": _licence(row.get("license")),
        "date": _date(row),
        "doi": row.get("doi"),
        "journal": row.get("journal-ref"),
    }
    return {name: value for name, value in entry.items() if value}


def _authors(parsed: object) -> str:
    """`[["Balázs", "C.", ""], …]` as names in their usual order."""
    if not isinstance(parsed, list):
        return ""
    names = []
    for parts in parsed:
        if isinstance(parts, list) and len(parts) >= 2 and all(isinstance(part, str) for part in parts[:3]):
            last, first, *suffix = parts[:3]
            names.append(" ".join(part for part in (first, last, *suffix) if part))
    return ", ".join(names)


def _licence(address: object) -> str:
    if not isinstance(address, str):
        return ""
    if match := CREATIVE_COMMONS.search(address):
        return f"CC-{match[2].upper()}-{match[3]}" if match[2] else f"CC0-{match[3]}"
    return "arXiv-nonexclusive-distrib" if "nonexclusive-distrib" in address else address


def _date(row: Mapping[str, object]) -> str:
    """The day of the first version, else that of the last change."""
    versions = row.get("versions")
    first = (
        versions[0].get("created")
        if isinstance(versions, list) and versions and isinstance(versions[0], dict)
        else None
    )
    try:
        return parsedate_to_datetime(str(first)).date().isoformat()
    except (ValueError, OverflowError):
        return str(row.get("update_date") or "")
