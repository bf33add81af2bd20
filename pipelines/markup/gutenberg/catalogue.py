"""Project Gutenberg's catalogue in RDF: title, author, language, subjects, rights and date of a book by its number."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

_TERMS = "{http://purl.org/dc/terms/}"
_BOOKS = "{http://www.gutenberg.org/2009/pgterms/}"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_NUMBER = re.compile(r"(?:ebooks/|^)(\d+)$")
_UNSAFE = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.I)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the catalogue says of a book; what it does not say is empty."""

    number: str
    title: str
    author: str
    language: str  # a code; of several the first
    subjects: tuple[str, ...]
    rights: str
    date: str

    @property
    def copyrighted(self) -> bool:
        return self.rights.lower().startswith("copyrighted")


def read_entry(data: bytes) -> Entry | None:
    """The entry of one RDF file; None if it is damaged, has entities of its own, or is of no book."""
    if _UNSAFE.search(data):
        return None
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError):
        return None
    book = root.find(f"{_BOOKS}ebook")
    if book is None:
        return None
    number = _NUMBER.search(book.get(f"{_RDF}about", ""))
    if number is None:
        return None
    names = [_words(agent.findtext(f"{_BOOKS}name")) for agent in book.iterfind(f"{_TERMS}creator/{_BOOKS}agent")]
    return Entry(
        number[1],
        _words(book.findtext(f"{_TERMS}title")),
        "; ".join(name for name in names if name),
        next(iter(_values(book, "language")), ""),
        tuple(sorted(set(_values(book, "subject")))),
        _words(book.findtext(f"{_TERMS}rights")),
        _words(book.findtext(f"{_TERMS}issued")),
    )


def _values(book: ElementTree.Element, name: str) -> list[str]:
    found = book.iterfind(f"{_TERMS}{name}/{_RDF}Description/{_RDF}value")
    return [text for value in found if (text := _words(value.text))]


def _words(text: str | None) -> str:
    return " ".join((text or "").split())
