"""Wikipedia: `pages-articles` dumps (MediaWiki XML export, any version) or Enterprise HTML -> one document per article."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from corpus.data.columns import DATE, LICENCE, TITLE, Column
from corpus.ingest.compression import QUARANTINE_BYTES, TruncatedStream, open_stream
from corpus.ingest.reader import Item, RawFile, Reader, Record, Skipped, Unreadable
from corpus.option import option
from pipelines.formats.ndjson import is_tar
from pipelines.formats.xml import Piece, Utf8Stream, ended, pieces
from pipelines.markup.wikitext.names import TEMPLATE_SPACES, Namespaces, redirect_target
from pipelines.markup.wikitext.page import Wiki, wikitext_to_text
from pipelines.markup.wikitext.store import DATABASE, LINES, TemplateStore, gather_templates, template_line
from pipelines.readers.enterprise import read_enterprise

PAGE = re.compile(rb"<page>")
PAGE_END = b"</page>"
PAGE_BYTES = 32 << 20  # MediaWiki's own limit is 2 MiB of wikitext
AROUND = re.compile(rb"</mediawiki\s*>|<!--.*?-->", re.S)
TEXT_MODELS = ("", "wikitext")
ARTICLE, FILE, MEDIA, CATEGORY, TEMPLATE = "0", "6", "-2", "14", "10"
_SNIFFED = 512  # bytes of a file that tell XML, JSON and tar apart
HEAD_BYTES = 2000  # of a page, in which its title and namespace are


@dataclass(frozen=True)
class Site:
    """What the head of a dump says of its wiki."""

    language: str | None = None
    name: str | None = None  # of the database: enwiki
    base: str | None = None  # of the articles' addresses, up to the title
    namespaces: dict[str, str] = field(default_factory=dict)  # key -> local name
    links: Namespaces = field(default_factory=lambda: Namespaces.of(()))

    @property
    def key(self) -> str:
        """What tells its templates from those of other wikis."""
        return self.name or self.language or ""

    def namespace(self, page: ElementTree.Element, title: str) -> str:
        """The number of a page's namespace; exports before version 0.6 tell it by the title alone."""
        number = page.findtext("ns")
        if number is None:
            prefix = title.partition(":")[0] if ":" in title else ""
            number = next((key for key, name in self.namespaces.items() if name and name == prefix), ARTICLE)
        return number.strip()


@dataclass(frozen=True)
class WikipediaReader:
    """Articles of the main namespace."""

    domain: ClassVar[str] = "wikipedia"
    streams: ClassVar[bool] = True
    patterns: ClassVar[tuple[str, ...]] = (
        *("*pages-articles*.xml*", "*.xml.bz2", "*.xml.gz", "*.xml.zst", "*.xml"),
        *("*ENTERPRISE-HTML*", "*.json.tar.gz", "*.ndjson", "*.ndjson.gz"),
    )
    doc: ClassVar[str] = "MediaWiki dumps (pages-articles) or Wikimedia Enterprise HTML: an article each, no markup"
    columns: ClassVar[tuple[Column, ...]] = (TITLE, DATE, LICENCE)

    titles: bool = option(True, "begin a document with its title")
    tables: str = option(
        "drop", "tables: leave them out, or keep each row as a line of its cells", choices=("drop", "text")
    )
    definitions: bool = option(
        True, "read the dump's own definitions of templates in a pass before, and expand those that are plain text"
    )

    def survey(self, file: RawFile, folder: Path) -> None:
        """Writes the definitions of templates that a file has."""
        with (folder / LINES).open("w", encoding="utf-8") as lines:
            if self.definitions and dump_kind(file.path) == "xml":
                for line in _definitions(file.path):
                    lines.write(line + "\n")

    def gather(self, surveys: Sequence[tuple[str, Path]], folder: Path) -> None:
        """Brings the definitions of all files together."""
        gather_templates((survey / LINES for _, survey in surveys), folder / DATABASE)

    def prepared(self, gathered: Path) -> Reader:
        """The reader that expands templates by what was gathered."""
        return _PreparedReader(self, gathered / DATABASE)

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """Yields one item per page; a broken page does not end the file."""
        yield from self.pages(file, None)

    def pages(self, file: RawFile, database: Path | None) -> Iterator[Item]:
        """The items of a file, read with the definitions of a database."""
        if file.path.stat().st_size == 0:
            yield Unreadable(0, 0, 0, "empty file", b"")
            return
        kind = dump_kind(file.path)
        if kind == "xml":
            yield from self._xml(file, database)
            return
        with closing(open_stream(file.path)) as stream:
            yield from read_enterprise(stream, kind == "tar", self.titles, Wiki(tables=self.tables == "text"))

    def _xml(self, file: RawFile, database: Path | None) -> Iterator[Item]:
        site, ordinal, end, fault = Site(), 0, 0, ""
        rooted, closed = True, False
        store, wiki = None, Wiki()
        last: Item | None = None  # held back: at a broken end it is told apart from a broken page
        with ExitStack() as stack:
            stream = stack.enter_context(closing(open_stream(file.path)))
            try:
                for number, piece in enumerate(pieces(Utf8Stream(stream), PAGE, PAGE_BYTES)):
                    end = piece.offset + piece.length
                    closed = b"</mediawiki" in piece.data[-64:]
                    if number == 0:
                        site, rooted = read_site(piece.data), b"<mediawiki" in piece.data
                        if database is not None:
                            store = stack.enter_context(TemplateStore(database, site.key))
                        wiki = Wiki(site.links, store, self.tables == "text")
                        if not rooted:
                            fault = "malformed XML" if b"<page" in piece.data else "not a MediaWiki export"
                        continue
                    fault = ""
                    closed = closed or (not rooted and piece.data.rstrip().endswith(PAGE_END))
                    for item in self._page(ordinal, piece, site, wiki):
                        if last is not None:
                            yield last
                        last = item
                        ordinal += 1
            except TruncatedStream as error:
                fault = error.reason
            if ordinal == 0 and fault == "not a MediaWiki export":
                yield Skipped(0, fault, file.name)
            elif fault or not closed:
                yield from ended(last, ordinal, end, fault or "truncated XML")
            elif last is not None:
                yield last

    def _page(self, ordinal: int, piece: Piece, site: Site, wiki: Wiki) -> Iterator[Item]:
        """The page of a piece, and what stands after it if that is not blank."""
        cut = piece.data.find(PAGE_END)
        if cut < 0:
            reason = "page over 32 MiB" if piece.length > len(piece.data) else "malformed XML"
            yield Unreadable(ordinal, piece.offset, piece.length, reason, piece.data[:QUARANTINE_BYTES])
            return
        cut += len(PAGE_END)
        try:
            page = ElementTree.fromstring(piece.data[:cut])
        except (ElementTree.ParseError, ValueError):
            yield Unreadable(ordinal, piece.offset, cut, "malformed XML", piece.data[:QUARANTINE_BYTES])
        else:
            yield self.article(ordinal, page, site, wiki)
        if AROUND.sub(b"", piece.data[cut:]).strip():
            data = piece.data[cut : cut + QUARANTINE_BYTES]
            yield Unreadable(ordinal + 1, piece.offset + cut, piece.length - cut, "malformed XML", data)

    def article(self, ordinal: int, page: ElementTree.Element, site: Site, wiki: Wiki) -> Item:
        """The item of one <page> element."""
        title = (page.findtext("title") or "").strip()
        namespace = site.namespace(page, title)
        if namespace != ARTICLE:
            return Skipped(ordinal, f"namespace {namespace}", title)
        if page.find("redirect") is not None:
            return Skipped(ordinal, "redirect", title)
        revisions = page.findall("revision")
        if not revisions:
            return Skipped(ordinal, "no revision", title)
        revision = _newest(revisions)
        if revision is None:
            return Skipped(ordinal, "text deleted", title)
        model = (revision.findtext("model") or "").strip()
        if model not in TEXT_MODELS:
            return Skipped(ordinal, f"content model {model}", title)
        source = revision.findtext("text") or ""
        if redirect_target(source) is not None:
            return Skipped(ordinal, "redirect", title)
        text = wikitext_to_text(source, wiki, title)
        if not text:
            return Skipped(ordinal, "empty text", title)
        metadata = {
            "id": page.findtext("id"),
            "title": title,
            "revision": revision.findtext("id"),
            "date": revision.findtext("timestamp"),
            "wiki": site.name,
            "markup": "wikitext",
        }
        return Record(
            ordinal,
            f"{title}\n\n{text}" if self.titles and title else text,
            url=site.base + quote(title.replace(" ", "_"), safe=";@$!*(),/~:") if site.base and title else None,
            language=site.language,
            metadata={key: value for key, value in metadata.items() if value is not None},
        )


@dataclass(frozen=True)
class _PreparedReader:
    """A reader with the definitions of all files."""

    reader: WikipediaReader
    database: Path
    domain: ClassVar[str] = WikipediaReader.domain
    streams: ClassVar[bool] = True
    patterns: ClassVar[tuple[str, ...]] = WikipediaReader.patterns
    doc: ClassVar[str] = WikipediaReader.doc
    columns: ClassVar[tuple[Column, ...]] = WikipediaReader.columns

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """As the reader, templates expanded."""
        return self.reader.pages(file, self.database)


def dump_kind(path: Path) -> str:
    """tar, json or xml, by the first bytes."""
    with closing(open_stream(path)) as stream:
        try:
            head = stream.read(_SNIFFED)
        except TruncatedStream:
            head = b""
    return "tar" if is_tar(head) else "json" if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{" else "xml"


def _definitions(path: Path) -> Iterator[str]:
    """The lines of the template pages of a dump; damage is left to the reading."""
    site = Site()
    with closing(open_stream(path)) as stream:
        try:
            for number, piece in enumerate(pieces(Utf8Stream(stream), PAGE, PAGE_BYTES)):
                if number == 0:
                    site = read_site(piece.data)
                    continue
                head, cut = piece.data[:HEAD_BYTES], piece.data.find(PAGE_END)
                if cut < 0 or not (b"<ns>10</ns>" in head or b"<ns>" not in head):
                    continue
                try:
                    page = ElementTree.fromstring(piece.data[: cut + len(PAGE_END)])
                except (ElementTree.ParseError, ValueError):
                    continue
                title = (page.findtext("title") or "").strip()
                revision = _newest(page.findall("revision"))
                prefix = title.partition(":")[0].strip().lower()
                if revision is None or not (site.namespace(page, title) == TEMPLATE or prefix in TEMPLATE_SPACES):
                    continue
                if line := template_line(site.key, title, revision.findtext("text") or ""):
                    yield line
        except TruncatedStream:
            return


def _newest(revisions: list[ElementTree.Element]) -> ElementTree.Element | None:
    """The newest revision whose text is not deleted; of equal times the last one."""
    kept = [
        revision for revision in revisions if (text := revision.find("text")) is None or text.get("deleted") is None
    ]
    return max(enumerate(kept), key=lambda entry: (entry[1].findtext("timestamp") or "", entry[0]), default=(0, None))[
        1
    ]


def read_site(head: bytes) -> Site:
    """Language, base address and namespaces from the bytes before the first page; what cannot be read stays empty."""
    language = re.search(rb"<mediawiki[^>]*\sxml:lang=[\"']([\w-]+)", head)
    block = re.search(rb"<siteinfo>.*?</siteinfo>", head, re.S)
    code = language.group(1).decode("ascii", "ignore").lower() if language else None
    if block is None:
        return Site(language=code)
    try:
        info = ElementTree.fromstring(block.group())
    except (ElementTree.ParseError, ValueError):
        return Site(language=code)
    base = info.findtext("base") or ""
    namespaces = {item.get("key", ""): (item.text or "").strip() for item in info.iter("namespace")}
    return Site(
        language=code,
        name=info.findtext("dbname"),
        base=base.rpartition("/")[0] + "/" if re.match(r"https?://[^/]+/.", base) else None,
        namespaces=namespaces,
        links=Namespaces.of(namespaces.get(key, "") for key in (FILE, MEDIA, CATEGORY)),
    )
