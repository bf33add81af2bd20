"""Books: Project Gutenberg texts as published (one file, one book) -> the book without header, licence and credits."""

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from corpus.data.columns import AUTHOR, TITLE, Column
from corpus.errors import DataError
from corpus.ingest.compression import QUARANTINE_BYTES, TruncatedStream, open_stream
from corpus.ingest.reader import Item, RawFile, Record, Skipped, Unreadable
from corpus.option import option
from pipelines.formats.encoding import decode

BOOK_BYTES = 256 << 20  # the longest book is a fiftieth of this
HEADER_CHARS = 100_000  # where a header can end
LINE_END = re.compile(r"\r+\n|\r")  # a file converted twice ends its lines with CR CR LF
MARK = r"^[ \t]*\*{3} ?%s (?:OF )?(?:THE |THIS )?PROJECT GUTENBERG(?:'S)? (?:E-?BOOK|E-?TEXT)[^\n]*"
START = re.compile(MARK % "START", re.I | re.M)
END = re.compile(MARK % "END", re.I | re.M)
CLOSED = re.compile(r"(?:\n[^\n]+){1,3}?\*{3}[ \t]*$", re.M)  # the rest of a start mark whose title goes over lines
SMALL_START = re.compile(r"^(?:\*{3}START\*\*THE SMALL PRINT!|\*\*The Legal Small Print\*\*)[^\n]*", re.I | re.M)
OLD_HEADER = re.compile(r"^The Project Gutenberg E-?(?:text|book) of [^\n]*", re.I | re.M)
OLD_HEADER_CHARS = 12_000  # it was moved to the end of some files; the small print follows within this
SMALL_END = re.compile(r"^\*END[^\n]*THE SMALL PRINT![^\n]*", re.I | re.M)
OLD_END = re.compile(
    r"^[ \t]*(?:\*+ *)?(?:End of (?:the |this )?Project Gutenberg|\*{3} START: FULL LICENSE)[^\n]*", re.I | re.M
)
LAST_LINE = re.compile(
    r"\n[ \t]*(?:\*+ *)?End of (?:the |this )?(?:Project Gutenberg)[^\n]*(?:\n[^\n]+){0,3}\s*\Z", re.I
)
CREDIT = re.compile(
    r"\[?\W*(?:(?:Produced|Prepared|Transcribed|Scanned|Digitized|Proofread) (?:by|from|and)\b|Credits?(?: for e-text)?:"
    r"|(?:This |The )?(?:Project Gutenberg )?E-?(?:text|book)s? (?:was |is |were )?(?:produced|prepared|scanned|typed|"
    r"transcribed|created|edited)|Transcriber[’']?s?[’']?[ -]Notes?\b|(?:Editorial )?Note: (?:Project Gutenberg|Images of the original pages)"
    r"|(?:This )?HTML (?:version|file)|Images? of the original pages are available|Project Gutenberg has)",
    re.I,
)
CREDIT_LINES = 15  # a longer paragraph is the book's own, whatever it begins with
NOTE_HEADING = re.compile(r"\W*Transcriber[’']?s?[’']?[ -]Notes?\W*", re.I)
NOTE_LINES = 40  # of a transcriber's note under a heading or in brackets, its blank lines included
OLD_TITLE = re.compile(r"^\W*The Project Gutenberg E-?(?:text|book) of (?P<title>[^\n]*\w\.?)", re.I | re.M)
FIELD = re.compile(r"^(title|author|language|release date|posting date|character set encoding)[ \t]*:[ \t]*(.*)", re.I)
NUMBER = re.compile(r"\[[ \t]*e-?(?:book|text)[ \t]*(?:#|no\.?|number)?[ \t]*(\d+)[ \t]*\]", re.I)
LANGUAGES = {
    name: code
    for code, name in (
        pair.split(":")
        for pair in "af:afrikaans ar:arabic bg:bulgarian br:breton ca:catalan cs:czech cy:welsh da:danish de:german "
        "el:greek en:english eo:esperanto es:spanish et:estonian fa:farsi fi:finnish fr:french fy:frisian ga:irish "
        "gl:galician grc:ancient_greek he:hebrew hr:croatian hu:hungarian ia:interlingua is:icelandic it:italian "
        "iu:inuktitut ja:japanese ko:korean la:latin lt:lithuanian mi:maori nap:neapolitan nl:dutch no:norwegian "
        "oc:occitan pl:polish pt:portuguese ro:romanian ru:russian sa:sanskrit sco:scots sl:slovenian sr:serbian "
        "sv:swedish te:telugu tl:tagalog uk:ukrainian yi:yiddish zh:chinese".split()
    )
}


@dataclass(frozen=True)
class BooksReader:
    """Gutenberg books."""

    domain: ClassVar[str] = "books"
    patterns: ClassVar[tuple[str, ...]] = ("*.txt", "*.txt.utf-8", "*.txt.gz", "*.zip")
    doc: ClassVar[str] = "Project Gutenberg texts as published: one document per book, header and licence removed"
    columns: ClassVar[tuple[Column, ...]] = (
        TITLE,
        AUTHOR,
    )

    credits: bool = option(False, "keep the credit lines of the volunteers at the top of a book")

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """Yields one book, or the books of a zip archive in the order of its directory."""
        if file.path.name.lower().endswith(".zip"):
            yield from self._zipped(file)
            return
        reason, data = None, bytearray()
        with closing(open_stream(file.path)) as stream:
            try:
                while (chunk := stream.read(1 << 20)) and len(data) <= BOOK_BYTES:
                    data += chunk
            except TruncatedStream as error:
                reason = error.reason
        if reason is None:
            yield self.book(0, bytes(data))
        else:
            yield Unreadable(0, 0, file.path.stat().st_size, reason, bytes(data[:QUARANTINE_BYTES]))

    def _zipped(self, file: RawFile) -> Iterator[Item]:
        size = file.path.stat().st_size
        if size == 0:
            yield Unreadable(0, 0, 0, "empty file", b"")
            return
        try:
            archive = zipfile.ZipFile(file.path)
        except zipfile.BadZipFile:
            with file.path.open("rb") as stored:
                yield Unreadable(0, 0, size, "damaged zip", stored.read(QUARANTINE_BYTES))
            return
        except OSError as error:
            raise DataError(f"cannot read {file.path}: {error.strerror or error}; check the file") from error
        with archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            for ordinal, member in enumerate(members):
                if not member.filename.lower().endswith((".txt", ".txt.utf-8")):
                    yield Skipped(ordinal, "not a text file", member.filename)
                    continue
                try:
                    with archive.open(member) as stream:
                        data = stream.read(BOOK_BYTES + 1)
                except (
                    zipfile.BadZipFile,
                    OSError,
                    EOFError,
                    ValueError,
                    RuntimeError,
                    NotImplementedError,
                    zlib.error,
                ):
                    yield Unreadable(ordinal, member.header_offset, member.compress_size, "damaged zip", b"")
                    continue
                yield self.book(ordinal, data)

    def book(self, ordinal: int, data: bytes) -> Item:
        """The item of one book from its bytes."""
        if not data:
            return Unreadable(ordinal, 0, 0, "empty file", b"")
        if len(data) > BOOK_BYTES:
            return Unreadable(ordinal, 0, len(data), "book over 256 MiB", data[:QUARANTINE_BYTES])
        text, encoding = decode(data, _declared(data))
        if text.count("\0") > len(text) // 100:
            return Unreadable(ordinal, 0, len(data), "not text", data[:QUARANTINE_BYTES])
        text = LINE_END.sub("\n", text.replace("\0", ""))
        header, body = strip_gutenberg(text, self.credits)
        if not body:
            return Skipped(ordinal, "empty text")
        fields = header_fields(header)
        language = fields.get("language", "")
        metadata = {**fields, "encoding": encoding}
        number = fields.get("id")
        return Record(
            ordinal,
            body,
            url=f"https://www.gutenberg.org/ebooks/{number}" if number else None,
            language=LANGUAGES.get(re.split(r"[,;/&(]| and ", language.lower())[0].strip().replace(" ", "_")),
            metadata=metadata,
        )


def _declared(data: bytes) -> str | None:
    match = re.search(rb"^Cha[rt]acter set encoding:[ \t]*([^\r\n]+)", data[:HEADER_CHARS], re.I | re.M)
    return match.group(1).decode("ascii", "replace") if match else None


def strip_gutenberg(text: str, keep_credits: bool = False) -> tuple[str, str]:
    """Splits a text with `\\n` line ends into (header, book); a text without Gutenberg's marks is all book."""
    begin, end = 0, len(text)
    if start := START.search(text, 0, HEADER_CHARS):
        begin = start.end()
        if not start.group().rstrip().endswith("***") and (rest := CLOSED.match(text, begin)):
            begin = rest.end()
    elif (small := SMALL_END.search(text, 0, HEADER_CHARS)) and len(text) - small.end() > len(text) // 10:
        begin = small.end()
    marks = [mark.start() for mark in END.finditer(text, begin)]
    if marks:
        end = marks[-1]
    elif old := OLD_END.search(text, max(begin, len(text) // 2)):
        end = old.start()
    if bottom := SMALL_START.search(text, max(begin, len(text) // 2), end):
        end = bottom.start()
        if header := OLD_HEADER.search(text, max(begin, len(text) // 2, end - OLD_HEADER_CHARS), end):
            end = header.start()
    body = text[begin:end]
    if begin or end < len(text):
        body = LAST_LINE.sub("", body)
        if not keep_credits:
            body = _without_credits(body)
    lines = body.rstrip().split("\n")
    first = next((index for index, line in enumerate(lines) if line.strip()), len(lines))
    return text[:begin], "\n".join(lines[first:])


def _without_credits(body: str) -> str:
    """Drops the leading paragraphs that tell who made the file."""
    while match := re.match(r"\s*\n(?=\S)|(?=\S)", body):
        paragraph = re.match(r"(?:[^\n]*\S[^\n]*(?:\n|\Z))+", body[match.end() : match.end() + 8192])
        if paragraph is None or not CREDIT.match(paragraph.group()):
            break
        if paragraph.group().count("\n") > CREDIT_LINES:
            break
        body = _behind_note(paragraph.group(), body[match.end() + paragraph.end() :])
    return body


def _behind_note(first: str, rest: str) -> str:
    """The text after a note of which `first` is the first paragraph: a heading or a bracket goes on over paragraphs."""
    end = -1
    if NOTE_HEADING.fullmatch(first):  # its text ends where two blank lines are
        rest = rest.lstrip("\n")
        end = rest.find("\n\n\n")
    elif first.lstrip().startswith("[") and first.count("[") > first.count("]"):
        end = rest.find("]\n") + 1 or -1
    return rest[end:] if end >= 0 and rest.count("\n", 0, end) <= NOTE_LINES else rest


def header_fields(header: str) -> dict[str, str]:
    """Title, author, language and number of a Gutenberg header; a value may go on over indented lines.

    The headers of the 1990s have no fields; title and author then come from their first line.
    """
    fields: dict[str, str] = {}
    current = ""
    for line in header.split("\n"):
        if match := FIELD.match(line):
            current = match.group(1).lower()
            if current in fields:
                current = ""
            else:
                fields[current] = match.group(2).strip()
        elif current in ("title", "author") and line[:1] in " \t" and line.strip():
            fields[current] = f"{fields[current]} {line.strip()}".strip()
        else:
            current = ""
    number = NUMBER.search(header)
    if "title" not in fields and (old := OLD_TITLE.search(header)):
        before, by, after = old["title"].rpartition(", by " if ", by " in old["title"] else " by ")
        fields = {"author": after if by else "", **fields, "title": before or after}
    result = {key: " ".join(fields[key].split()) for key in ("title", "author", "language") if fields.get(key)}
    return {**result, "id": number.group(1)} if number else result
