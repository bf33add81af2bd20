"""Books: Project Gutenberg texts and HTML as published (one file, one book) -> the book without header, licence and credits."""

from __future__ import annotations

import json
import re
import sqlite3
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from corpus.data.columns import AUTHOR, DATE, LICENCE, TITLE, Column
from corpus.errors import DataError
from corpus.ingest.compression import QUARANTINE_BYTES, TruncatedStream, open_stream
from corpus.ingest.reader import Item, RawFile, Reader, Record, Skipped, Unreadable
from corpus.option import option
from pipelines.formats.archive import ZIP_ERRORS, Member, read_archive
from pipelines.formats.encoding import decode
from pipelines.markup.gutenberg.boundaries import COPYRIGHTED, HEADER_CHARS, LANGUAGES, header_fields, strip_gutenberg
from pipelines.markup.gutenberg.catalogue import Entry, read_entry
from pipelines.markup.gutenberg.html import book_text, charset, html_start
from pipelines.markup.gutenberg.paragraphs import join_paragraphs

BOOK_BYTES = 256 << 20  # the longest book is a fiftieth of this
LINE_END = re.compile(r"\r+\n|\r")  # a file converted twice ends its lines with CR CR LF
TEXTS = (".txt", ".txt.utf-8", ".utf8.txt")
PAGES = (".htm", ".html", ".xhtml")
CATALOGUE = re.compile(r"\.rdf$|rdf-files.*\.(?:tar(?:\.\w+)?|zip)$", re.I)
FILE_NUMBER = re.compile(r"^(?:pg)?(\d{1,6})(?:-(?:[0-9]|h|images|utf8))?\.", re.I)
_LINES, _DATABASE = "catalogue.jsonl", "catalogue.sqlite"


@dataclass(frozen=True)
class BooksReader:
    """Gutenberg books."""

    domain: ClassVar[str] = "books"
    patterns: ClassVar[tuple[str, ...]] = (
        *("*.txt", "*.txt.utf-8", "*.txt.gz", "*.zip", "*.htm", "*.html", "*.xhtml", "*.htm.gz", "*.html.gz"),
        *("*.rdf", "*rdf-files*.tar*"),
    )
    doc: ClassVar[str] = (
        "Project Gutenberg texts and HTML as published: one document per book, header and licence removed"
    )
    columns: ClassVar[tuple[Column, ...]] = (TITLE, AUTHOR, DATE, LICENCE)

    credits: bool = option(False, "keep the credit lines of the volunteers and the notes of transcribers")
    join: bool = option(False, "join the lines of wrapped paragraphs; verse, tables and drama keep theirs")
    copyrighted: bool = option(False, "keep books that their header or the RDF catalogue calls copyrighted")

    def survey(self, file: RawFile, folder: Path) -> None:
        """Writes the entries of the RDF catalogue that a file has."""
        with (folder / _LINES).open("w", encoding="utf-8") as lines:
            for entry in _entries(file.path) if CATALOGUE.search(file.path.name) else ():
                lines.write(json.dumps([entry.number, json.dumps(asdict(entry))]) + "\n")

    def gather(self, surveys: Sequence[tuple[str, Path]], folder: Path) -> None:
        """Puts the entries of all files into one look-up; of two of a book the later one counts."""
        with closing(sqlite3.connect(folder / _DATABASE)) as connection:
            connection.execute("PRAGMA synchronous = OFF")  # made again if the run is killed
            connection.execute("CREATE TABLE entry (number PRIMARY KEY, entry) WITHOUT ROWID")
            for _, survey in surveys:
                with (survey / _LINES).open(encoding="utf-8") as lines:
                    connection.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?)", map(json.loads, lines))
            connection.commit()

    def prepared(self, gathered: Path) -> Reader:
        """The reader that looks books up in the catalogue."""
        return _PreparedReader(self, gathered / _DATABASE)

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """Yields one book, or the books of a zip archive in the order of its directory."""
        return self.books(file, Catalogue(None))

    def books(self, file: RawFile, catalogue: Catalogue) -> Iterator[Item]:
        """The items of a file, completed by a catalogue."""
        if CATALOGUE.search(file.path.name):
            yield Skipped(0, "catalogue", file.name)
            return
        if file.path.name.lower().endswith(".zip"):
            yield from self._zipped(file, catalogue)
            return
        reason, data = None, bytearray()
        with closing(open_stream(file.path)) as stream:
            try:
                while (chunk := stream.read(1 << 20)) and len(data) <= BOOK_BYTES:
                    data += chunk
            except TruncatedStream as error:
                reason = error.reason
        if reason is None:
            yield self.book(0, bytes(data), file.path.name, catalogue)
        else:
            yield Unreadable(0, 0, file.path.stat().st_size, reason, bytes(data[:QUARANTINE_BYTES]))

    def _zipped(self, file: RawFile, catalogue: Catalogue) -> Iterator[Item]:
        size = file.path.stat().st_size
        if size == 0:
            yield Unreadable(0, 0, 0, "empty file", b"")
            return
        try:
            archive = zipfile.ZipFile(file.path)
        except PermissionError as error:
            raise DataError(f"cannot read {file.path}: {error.strerror or error}; check the file") from error
        except ZIP_ERRORS:
            with file.path.open("rb") as stored:
                yield Unreadable(0, 0, size, "damaged zip", stored.read(QUARANTINE_BYTES))
            return
        with archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            texts = {_number(member.filename) for member in members if member.filename.lower().endswith(TEXTS)}
            for ordinal, member in enumerate(members):
                name = member.filename.lower()
                if not name.endswith(TEXTS + PAGES):
                    yield Skipped(ordinal, "not a text file", member.filename)
                    continue
                if name.endswith(PAGES) and _number(name) and _number(name) in texts:
                    yield Skipped(ordinal, "HTML of a book whose text is here", member.filename)
                    continue
                try:
                    with archive.open(member) as stream:
                        data = stream.read(BOOK_BYTES + 1)
                except ZIP_ERRORS:
                    yield Unreadable(ordinal, member.header_offset, member.compress_size, "damaged zip", b"")
                    continue
                yield self.book(ordinal, data, member.filename, catalogue)

    def book(self, ordinal: int, data: bytes, name: str, catalogue: Catalogue) -> Item:
        """The item of one book from its bytes and the name of its file."""
        if not data:
            return Unreadable(ordinal, 0, 0, "empty file", b"")
        if len(data) > BOOK_BYTES:
            return Unreadable(ordinal, 0, len(data), "book over 256 MiB", data[:QUARANTINE_BYTES])
        text, encoding = decode(data, _declared(data) or charset(data))
        if text.count("\0") > len(text) // 100:
            return Unreadable(ordinal, 0, len(data), "not text", data[:QUARANTINE_BYTES])
        text = LINE_END.sub("\n", text.replace("\0", ""))
        stated: dict[str, str] = {}
        if (start := html_start(text)) is not None:
            page, stated = book_text(text[start:])
            text = text[:start] + page
        header, body = strip_gutenberg(text, self.credits)
        fields = stated | header_fields(header)
        entry = catalogue.entry(fields.get("id") or _number(name))
        rights = _rights(header, entry)
        if not body:
            return Skipped(ordinal, "empty text")
        if rights == "copyrighted" and not self.copyrighted:
            return Skipped(ordinal, "copyrighted", fields.get("title", name))
        return self._record(ordinal, body, fields, entry, {"encoding": encoding, "licence": rights})

    def _record(
        self, ordinal: int, body: str, fields: dict[str, str], entry: Entry | None, more: Mapping[str, str]
    ) -> Record:
        language = LANGUAGES.get(
            re.split(r"[,;/&(]| and ", fields.get("language", "").lower())[0].strip().replace(" ", "_")
        )
        if language is None and re.fullmatch(r"[a-z]{2,3}(?:-\w+)?", fields.get("language", "")):
            language = fields["language"].partition("-")[0]
        metadata: dict[str, object] = {**fields, **more}
        if entry is not None:
            known = {"title": entry.title, "author": entry.author, "date": entry.date, "id": entry.number}
            metadata |= {key: value for key, value in known.items() if value}
            metadata |= {"subjects": list(entry.subjects)} if entry.subjects else {}
            language = entry.language or language
        number = metadata.get("id")
        return Record(
            ordinal,
            join_paragraphs(body) if self.join else body,
            url=f"https://www.gutenberg.org/ebooks/{number}" if number else None,
            language=language,
            metadata={key: value for key, value in metadata.items() if value},
        )


@dataclass(frozen=True)
class _PreparedReader:
    """A reader with the catalogue of all files."""

    reader: BooksReader
    database: Path
    domain: ClassVar[str] = BooksReader.domain
    patterns: ClassVar[tuple[str, ...]] = BooksReader.patterns
    doc: ClassVar[str] = BooksReader.doc
    columns: ClassVar[tuple[Column, ...]] = BooksReader.columns

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """As the reader, with what the catalogue says of a book."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro&immutable=1", uri=True)) as connection:
            yield from self.reader.books(file, Catalogue(connection))


@dataclass(frozen=True)
class Catalogue:
    """Entries by the number of a book, if there is a catalogue."""

    connection: sqlite3.Connection | None

    def entry(self, number: str) -> Entry | None:
        """The entry of a book, or None."""
        if self.connection is None or not number:
            return None
        row = self.connection.execute("SELECT entry FROM entry WHERE number = ?", (number,)).fetchone()
        if row is None:
            return None
        fields = json.loads(row[0])
        return Entry(**{**fields, "subjects": tuple(fields["subjects"])})


def _entries(path: Path) -> Iterator[Entry]:
    """The entries of an RDF file, or of the RDF files in an archive; what is damaged has none."""
    if path.suffix.lower() == ".rdf":
        with path.open("rb") as file:
            entry = read_entry(file.read(BOOK_BYTES))
        if entry is not None:
            yield entry
        return
    for member in read_archive(path, lambda name, size: name.lower().endswith(".rdf")):
        if isinstance(member, Member) and member.data is not None and (entry := read_entry(member.data)) is not None:
            yield entry


def _rights(header: str, entry: Entry | None) -> str:
    if (entry is not None and entry.copyrighted) or COPYRIGHTED.search(header):
        return "copyrighted"
    return entry.rights if entry is not None else ""


def _number(name: str) -> str:
    """The number of a book by the name of its file: `pg1342.txt`, `1342-0.txt`, `1342-h/1342-h.htm`."""
    match = FILE_NUMBER.match(name.rpartition("/")[2])
    return match[1] if match else ""


def _declared(data: bytes) -> str | None:
    match = re.search(rb"^Cha[rt]acter set encoding:[ \t]*([^\r\n]+)", data[:HEADER_CHARS], re.I | re.M)
    return match.group(1).decode("ascii", "replace") if match else None
