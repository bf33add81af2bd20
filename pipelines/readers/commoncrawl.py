"""Common Crawl: the text of web pages from WET files, as CCNet reads them (Wenzek et al. 2019; cc_net `process_wet_file.py`).

Unlike there, headers are taken by name, Content-Length is obeyed, and the first line (CCNet's title) stays in the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from corpus.data.columns import DATE, TITLE, Column
from corpus.ingest.compression import QUARANTINE_BYTES, Damage
from corpus.ingest.reader import Item, RawFile, Record, Skipped, Unreadable
from corpus.option import option
from corpus.quality.rules.length import CCNET_CHARACTERS
from pipelines.formats.warc import WarcRecord, read_records

_METADATA = {
    "id": "warc-record-id",
    "date": "warc-date",
    "digest": "warc-block-digest",
    "content_language": "warc-identified-content-language",
}
_KINDS = frozenset(("warcinfo", "request", "resource", "metadata", "revisit", "continuation"))


@dataclass(frozen=True)
class CommonCrawlReader:
    """`corpus ingest commoncrawl`."""

    domain: ClassVar[str] = "commoncrawl"
    patterns: ClassVar[tuple[str, ...]] = ("*.wet.gz", "*.warc.wet.gz", "*.wet", "*.warc.wet")
    doc: ClassVar[str] = "Common Crawl WET files: the text of web pages."
    columns: ClassVar[tuple[Column, ...]] = (
        TITLE,
        DATE,
    )

    min_characters: int = option(
        CCNET_CHARACTERS, "Drop pages with fewer characters after their first line (CCNet: 300)."
    )

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        if file.path.stat().st_size == 0:
            yield Unreadable(0, 0, 0, "empty file", b"")
            return
        for ordinal, record in enumerate(read_records(file.path)):
            if isinstance(record, Damage):
                yield Unreadable(ordinal, record.offset, record.length, record.reason, record.data)
            elif reason := _not_a_page(record):
                yield Skipped(ordinal, reason)
            else:
                yield self._page(ordinal, record)

    def _page(self, ordinal: int, record: WarcRecord) -> Item:
        try:
            text = clean_lines(record.body)
        except UnicodeDecodeError:
            data = record.body[:QUARANTINE_BYTES]
            return Unreadable(ordinal, record.offset, len(record.body), "not UTF-8", data)
        title, _, rest = text.partition("\n")
        text = text.strip("\n")
        if not text:
            return Skipped(ordinal, "no text")
        if len(rest.rstrip("\n")) < self.min_characters:
            return Skipped(ordinal, "too short", text)
        url = record.headers.get("warc-target-uri", "").strip("<>") or None
        metadata: dict[str, object] = {
            key: record.headers[name] for key, name in _METADATA.items() if name in record.headers
        }
        if record.recovered:
            metadata["recovered"] = "wrong Content-Length"
        metadata["title"] = title or text.partition("\n")[0]
        if host := _host(url):
            metadata["source_domain"] = host
        return Record(ordinal, text, url, None, metadata)


def _not_a_page(record: WarcRecord) -> str | None:
    """Why a record holds no text of a page; None if it does."""
    kind = record.headers.get("warc-type", "").lower()
    if kind == "response":
        return "HTTP response: this reader takes WET"
    if kind != "conversion":
        return f"{kind} record" if kind in _KINDS else "record of no known type"
    content = record.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    return None if content == "text/plain" else "not text/plain"


def clean_lines(body: bytes) -> str:
    """The text of a WET record: every line stripped, line ends of any kind as newlines, nothing else changed.

    Raises UnicodeDecodeError if it is not UTF-8.
    """
    text = body.decode("utf-8")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join(map(str.strip, text.split("\n")))


def _host(url: str | None) -> str:
    try:
        return urlsplit(url or "").netloc
    except ValueError:  # such as an unclosed IPv6 bracket
        return ""
