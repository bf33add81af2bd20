"""Pages of HTML as documents: what readers of archives and of single files share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from corpus.ingest.reader import Item, Record, Skipped
from pipelines.formats.encoding import decode
from pipelines.markup.html.encoding import decode_page
from pipelines.markup.html.extract import extract_page

HTML_TYPES = frozenset(("text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml"))
_PLAIN_HOST = re.compile(r"https?://([A-Za-z0-9.:_-]+)(?:[/?#]|\Z)")
"""What of a URL is its host, whatever `urlsplit` would have to say of the rest of it."""
_SNIFFED = (b"<!doctype html", b"<html", b"<head", b"<body", b"<!--", b"<title", b"<meta")


@dataclass(frozen=True, slots=True)
class PageSettings:
    """How pages become documents."""

    extractor: str
    min_characters: int
    max_bytes: int


def page_item(
    ordinal: int,
    data: bytes,
    kind: str,
    charset: str,
    url: str | None,
    known: Mapping[str, object],
    settings: PageSettings,
) -> Item:
    """The document of a page of the media type `kind` ("" where none is stated), or why it is none.

    What is `known` of the page, and its `url`, go before what its head states.
    """
    if not kind or kind == "application/octet-stream":
        kind = "text/html" if data[:1024].lstrip().lower().startswith(_SNIFFED) else "unknown"
    if kind not in HTML_TYPES and kind != "text/plain":
        return Skipped(ordinal, f"not HTML ({kind.partition('/')[0][:20] or 'unknown'})")
    if len(data) > settings.max_bytes:
        return Skipped(ordinal, "page too large")
    if kind == "text/plain":
        text, language = decode(data, charset)[0].replace("\r\n", "\n").replace("\r", "\n").strip(), ""
        facts: dict[str, object] = {}
    else:
        page = extract_page(decode_page(data, charset), settings.extractor)
        text, language, facts, url = page.text, page.language, page.facts, url or page.url or None
    if not text:
        return Skipped(ordinal, "no text")
    if len(text) < settings.min_characters:
        return Skipped(ordinal, "too short", text)
    metadata = facts | dict(known)
    if host := host_of(url):
        metadata["source_domain"] = host
    return Record(ordinal, text, url, language or None, metadata)


def host_of(url: str | None) -> str:
    """The host of a URL, as it is written."""
    if url and (plain := _PLAIN_HOST.match(url)):
        return plain[1]
    try:
        return urlsplit(url or "").netloc
    except ValueError:  # such as an unclosed IPv6 bracket
        return ""
