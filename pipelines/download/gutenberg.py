"""Project Gutenberg by the door that it has for programs, and its catalogue."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urljoin, urlsplit

from corpus.option import option
from corpus.remote.url import join_url, url_name
from pipelines.download.source import SourceFile
from pipelines.download.web import Web

_LINK = re.compile(r"""<a\s[^>]*href\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
_BOOK = re.compile(r"/(\d+)(?:-(?:0|8))?\.(?:zip|txt)$")
_CATALOGUE = "cache/epub/feeds/rdf-files.tar.bz2"


@dataclass(frozen=True)
class GutenbergSource:
    """`corpus download gutenberg`. Its site is for people; programs take `robot/harvest`, whose pages link to the books on a
    mirror and to the next page, two seconds between requests. Of a book the best of its files is taken: UTF-8 before
    Latin-1 before ASCII."""

    domain: ClassVar[str] = "books"
    base: ClassVar[str] = "https://www.gutenberg.org"
    doc: ClassVar[str] = "Project Gutenberg's books as plain text, and its RDF catalogue"
    terms: ClassVar[str] = (
        "About 60,000 books in English, 12 GB compressed. Public domain in the United States; gutenberg.org/policy/license.html."
        " For all of it make a mirror by rsync, and give it as --base."
    )
    rate: ClassVar[float] = 0.5
    robots: ClassVar[bool] = True

    languages: tuple[str, ...] = option(("en",), "A language, as en.", flag="--language", metavar="LANGUAGE")
    catalogue: bool = option(True, "Take the catalogue, too: titles, authors, subjects.")

    def files(self, web: Web, base: str) -> Iterator[SourceFile]:
        """The catalogue, then the books in the order of the pages."""
        if self.catalogue:
            yield SourceFile(join_url(base, _CATALOGUE), "rdf-files.tar.bz2")
        for language in self.languages:
            yield from self._books(web, join_url(base, f"robot/harvest?filetypes[]=txt&langs[]={language}"))

    def _books(self, web: Web, url: str) -> Iterator[SourceFile]:
        seen: set[str] = set()
        held: dict[str, str] = {}
        while url and url not in seen:
            seen.add(url)
            links = [urljoin(url, html.unescape(link)) for link in _LINK.findall(web.page(url))]
            for link in links:
                if (found := _BOOK.search(urlsplit(link).path)) is None:
                    continue
                # the files of a book stand together: what follows the last book of a page may be on the next one
                if held and found[1] not in held:
                    yield self._file(*held.popitem())
                if _rank(link) < _rank(held.get(found[1], "")):
                    held[found[1]] = link
            url = next((link for link in links if "harvest?" in link and link not in seen), "")
        for number, link in held.items():
            yield self._file(number, link)

    def _file(self, number: str, link: str) -> SourceFile:
        return SourceFile(link, f"{number}/{url_name(link)}")


def _rank(link: str) -> int:
    """How good a file of a book is; the least is the best."""
    name = link.rpartition("/")[2]
    if not name:
        return 9
    return 0 if "-0." in name else 1 if "-8." in name else 2
