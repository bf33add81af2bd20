"""Text of whole pages by one of four extractors, and what their heads state."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from pipelines.markup.html.blocks import TAG, Blocks, blocks_of
from pipelines.markup.html.content import content_blocks
from pipelines.markup.html.phrases import without_phrases

_SPACE = re.compile(r"[ \t\r\f\v\u00a0]+")
_LINES = re.compile(r"\n{3,}")
_WHITE = re.compile(r"\s+")
_META = re.compile(r'<meta\b((?:[^>"]|"[^"]*")*)>')
_VALUE = re.compile(r'([\w:.-]+)="([^"]*)"')
_LINKED_DATA = re.compile(r"<script\b[^>]*application/ld\+json[^>]*>(.*?)</script", re.DOTALL)
_LANGUAGE = re.compile(r"<html\b[^>]*?\s(?:xml:)?lang\s*=\s*[\"']?([A-Za-z]{2,3})(?![A-Za-z])", re.IGNORECASE)
_CANONICAL = re.compile(r'<link\b(?:[^>"]|"[^"]*")*\brel="canonical"(?:[^>"]|"[^"]*")*>')
_HREF = re.compile(r'\bhref="([^"]*)"')
_OWN_LICENCE = re.compile(r"\brel\s*=\s*[\"']?[^\"'>]*\blicense\b", re.IGNORECASE)
_HEAD_CHARACTERS, _TAG_CHARACTERS = 20_000, 1000
_TEMPLATE = re.compile(r"""<script\b[^>]*\btype=["']?text/template\b[^>]*>(.*?)</script""", re.IGNORECASE | re.DOTALL)
_PATTERN = re.compile(r"\{\{|<[#%]|\$\{")
_LITTLE = 1000
"""Characters of a page with less than an article."""
_ITEM, _PRE, _ROW = TAG["li"], TAG["pre"], TAG["tr"]
_CELL_CHARACTERS, _ROW_CHARACTERS = 200, 1000
"""Cells of more characters are those of tables that lay a page out: they stand alone."""
_MOST_ELEMENTS = 500_000
"""A page of more tags is not parsed: trees of real pages are far smaller."""
_MANY_ELEMENTS = 4_000
_MOST_DEPTH = 1_000
"""Deeper pages are none; browsers stop at 512. Pages of few tags are not that deep, or soon read."""
_DATES = (
    "article:published_time", "datepublished", "date", "dc.date", "dcterms.date", "dc.date.issued", "pubdate", "publishdate",
    "og:published_time", "sailthru.date", "parsely-pub-date", "citation_publication_date",
)  # fmt: skip
_AUTHORS = ("author", "article:author", "dc.creator", "dcterms.creator", "parsely-author", "citation_author", "byl")
_LICENCES = {
    "publicdomain/zero": "CC0-1.0", "licenses/by": "CC-BY", "licenses/by-sa": "CC-BY-SA", "licenses/by-nd": "CC-BY-ND",
    "licenses/by-nc": "CC-BY-NC", "licenses/by-nc-sa": "CC-BY-NC-SA", "licenses/by-nc-nd": "CC-BY-NC-ND",
}  # fmt: skip
_CREATIVE_COMMONS = re.compile(r"creativecommons\.org/((?:licenses|publicdomain)/[a-z-]+)/(\d\.\d)")


@dataclass(frozen=True, slots=True)
class Page:
    """Text of a page, and what its head states: `facts` are title, author, date and licence where it does, `url` is the
    address that it gives itself."""

    text: str
    language: str = ""
    url: str = ""
    facts: dict[str, object] = field(default_factory=dict)


def _main(tree: Any, source: str, blocks: Blocks | None) -> str:
    text = _content(blocks or blocks_of(tree.body.html))
    if len(text) < _LITTLE and "text/template" in source:
        # blogs that show an article by a script have it here; patterns to fill in are none
        for template in _TEMPLATE.findall(source):
            if len(template) > len(text) and not _PATTERN.search(template):
                body = HTMLTree.parse(template).body
                text = max(text, _content(blocks_of(body.html)) if body is not None else "", key=len)
    return text


def _content(blocks: Blocks) -> str:
    chosen = content_blocks(blocks).tolist()
    return render(blocks, without_phrases(blocks, chosen) or chosen)


def _resiliparse(tree: Any, source: str, blocks: Blocks | None) -> str:
    return extract_plain_text(tree, main_content=True)


def _plain(tree: Any, source: str, blocks: Blocks | None) -> str:
    return extract_plain_text(tree, main_content=False)


def _trafilatura(tree: Any, source: str, blocks: Blocks | None) -> str:
    import trafilatura

    return trafilatura.extract(source) or ""


EXTRACTORS: dict[str, Callable[[Any, str, Blocks | None], str]] = {
    "main": _main,
    "resiliparse": _resiliparse,
    "trafilatura": _trafilatura,
    "plain": _plain,
}


def extract_page(source: str, extractor: str) -> Page:
    """The text of a page. It is empty where nothing was found, or where too many tags, or tags too deep in each other, make
    it no page: that, and no clock, keeps the time for each in bounds."""
    if source.count("<") > _MOST_ELEMENTS:
        return Page("")
    source = source.replace("\0", "")
    tree = HTMLTree.parse(source)
    if tree.body is None:
        return Page("")
    blocks = blocks_of(tree.body.html) if source.count("<") > _MANY_ELEMENTS else None
    if blocks is not None and int(blocks.depths().max()) > _MOST_DEPTH:
        return Page("")
    text = _LINES.sub("\n\n", EXTRACTORS[extractor](tree, source, blocks)).strip()
    return Page(text.encode("utf-8", "replace").decode("utf-8"), *_stated(tree, source))


def render(blocks: Blocks, chosen: list[int]) -> str:
    """The chosen blocks as lines: items of lists after `- `, the cells of a row between ` | `, code as it is."""
    lines: list[str] = []
    item = row = -1
    tags, parents, spans = blocks.tags, blocks.parents, blocks.spans
    for number in chosen:
        element = int(spans[number, 2])
        text = blocks.block(number)
        here_item = here_row = -1
        verbatim = False
        while element > 0:
            tag = int(tags[element])
            if tag == _ITEM and here_item < 0:
                here_item = element
            elif tag == _ROW and here_row < 0:
                here_row = element
            verbatim = verbatim or tag == _PRE
            element = int(parents[element])
        if not verbatim:
            text = text.replace("\n", " ") if here_row >= 0 else text
        if here_row >= 0 and here_row == row and len(text) <= _CELL_CHARACTERS and len(lines[-1]) <= _ROW_CHARACTERS:
            lines[-1] += " | " + text
        elif here_item >= 0 and here_item != item:
            lines.append("- " + text)
        else:
            lines.append(text)
        item, row = here_item, here_row
    return "\n".join(lines)


def _stated(tree: Any, source: str) -> tuple[str, str, dict[str, object]]:
    """Language, address, and the facts of the head."""
    facts: dict[str, object] = {}
    head = tree.head.html if tree.head is not None else ""
    metas: dict[str, str] = {}
    for match in _META.finditer(head):
        values = {name.lower(): value for name, value in _VALUE.findall(match[1])}
        name = (values.get("property") or values.get("name") or values.get("itemprop") or "").lower()
        if name and name not in metas:
            metas[name] = html.unescape(_SPACE.sub(" ", values.get("content", ""))).strip()
    linked = _linked_data(head)
    _set(facts, "title", metas.get("og:title") or _WHITE.sub(" ", tree.title or "").strip())
    dates = [metas[name] for name in _DATES if metas.get(name)] + [linked.get("date", "")]
    _set(facts, "date", next((date for date in dates if re.search("[12][0-9]{3}", date) and date[:3] != "000"), ""))
    authors = [metas[name] for name in _AUTHORS if metas.get(name) and not metas[name].startswith("http")]
    _set(facts, "author", authors[0] if authors else linked.get("author", ""))
    _set(facts, "licence", _licence(source))
    found = _LANGUAGE.search(source, 0, _HEAD_CHARACTERS)
    canonical = _CANONICAL.search(head)
    address = _HREF.search(canonical[0]) if canonical else None
    url = html.unescape(address[1]) if address else metas.get("og:url", "")
    return found[1].lower() if found else "", url if url.startswith("http") else "", facts


def _set(facts: dict[str, object], name: str, value: object) -> None:
    if isinstance(value, str) and value.strip():
        facts[name] = value.strip().encode("utf-8", "replace").decode("utf-8")


def _linked_data(head: str) -> dict[str, str]:
    """Date and author of the article that the head describes as JSON-LD."""
    for match in _LINKED_DATA.finditer(head):
        try:
            value = json.loads(match[1])
        except (ValueError, RecursionError):
            continue
        entries = value if isinstance(value, list) else value.get("@graph", [value]) if isinstance(value, dict) else []
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and isinstance(entry.get("datePublished"), str):
                return {"date": entry["datePublished"], "author": _names(entry.get("author"))}
    return {}


def _names(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _names(value.get("name"))
    if isinstance(value, list):
        return ", ".join(name for name in map(_names, value) if name)
    return ""


def _licence(source: str) -> str:
    """The Creative Commons licence that a link of the page names as its own (`rel="license"`)."""
    at = source.find("license")
    while at >= 0:
        begin, end = source.rfind("<", 0, at), source.find(">", at)
        tag = source[begin : end + 1] if 0 <= begin < end and end - begin < _TAG_CHARACTERS else ""
        if _OWN_LICENCE.search(tag) and (found := _CREATIVE_COMMONS.search(tag)) and found[1] in _LICENCES:
            name = _LICENCES[found[1]]
            return name if name.startswith("CC0") else f"{name}-{found[2]}"
        at = source.find("license", max(end, at + 1))
    return ""
