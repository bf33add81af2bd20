"""Wikimedia Enterprise HTML dumps: an article a line of JSON (in a tar.gz or not), with its rendered HTML.

Fields: https://enterprise.wikimedia.com/docs/data-dictionary/ (name, url, namespace, in_language, is_part_of, version,
date_modified, license, article_body.html, article_body.wikitext).
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from corpus.ingest.compression import QUARANTINE_BYTES, Damage, TruncatedStream
from corpus.ingest.reader import Item, Record, Skipped, Unreadable
from pipelines.formats.ndjson import Line, lines, tar_lines
from pipelines.formats.xml import ByteStream
from pipelines.markup.wikitext.page import Wiki, wikitext_to_text
from pipelines.markup.wikitext.rendered import rendered_to_text

LINE_BYTES = 256 << 20


def read_enterprise(stream: ByteStream, tar: bool, titles: bool, wiki: Wiki) -> Iterator[Item]:
    """The items of a file; a line that is no article is one Unreadable, and so is what a torn end takes."""
    ordinal, end = 0, 0
    try:
        for line in (tar_lines if tar else lines)(stream, LINE_BYTES):
            if isinstance(line, Damage):
                yield Unreadable(ordinal, line.offset, line.length, line.reason, line.data)
                end = line.offset + line.length
            else:
                yield _item(ordinal, line, titles, wiki)
                end = line.offset + len(line.data)
            ordinal += 1
    except TruncatedStream as error:
        yield Unreadable(ordinal, end, 0, error.reason, b"")


def article_bodies(stream: ByteStream, tar: bool) -> Iterator[tuple[str, bool]]:
    """Of each article its source, and whether that is HTML and not wikitext; what is no article is passed over. A
    TruncatedStream where the file is torn."""
    for line in (tar_lines if tar else lines)(stream, LINE_BYTES):
        if isinstance(line, Damage):
            continue
        try:
            page = orjson.loads(line.data)
        except orjson.JSONDecodeError:
            continue
        body = _at(page, "article_body")
        if _at(page, "namespace", "identifier") in (None, 0):
            for key in ("html", "wikitext"):
                source = _at(body, key)
                if isinstance(source, str) and source:
                    yield source, key == "html"
                    break


def _item(ordinal: int, line: Line, titles: bool, wiki: Wiki) -> Item:
    try:
        page = orjson.loads(line.data)
    except orjson.JSONDecodeError:
        page = None
    body = _at(page, "article_body")
    source, rendered = _at(body, "html"), True
    if not isinstance(source, str) or not source:
        source, rendered = _at(body, "wikitext"), False
    if not isinstance(source, str):
        reason = "no article_body" if isinstance(page, dict) else "not JSON"
        return Unreadable(ordinal, line.offset, len(line.data), reason, line.data[:QUARANTINE_BYTES])
    title = _text(page, "name") or ""
    namespace = _at(page, "namespace", "identifier")
    if namespace not in (None, 0):
        return Skipped(ordinal, f"namespace {namespace}", title)
    text = rendered_to_text(source, wiki.tables) if rendered else wikitext_to_text(source, wiki, title)
    if not text:
        return Skipped(ordinal, "empty text", title)
    licences = _at(page, "license")
    first = licences[0] if isinstance(licences, list) and licences else None
    metadata = {
        "id": _text(page, "identifier"),
        "title": title,
        "revision": _text(page, "version", "identifier"),
        "date": _text(page, "date_modified"),
        "wiki": _text(page, "is_part_of", "identifier"),
        "licence": _text(first, "identifier") or _text(first, "name"),
        "markup": "html" if rendered else "wikitext",
    }
    return Record(
        ordinal,
        f"{title}\n\n{text}" if titles and title else text,
        url=_text(page, "url"),
        language=_text(page, "in_language", "identifier"),
        metadata={key: value for key, value in metadata.items() if value},
    )


def _at(value: object, *keys: str) -> object:
    """What a nested object has under its keys, or None."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(value: object, *keys: str) -> str | None:
    found = _at(value, *keys)
    return str(found) if isinstance(found, str | int) and found != "" else None
