"""The posts of a StackExchange site: stored row by row for the join of questions, answers and tags' wikis."""

import sqlite3
from collections.abc import Iterator

from corpus.ingest.compression import QUARANTINE_BYTES, TruncatedStream
from corpus.ingest.reader import Item, Skipped, Unreadable
from pipelines.formats.xml import ByteStream, Piece, Utf8Stream, ended, pieces
from pipelines.readers.post_rows import AROUND, ROW, ROW_BYTES, SHAPE, attributes_of, integer
from pipelines.readers.site_tables import SPEED, licence_of

QUESTION, ANSWER, EXCERPT, WIKI = "1", "2", "4", "5"
WIKIS = (EXCERPT, WIKI)
SCHEMA = """
CREATE TABLE question (ordinal INTEGER PRIMARY KEY, id INTEGER, body TEXT, score INTEGER, author TEXT, author_id TEXT,
                       licence TEXT, title TEXT, accepted INTEGER, tags TEXT, created TEXT, closed TEXT);
CREATE TABLE answer (ordinal INTEGER PRIMARY KEY, id INTEGER, body TEXT, score INTEGER, author TEXT, author_id TEXT,
                     licence TEXT, parent INTEGER);
CREATE TABLE wiki (ordinal INTEGER PRIMARY KEY, id INTEGER, body TEXT, score INTEGER, author TEXT, author_id TEXT,
                   licence TEXT, kind TEXT, created TEXT);
"""
INDEXES = """
CREATE INDEX question_id ON question (id);
CREATE INDEX answer_parent ON answer (parent);
CREATE INDEX wiki_id ON wiki (id);
"""
"""Made when all rows are there, which takes less. All three tables begin with the same seven columns."""


class Posts:
    """A database of posts; those of tags' wikis are stored where `wikis` says so."""

    def __init__(self, database: sqlite3.Connection, wikis: bool) -> None:
        self._database = database
        self._kinds = (QUESTION, ANSWER, *(WIKIS if wikis else ()))
        database.executescript(SPEED.format("main") + "PRAGMA temp_store = MEMORY;" + SCHEMA)

    def load(self, stream: ByteStream, fault: str | None) -> Iterator[Item]:
        """Stores the rows that documents are made of; yields what is none. `fault` is what was wrong with the archive."""
        ordinal, end, closed = 0, 0, False
        last: Item | None = None  # held back: at a broken end it is told apart from a broken row
        try:
            for number, piece in enumerate(pieces(Utf8Stream(stream), ROW, ROW_BYTES)):
                end = piece.offset + piece.length
                closed = b"</posts" in piece.data[-64:] or b"<posts/>" in piece.data
                for item in self._rows(ordinal, piece, number > 0):
                    ordinal += 1
                    if item is None:
                        continue
                    if last is not None:
                        yield last
                    last = item
        except TruncatedStream as error:
            fault = error.reason
        for statement in filter(None, map(str.strip, INDEXES.split(";"))):  # in the transaction
            self._database.execute(statement)
        if fault or not closed:
            yield from ended(last, ordinal, end, fault or "truncated XML")
        elif last is not None:
            yield last

    def _rows(self, ordinal: int, piece: Piece, marked: bool) -> Iterator[Item | None]:
        """The row of a piece (None: stored for the join) and what stands after it if that is not blank."""
        shape = SHAPE.match(piece.data) if marked else None
        begin = 0
        if shape is not None:
            begin = shape.end()
            yield self._store(ordinal, piece.offset, shape.group())
            ordinal += 1
        rest = piece.data[begin:].strip()
        if rest and AROUND.sub(b"", rest).strip():  # a damaged row
            data = piece.data[begin : begin + QUARANTINE_BYTES]
            yield Unreadable(ordinal, piece.offset + begin, piece.length - begin, "malformed XML", data)

    def _store(self, ordinal: int, offset: int, data: bytes) -> Item | None:
        """Stores one row element if documents are made of it; gives the item of any other row."""
        row = attributes_of(data)
        if row is None:
            return Unreadable(ordinal, offset, len(data), "malformed XML", data[:QUARANTINE_BYTES])
        kind = row.get("PostTypeId", "")
        if kind not in self._kinds:
            return Skipped(ordinal, f"post type {kind or 'missing'}", row.get("Body", ""))
        identifier, parent = integer(row.get("Id")), integer(row.get("ParentId"))
        if identifier is None or (kind == ANSWER and parent is None):
            return Unreadable(ordinal, offset, len(data), "post without id", data[:QUARANTINE_BYTES])
        created = row.get("CreationDate")
        licence = licence_of(row.get("ContentLicense", ""), max(created or "", row.get("LastEditDate", "")))
        common = (
            *(ordinal, identifier, row.get("Body", ""), integer(row.get("Score")) or 0),
            *(row.get("OwnerDisplayName"), row.get("OwnerUserId"), licence),
        )
        if kind == ANSWER:
            self._database.execute("INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*common, parent))
        elif kind in WIKIS:
            self._database.execute("INSERT INTO wiki VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*common, kind, created))
        else:
            title = " ".join(row.get("Title", "").split())
            more = (title, integer(row.get("AcceptedAnswerId")), row.get("Tags"), created, row.get("ClosedDate"))
            self._database.execute("INSERT INTO question VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*common, *more))
        return None
