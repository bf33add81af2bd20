"""News articles: JSON lines as crawlers of news write them, CC-NEWS archives, and single pages of HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from corpus.data.columns import AUTHOR, DATE, LICENCE, TITLE, Column
from corpus.ingest.compression import QUARANTINE_BYTES, Damage, TruncatedStream, open_stream
from corpus.ingest.reader import Item, RawFile, Record, Skipped, Unreadable
from corpus.option import option
from pipelines.readers.commoncrawl import EXTRACTORS, CommonCrawlReader
from pipelines.readers.fields import Fields, NoDocument
from pipelines.readers.jsonl import SUFFIXES, JsonlReader, read_objects
from pipelines.readers.pages import PageSettings, page_item

_HEAD_BYTES = 1024
_TEXTS = ("maintext", "article", "text", "articleBody", "article_text", "content", "body", "full_text")
_DATES = ("date", "date_publish", "publish_date", "published", "published_at", "datePublished", "pub_date", "pubDate")
_AUTHORS = ("author", "authors", "byline")
_DOMAINS = ("source_domain", "domain", "source", "publisher", "publication")
_URLS, _LANGUAGES, _TITLES = ("url", "link"), ("language", "lang"), ("title", "headline", "title_page")


@dataclass(frozen=True)
class NewsReader:
    """`corpus ingest news`."""

    domain: ClassVar[str] = "news"
    streams: ClassVar[bool] = True
    patterns: ClassVar[tuple[str, ...]] = (
        *JsonlReader.patterns,
        *(f"*.{name}{suffix}" for name in ("html", "htm", "warc", "arc") for suffix in SUFFIXES),
        "*.wacz",
    )
    doc: ClassVar[str] = "News articles: JSON lines, CC-NEWS archives, pages of HTML."
    columns: ClassVar[tuple[Column, ...]] = (TITLE, DATE, AUTHOR, LICENCE)

    extractor: str = option("main", "How to take the text of HTML.", choices=EXTRACTORS)
    min_characters: int = option(0, "Drop articles with fewer characters.")
    text_field: str = option(
        "", "Key of the text in JSON; by default maintext, article, text, articleBody, content or body."
    )
    with_title: bool = option(False, "Begin the text of JSON articles with their title.")
    max_page_bytes: int = option(8_000_000, "Drop larger pages of HTML.", least=1)

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """The items of a file of any of the kinds, told by its content."""
        with open_stream(file.path) as stream:
            try:
                head = stream.read(_HEAD_BYTES)
            except TruncatedStream:
                head = b""
        start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
        if start.startswith((b"WARC/", b"filedesc:", b"PK\x03\x04")):
            crawl = CommonCrawlReader(
                self.extractor, min_characters=self.min_characters, max_page_bytes=self.max_page_bytes
            )
            yield from crawl.read(file, scratch)
        elif start.startswith(b"<"):
            yield self._page(file)
        else:
            yield from self._articles(file)

    def _page(self, file: RawFile) -> Item:
        """The article of a file that is a page."""
        data = b""
        with open_stream(file.path) as stream:
            try:
                data = stream.read(self.max_page_bytes + 1)
                if len(data) <= self.max_page_bytes:
                    stream.read(1)
            except TruncatedStream as error:
                rest = max(0, file.path.stat().st_size - error.offset)
                return Unreadable(0, error.offset, rest, error.reason, data[:QUARANTINE_BYTES])
        settings = PageSettings(self.extractor, self.min_characters, self.max_page_bytes)
        return page_item(0, data, "text/html", "", None, {}, settings)

    def _articles(self, file: RawFile) -> Iterator[Item]:
        """The articles of a file of JSON."""
        wanted = (self.text_field,) if self.text_field else _TEXTS
        for ordinal, found in enumerate(read_objects(file.path, wanted)):
            if isinstance(found, Damage):
                yield Unreadable(ordinal, found.offset, found.length, found.reason, found.data)
                continue
            try:
                item = self._article(ordinal, found.row, wanted)
            except NoDocument as error:
                data = found.data
                item = Unreadable(ordinal, found.offset, len(data), str(error), data[:QUARANTINE_BYTES])
            yield item

    def _article(self, ordinal: int, row: Mapping[str, object], wanted: tuple[str, ...]) -> Item:
        """The article of an object; its keys get the names that all domains have."""
        text = next((name for name in wanted if row.get(name)), "") or next(
            (name for name in wanted if name in row), ""
        )
        if not text:
            raise NoDocument(f"no field '{wanted[0]}'")
        names = {"date": _DATES, "author": _AUTHORS, "source_domain": _DOMAINS}
        names |= {"url": _URLS, "language": _LANGUAGES, "title": _TITLES}
        known: dict[str, object] = {key: value for key, value in row.items() if key != text} | {"text": row[text]}
        for name, keys in names.items():
            key = next((key for key in keys if known.get(key) and (key != "source" or isinstance(known[key], str))), "")
            if key and key != name:
                known[name] = known.pop(key)
        authors = known.get("author")
        if isinstance(authors, list) and all(isinstance(author, str) for author in authors):
            known["author"] = ", ".join(authors)
        if self.with_title and isinstance(known.get("title"), str):
            known["text"] = f"{known['title']}\n\n{known['text']}"
        item = Fields().item(ordinal, known)
        if isinstance(item, Record) and len(item.text) < self.min_characters:
            return Skipped(ordinal, "too short", item.text)
        return item
