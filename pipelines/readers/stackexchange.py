"""StackExchange: `Posts.xml` of the public dump (plain, compressed or in its 7z) -> one document per question.

The text is the question with its answers, best first (LLaMA, arXiv 2302.13971 section 2.1: HTML tags removed, answers
sorted by score). Questions and answers are joined out of core, through an SQLite file.

`Q: ` begins the question and `A: ` each answer. A paragraph of a post that begins like one of these marks has a backslash
in front (`\\A: `, and `\\\\A: ` where it had one already), so that a mark after a blank line is always one of the reader.
"""

import errno
import json
import re
import sqlite3
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import py7zr

from corpus.data.columns import AUTHOR, DATE, LICENCE, Column
from corpus.errors import DataError, UsageError
from corpus.ingest.compression import QUARANTINE_BYTES, TruncatedStream, open_stream
from corpus.ingest.reader import Item, Merged, RawFile, Record, Skipped, Unreadable
from corpus.option import option
from pipelines.formats.xml import ByteStream, Piece, Utf8Stream, ended, legal_xml, pieces
from pipelines.markup.html.text import html_to_text

ROW = re.compile(rb"<row\s")
ROW_BYTES = 16 << 20  # no post is longer; a longer "row" is a damaged one
SHAPE = re.compile(rb"<row(?:\s+[\w.:-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*\s*/?>")
AROUND = re.compile(rb"^\xef\xbb\xbf|<\?xml[^>]*\?>|<!DOCTYPE[^>]*>|<!--.*?-->|</?posts\s*/?>|</row\s*>", re.S)
HOST = re.compile(r"(?:[a-z0-9-]+\.)+[a-z][a-z0-9-]*", re.IGNORECASE)
VERSION = re.compile(r"(?:(?:^|[._ -])(?:\d+|\(\d+\)))+$")  # the date of a dump, the number of a copy
PART = re.compile(r"[._ -]?Posts$", re.IGNORECASE)
SUFFIX = re.compile(r"\.(?:7z|xml(?:\.(?:gz|bz2|zst))?)$", re.IGNORECASE)
MARK = re.compile(r"(?<=\n\n)(?=\\*[QA]: )")
DUPLICATE = re.compile(r"<strong>Possible Duplicate[^<]*</strong>(.{0,4000}?)</blockquote>", re.DOTALL | re.IGNORECASE)
LINKED = re.compile(r"""href=["'][^"']*/(?:questions|q)/(\d+)""")
LICENCES = (("2011-04-08", "CC-BY-SA-2.5"), ("2018-05-02", "CC-BY-SA-3.0"), ("9", "CC-BY-SA-4.0"))
"""By the first day on which it no longer held (stackoverflow.com/help/licensing)."""
TAGS = re.compile(r"[<>|]+")
QUESTION, ANSWER = "1", "2"
DUPLICATES = "3"  # the type of a link from a question to the one that it repeats
SCHEMA = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384;
CREATE TABLE question (ordinal INTEGER PRIMARY KEY, id INTEGER, title TEXT, body TEXT, score INTEGER,
                       accepted INTEGER, tags TEXT, created TEXT, closed TEXT, facts TEXT);
CREATE TABLE answer (ordinal INTEGER PRIMARY KEY, id INTEGER, parent INTEGER, score INTEGER, body TEXT, facts TEXT);
CREATE TABLE user (id INTEGER PRIMARY KEY, name TEXT) WITHOUT ROWID;
CREATE TABLE duplicate (id INTEGER, original INTEGER, PRIMARY KEY (id, original)) WITHOUT ROWID;
CREATE INDEX question_id ON question (id);
CREATE INDEX answer_parent ON answer (parent);
"""
DECODERS = frozenset(
    "py7zr _lzma zlib backports compression pyzstd brotli _brotli brotlicffi pyppmd bcj inflate64 struct".split()
)
"""The packages whose errors mean a damaged archive: py7zr and the decoders of its versions."""
DAMAGE = (OSError, ValueError, TypeError, LookupError, AttributeError, AssertionError, ArithmeticError, EOFError,
          RuntimeError)  # fmt: skip
"""What py7zr lets through when a field of an archive makes no sense."""
FIRST_OF_ID = "SELECT min(ordinal) FROM question WHERE id = ?"


@dataclass(frozen=True)
class StackExchangeReader:
    """Questions with their answers."""

    domain: ClassVar[str] = "stackexchange"
    patterns: ClassVar[tuple[str, ...]] = (
        *(f"{before}Posts.xml{after}" for before in ("", "*[-_.]") for after in ("", ".gz", ".bz2", ".zst")),
        "*.7z",
    )
    doc: ClassVar[str] = "StackExchange dumps: one document per question, its answers sorted by score"
    columns: ClassVar[tuple[Column, ...]] = (AUTHOR, DATE, LICENCE)

    unanswered: str = option("keep", "questions without an answer: keep or drop", choices=("keep", "drop"))

    def __post_init__(self) -> None:
        if self.unanswered not in ("keep", "drop"):
            raise UsageError(f"unanswered is '{self.unanswered}'; it must be keep or drop")

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """Yields the items of one site; the ordinals are the rows in file order."""
        site = site_of(file)
        if not file.path.name.lower().endswith(".7z"):
            with closing(open_stream(file.path)) as stream:
                yield from self._posts(stream, site, scratch, file.path.stat().st_size == 0)
            return
        posts, fault = _extract(file.path, scratch)
        if posts is None:
            reason = fault or "no Posts.xml in the archive"
            yield Unreadable(0, 0, file.path.stat().st_size, reason, _head(file.path)) if fault else Skipped(0, reason)
            return
        try:
            with posts.open("rb") as plain:
                yield from self._posts(plain, site, scratch, posts.stat().st_size == 0, fault, posts.parent)
        finally:
            for name in ("Posts.xml", *SIDE_TABLES):
                posts.with_name(name).unlink(missing_ok=True)

    def _posts(
        self,
        stream: ByteStream,
        site: str | None,
        scratch: Path,
        empty: bool,
        fault: str | None = None,
        tables: Path | None = None,
    ) -> Iterator[Item]:
        """The items of one Posts.xml; `tables` is the folder with the other tables of its archive."""
        if empty:
            yield Unreadable(0, 0, 0, "empty file", b"")
            return
        path = scratch / "posts.sqlite"
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as database:
                database.executescript(SCHEMA)
                database.execute("BEGIN")
                if tables is not None:
                    _load_tables(tables, database)
                yield from _load(stream, database, fault)
                yield from self._questions(database, site)
                yield from _orphans(database)
        except sqlite3.Error as error:
            raise DataError(f"cannot join the posts in {path}: {error}; check the space of the disk") from error
        finally:
            path.unlink(missing_ok=True)

    def _questions(self, database: sqlite3.Connection, site: str | None) -> Iterator[Item]:
        for row in database.execute("SELECT * FROM question ORDER BY ordinal"):
            ordinal, identifier, title, body, score, accepted, tags, created, closed, facts = row
            answers: list[tuple[int, int, int, str, str]] = []
            if database.execute(FIRST_OF_ID, (identifier,)).fetchone()[0] == ordinal:  # else a repeated question
                select = "SELECT ordinal, id, score, body, facts FROM answer WHERE parent = ?"
                answers = database.execute(select, (identifier,)).fetchall()
            answers.sort(key=lambda answer: (-answer[2], answer[1] != accepted, answer[1], answer[0]))
            question = "\n\n".join(part for part in (title, html_to_text(body)) if part)
            texts = [(answer, html_to_text(answer[3])) for answer in answers]
            written = [(answer, text) for answer, text in texts if text]
            yield from (Skipped(answer[0], "empty text") for answer, text in texts if not text)
            reason = "empty text" if not question and not written else ""
            if not answers and self.unanswered == "drop":
                reason = "unanswered"
            if reason:
                yield Skipped(ordinal, reason, question)
                continue
            asked = _named(facts, database)
            replying = [_named(answer[4], database) for answer, _ in written]
            replies = [
                {"id": str(answer[1]), "score": answer[2], **known}
                for (answer, _), known in zip(written, replying, strict=True)
            ]
            licences = {known["licence"] for known in (asked, *replying) if "licence" in known}
            metadata: dict[str, object] = {
                "id": str(identifier), "site": site, "score": score, "date": created, "author": asked.get("author"),
                "licence": " AND ".join(sorted(licences)) or None, "question": asked,
                "tags": [tag for tag in TAGS.split(tags or "") if tag], "answers": replies,
                "accepted": None if accepted is None else str(accepted),
                "closed": closed, "duplicate_of": _duplicate_of(identifier, body, database),
            }  # fmt: skip
            yield Record(
                ordinal,
                "\n\n".join([f"Q: {_unmarked(question)}", *(f"A: {_unmarked(text)}" for _, text in written)]),
                url=f"https://{site}/questions/{identifier}" if site else None,
                metadata={key: value for key, value in metadata.items() if value is not None},
            )
            yield from (Merged(answer[0], ordinal) for answer, _ in written)


def site_of(file: RawFile) -> str | None:
    """The site's host name: from the name of the file, else that of its folder, without the date of the dump; a folder
    that is nothing but a date stands for the one above it. None where neither looks like a host."""
    name = SUFFIX.sub("", file.path.name)
    folders = file.name.split("/")[:-1] or [file.path.parent.name]
    while len(folders) > 1 and not VERSION.sub("", folders[-1]):
        folders.pop()
    for candidate in (name, folders[-1]):
        host = VERSION.sub("", PART.sub("", VERSION.sub("", candidate)))
        if HOST.fullmatch(host):
            return host.lower()
    return None


def _unmarked(text: str) -> str:
    return MARK.sub(r"\\", text)


def _duplicate_of(identifier: int, body: str, database: sqlite3.Connection) -> list[str] | None:
    """The questions that this one repeats: by the table of links, and by the notice that closers put into a question up to
    2012."""
    select = "SELECT original FROM duplicate WHERE id = ? ORDER BY original"
    found = [str(row[0]) for row in database.execute(select, (identifier,))]
    if notice := DUPLICATE.search(body):
        found += LINKED.findall(notice[1])
    return list(dict.fromkeys(found)) or None


def _named(facts: str, database: sqlite3.Connection) -> dict[str, str]:
    """What `_facts` gave, with the author's name where the table of users has it."""
    found: dict[str, str] = json.loads(facts)
    identifier = _integer(found.get("author_id"))
    if identifier is None or "author" in found:
        return found
    row = database.execute("SELECT name FROM user WHERE id = ?", (identifier,)).fetchone()
    return {"author": row[0], **found} if row else found


def _load_tables(folder: Path, database: sqlite3.Connection) -> None:
    """Stores the names of users and the links between duplicates, as far as their tables can be read."""
    for name, store in SIDE_TABLES.items():
        if not (folder / name).is_file():
            continue
        with (folder / name).open("rb") as stream:
            for piece in pieces(Utf8Stream(stream), ROW, ROW_BYTES):
                shape = SHAPE.match(piece.data)
                row = _attributes(shape.group()) if shape is not None else None
                if row is not None:
                    store(row, database)


def _store_user(row: Mapping[str, str], database: sqlite3.Connection) -> None:
    identifier, name = _integer(row.get("Id")), " ".join(row.get("DisplayName", "").split())
    if identifier is not None and name:
        database.execute("INSERT OR IGNORE INTO user VALUES (?, ?)", (identifier, name))


def _store_link(row: Mapping[str, str], database: sqlite3.Connection) -> None:
    identifier, original = _integer(row.get("PostId")), _integer(row.get("RelatedPostId"))
    if row.get("LinkTypeId") == DUPLICATES and identifier is not None and original is not None:
        database.execute("INSERT OR IGNORE INTO duplicate VALUES (?, ?)", (identifier, original))


SIDE_TABLES = {"Users.xml": _store_user, "PostLinks.xml": _store_link}
"""Tables of an archive that say more of its posts, and what stores their rows."""


def _facts(row: Mapping[str, str]) -> str:
    """Author and licence of a post, as JSON; the licence that held at its last revision where the dump names none."""
    named = row.get("ContentLicense", "").strip()
    changed = max(row.get("CreationDate", ""), row.get("LastEditDate", ""))
    dated = next((licence for until, licence in LICENCES if changed < until), None) if changed else None
    facts = {
        "author": row.get("OwnerDisplayName"),
        "author_id": row.get("OwnerUserId"),
        "licence": named.replace("CC BY-SA ", "CC-BY-SA-") or dated,
    }
    return json.dumps({key: value for key, value in facts.items() if value}, ensure_ascii=False)


def _extract(path: Path, scratch: Path) -> tuple[Path | None, str | None]:
    """Unpacks Posts.xml; gives its path (None without one) and what was wrong with the archive (None if nothing)."""
    if path.stat().st_size == 0:
        return None, "empty file"
    target: Path | None = None
    try:
        with py7zr.SevenZipFile(path) as archive:
            held = archive.getnames()
            names = [name for name in held if name.rsplit("/", 1)[-1] == "Posts.xml"]
            if not names:
                return None, None
            if Path(names[0]).is_absolute() or ".." in Path(names[0]).parts:
                return None, "unsafe path in 7z"
            target = scratch / names[0]
            beside = (names[0].removesuffix("Posts.xml") + name for name in SIDE_TABLES)
            archive.extract(path=scratch, targets=[names[0], *(name for name in beside if name in held)])
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # of the system, not of a decoder
            raise DataError(f"cannot unpack {path}: {error.strerror}; check the file and the disk") from error
        if not _is_damage(error):
            raise
        return target if target is not None and target.is_file() else None, "unreadable 7z"
    return target, None


def _is_damage(error: Exception) -> bool:
    modules = {base.__module__.partition(".")[0] for base in type(error).__mro__}
    return isinstance(error, DAMAGE) or not modules.isdisjoint(DECODERS)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(QUARANTINE_BYTES)


def _load(stream: ByteStream, database: sqlite3.Connection, fault: str | None) -> Iterator[Item]:
    """Stores the rows of questions and answers; yields what is neither."""
    ordinal, end, closed = 0, 0, False
    last: Item | None = None  # held back: at a broken end it is told apart from a broken row
    try:
        for number, piece in enumerate(pieces(Utf8Stream(stream), ROW, ROW_BYTES)):
            end, closed = piece.offset + piece.length, b"</posts" in piece.data[-64:] or b"<posts/>" in piece.data
            for item in _rows(ordinal, piece, number > 0, database):
                ordinal += 1
                if item is None:
                    continue
                if last is not None:
                    yield last
                last = item
    except TruncatedStream as error:
        fault = error.reason
    if fault or not closed:
        yield from ended(last, ordinal, end, fault or "truncated XML")
    elif last is not None:
        yield last


def _rows(ordinal: int, piece: Piece, marked: bool, database: sqlite3.Connection) -> Iterator[Item | None]:
    """The row of a piece (None: stored for the join) and what stands after it if that is not blank."""
    shape = SHAPE.match(piece.data) if marked else None
    begin = 0
    if shape is not None:
        begin = shape.end()
        yield _store(ordinal, piece.offset, shape.group(), database)
        ordinal += 1
    if AROUND.sub(b"", piece.data[begin:]).strip():  # a damaged row
        data = piece.data[begin : begin + QUARANTINE_BYTES]
        yield Unreadable(ordinal, piece.offset + begin, piece.length - begin, "malformed XML", data)


def _store(ordinal: int, offset: int, data: bytes, database: sqlite3.Connection) -> Item | None:
    """Stores one row element if it is a question or an answer; gives the item of any other row."""
    row = _attributes(data)
    if row is None:
        return Unreadable(ordinal, offset, len(data), "malformed XML", data[:QUARANTINE_BYTES])
    kind = row.get("PostTypeId", "")
    if kind not in (QUESTION, ANSWER):
        return Skipped(ordinal, f"post type {kind or 'missing'}", row.get("Body", ""))
    identifier, score = _integer(row.get("Id")), _integer(row.get("Score")) or 0
    parent = _integer(row.get("ParentId"))
    if identifier is None or (kind == ANSWER and parent is None):
        return Unreadable(ordinal, offset, len(data), "post without id", data[:QUARANTINE_BYTES])
    if kind == ANSWER:
        values = (ordinal, identifier, parent, score, row.get("Body", ""), _facts(row))
        database.execute("INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?)", values)
        return None
    question = (
        ordinal, identifier, " ".join(row.get("Title", "").split()), row.get("Body", ""), score,
        _integer(row.get("AcceptedAnswerId")), row.get("Tags"), row.get("CreationDate"), row.get("ClosedDate"),
        _facts(row),
    )  # fmt: skip
    database.execute("INSERT INTO question VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", question)
    return None


def _attributes(data: bytes) -> Mapping[str, str] | None:
    """The attributes of one row element, or None if it is not well-formed."""
    if not data.endswith(b"/>"):
        data += b"</row>"
    try:
        return ElementTree.fromstring(data).attrib
    except (ElementTree.ParseError, ValueError):
        pass
    try:
        return ElementTree.fromstring(legal_xml(data)).attrib  # dumps hold a few characters that XML forbids
    except (ElementTree.ParseError, ValueError):
        return None


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"-?[0-9]{1,18}", text) else None


def _orphans(database: sqlite3.Connection) -> Iterator[Item]:
    select = "SELECT ordinal, body FROM answer WHERE parent NOT IN (SELECT id FROM question) ORDER BY ordinal"
    for ordinal, body in database.execute(select):
        yield Skipped(ordinal, "orphan answer", html_to_text(body))
