"""Web pages of Common Crawl and other crawls: text from WET files, as CCNet reads them (Wenzek et al. 2019; cc_net
`process_wet_file.py`), or from the HTML of WARC, ARC and WACZ files.

Unlike CCNet, headers are taken by name, Content-Length is obeyed, and the first line (CCNet's title) stays in the text,
unless `titles` is `faithful`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from corpus.data.columns import AUTHOR, DATE, LICENCE, TITLE, Column
from corpus.ingest.compression import QUARANTINE_BYTES, Damage
from corpus.ingest.reader import Item, RawFile, Record, Skipped, Unreadable
from corpus.option import option
from corpus.quality.rules.length import CCNET_CHARACTERS
from pipelines.formats.http import BadBody, parse_response
from pipelines.formats.stripped_lines import stripped_lines
from pipelines.formats.warc import WarcRecord
from pipelines.formats.web_archive import read_web_archive
from pipelines.readers.blocklist import blocklist_files, cached_blocklist
from pipelines.readers.pages import HTML_TYPES, PageSettings, host_of, page_item

_METADATA = {
    "id": "warc-record-id",
    "date": "warc-date",
    "digest": "warc-block-digest",
    "content_language": "warc-identified-content-language",
}
_KINDS = frozenset(("warcinfo", "request", "resource", "metadata", "revisit", "continuation"))
_WET = ("*.wet.gz", "*.warc.wet.gz", "*.wet", "*.warc.wet")
_PACKED = ("", ".gz", ".bz2", ".zst", ".xz", ".lz4")
_ARCHIVES = (*(f"*.{name}{suffix}" for name in ("warc", "arc") for suffix in _PACKED), "*.wacz")
EXTRACTORS = ("main", "resiliparse", "trafilatura", "plain")
"""`main` is ours (`pipelines/markup/html/content.py`); `plain` is all text of the page."""


class _Patterns:
    """The files of a crawl's folder: WET, or with an extractor those with HTML; never both, since they are the same pages."""

    def __get__(self, reader: CommonCrawlReader | None, owner: type) -> tuple[str, ...]:
        return _ARCHIVES if reader is not None and reader.extractor else _WET


@dataclass(frozen=True)
class CommonCrawlReader:
    """`corpus ingest commoncrawl`."""

    domain: ClassVar[str] = "commoncrawl"
    streams: ClassVar[bool] = True
    patterns: ClassVar[tuple[str, ...]] = _Patterns()  # type: ignore[assignment]  # they follow from the extractor
    doc: ClassVar[str] = "Web pages of Common Crawl: WET, or with --extractor WARC, ARC and WACZ."
    columns: ClassVar[tuple[Column, ...]] = (TITLE, DATE, AUTHOR, LICENCE)

    extractor: str = option(
        "", "Read the HTML of WARC, ARC and WACZ files, and take its text in this way.", choices=("", *EXTRACTORS)
    )
    min_characters: int = option(
        CCNET_CHARACTERS, "Drop pages with fewer characters (of WET after their first line; CCNet: 300)."
    )
    titles: str = option(
        "corrected",
        "Of WET: keep the first line, the page's title, in the text, or leave it out as CCNet does.",
        choices=("corrected", "faithful"),
    )
    blocklist: tuple[str, ...] = option((), "File of hosts and URLs, or folder of UT1, whose pages are dropped.")
    max_page_bytes: int = option(8_000_000, "Drop larger pages of HTML.", least=1)

    def files(self) -> Mapping[str, tuple[Path, ...]]:
        """The files that decide the result, by their setting."""
        return {"blocklist": tuple(blocklist_files(self.blocklist))}

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """An item for each record of the file."""
        if file.path.stat().st_size == 0:
            yield Unreadable(0, 0, 0, "empty file", b"")
            return
        blocklist = cached_blocklist(self.blocklist)
        for ordinal, record in enumerate(read_web_archive(file.path, scratch)):
            if isinstance(record, Damage):
                yield Unreadable(ordinal, record.offset, record.length, record.reason, record.data)
                continue
            url = record.headers.get("warc-target-uri", "").strip("<>") or None
            kind = record.headers.get("warc-type", "").lower()
            if kind in ("response", "resource", "conversion") and self.blocklist and blocklist.blocks(url):
                yield Skipped(ordinal, "blocklist")
            elif kind in ("response", "resource"):
                yield self._of_html(ordinal, record, kind, url)
            elif kind != "conversion":
                yield Skipped(ordinal, f"{kind} record" if kind in _KINDS else "record of no known type")
            else:
                yield self._of_text(ordinal, record, url)

    def _of_text(self, ordinal: int, record: WarcRecord, url: str | None) -> Item:
        """The page of a WET record."""
        content = record.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
        if content != "text/plain":
            return Skipped(ordinal, "not text/plain")
        try:
            text = stripped_lines(record.body)
        except UnicodeDecodeError:
            data = record.body[:QUARANTINE_BYTES]
            return Unreadable(ordinal, record.offset, len(record.body), "not UTF-8", data)
        text = text.rstrip("\n")
        if not text:
            return Skipped(ordinal, "no text")
        below = text.find("\n") + 1 or len(text)  # where the first line, which can be empty, has ended
        page = text.lstrip("\n")
        if len(text) - below < self.min_characters:
            return Skipped(ordinal, "too short", page)
        metadata = _known(record)
        metadata["title"] = page[: page.find("\n")] if "\n" in page else page
        if host := host_of(url):
            metadata["source_domain"] = host
        return Record(ordinal, text[below:].lstrip("\n") if self.titles == "faithful" else page, url, None, metadata)

    def _of_html(self, ordinal: int, record: WarcRecord, kind: str, url: str | None) -> Item:
        """The page of a response, or of a resource, which is a page without HTTP headers."""
        if not self.extractor:
            return Skipped(ordinal, f"HTTP {kind}: this reader takes WET, or give --extractor")
        content = record.headers.get("content-type", "").partition(";")[0].strip().lower()
        data, charset = record.body, ""
        if kind == "response":
            response = parse_response(record.body)
            if response is None:
                return Skipped(ordinal, "no HTTP response" if content == "application/http" else "not HTTP")
            if response.status != 200:
                return Skipped(ordinal, f"HTTP status {response.status // 100}xx")
            content, charset = response.type, response.charset
            if content and content not in HTML_TYPES and content != "text/plain":
                return Skipped(ordinal, f"not HTML ({content.partition('/')[0][:20]})")
            try:
                data = response.content()
            except BadBody as error:
                return Unreadable(ordinal, record.offset, len(record.body), str(error), record.body[:QUARANTINE_BYTES])
        settings = PageSettings(self.extractor, self.min_characters, self.max_page_bytes)
        return page_item(ordinal, data, content, charset, url, _known(record), settings)


def _known(record: WarcRecord) -> dict[str, object]:
    known: dict[str, object] = {key: record.headers[name] for key, name in _METADATA.items() if name in record.headers}
    if record.recovered:
        known["recovered"] = "wrong Content-Length"
    return known
