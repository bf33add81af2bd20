"""The external links of a Wikipedia's references, from its dump: pages that an encyclopedia cites.

All `<ref>` elements of an article count, also those with attributes and those inside templates; RedPajama v1's expression
missed the named ones and all but the first of a line.
"""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from pathlib import Path

from corpus.errors import DataError
from corpus.ingest.compression import Stream, TruncatedStream, open_stream
from pipelines.formats.xml import Utf8Stream, pieces
from pipelines.readers.enterprise import article_bodies
from pipelines.readers.wikipedia import PAGE, PAGE_BYTES, PAGE_END, dump_kind

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.S)
_REFERENCE = re.compile(r"<ref(?:\s[^<>]*)?(?<!/)>(.*?)</ref\s*>", re.S | re.I)
_RENDERED = re.compile(r"<ol\b[^>]*\breferences\b[^>]*>(.*?)</ol\s*>", re.S | re.I)
"""The lists of references in rendered HTML; links of the wiki itself are relative there."""
_HREF = re.compile(r"<a\b[^>]*\bhref=[\"'](https?://[^\"'<>\s]+)", re.I)
_LINK = re.compile(r"https?://[^\s\[\]{}|<>\"]+", re.I)
_AFTER = ".,;:!?'"
"""Marks that end a sentence after a link and are no part of it."""


def links_of(wikitext: str) -> list[str]:
    """The links in the references of a page, each once, in order."""
    found: dict[str, None] = {}
    for reference in _REFERENCE.findall(_COMMENT.sub("", wikitext)):
        for link in _LINK.findall(reference):
            link = link.rstrip(_AFTER)
            if link.endswith(")") and link.count(")") > link.count("("):
                link = link[:-1].rstrip(_AFTER)
            if link.partition("//")[2]:
                found[link] = None
    return list(found)


def rendered_links_of(page: str) -> list[str]:
    """The links in the lists of references of a page's HTML, each once, in order."""
    found = (unescape(link) for part in _RENDERED.findall(page) for link in _HREF.findall(part))
    return list(dict.fromkeys(link for link in found if link.partition("//")[2]))


def references(path: Path, limit: int | None = None) -> Iterator[str]:
    """The links of all articles of a dump (MediaWiki's XML or Enterprise HTML, compressed or not), or of those among its first
    `limit` pages, in its order; of a page each once.

    A DataError where the file holds no pages; what comes after damage is not read, and that is an error, too.
    """
    pages, kind = 0, dump_kind(path)
    with closing(open_stream(path)) as stream:
        found = _xml_pages(stream) if kind == "xml" else _enterprise_pages(stream, kind == "tar")
        try:
            for links in itertools.islice(found, limit):
                pages += 1
                yield from links
        except TruncatedStream as error:
            raise DataError(f"{path} is damaged after {pages:,} pages ({error.reason}): fetch it again.") from None
    if not pages:
        raise DataError(f"{path} has no pages: give a MediaWiki dump (pages-articles) or Enterprise HTML.")


def _enterprise_pages(stream: Stream, packed: bool) -> Iterator[list[str]]:
    for source, rendered in article_bodies(stream, packed):
        yield rendered_links_of(source) if rendered else links_of(source)


def _xml_pages(stream: Stream) -> Iterator[list[str]]:
    """The links of each page that can be read, none of those that are no articles."""
    for piece in pieces(Utf8Stream(stream), PAGE, PAGE_BYTES):
        cut = piece.data.find(PAGE_END)
        if cut < 0 or not piece.data.startswith(b"<page"):
            continue
        try:
            page = ElementTree.fromstring(piece.data[: cut + len(PAGE_END)])
        except (ElementTree.ParseError, ValueError):
            continue
        article = (page.findtext("ns") or "0").strip() == "0"
        texts = page.iterfind("revision/text") if article else ()
        yield [link for text in texts for link in links_of(text.text or "")]
