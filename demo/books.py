"""The books domain: long narratives in the dress of Project Gutenberg's plain text files."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from random import Random

from demo.archive import write
from demo.cast import cast
from demo.prose import TOPICS, Prose
from demo.web import english

BOOKS = 14
FIRST_ID = 90_001
LATIN = 4  # the book that is stored as ISO-8859-1, with accented names
CARRIAGE = 7  # the book with Windows line ends
REPRINTED = 2  # the book of which there is a second edition
_BRITISH = (
    ("colour", "color"),
    ("grey", "gray"),
    ("neighbour", "neighbor"),
    ("harbour", "harbor"),
    ("towards", "toward"),
)


@dataclass(frozen=True, slots=True)
class Book:
    """A book before it is dressed: `chapters` are (title, paragraphs)."""

    title: str
    author: str
    chapters: tuple[tuple[str, tuple[str, ...]], ...]


def scene(prose: Prose) -> list[str]:
    """A few paragraphs: narrative, with single lines of speech between."""
    rng = prose.rng
    paragraphs = []
    for _ in range(rng.randint(4, 7)):
        paragraphs.append(prose.paragraph("sentence", 2, 5))
    return paragraphs


def compose(number: int) -> Book:
    """Book `number`: two topics, one set of people and places, nine to fourteen chapters."""
    rng = Random(f"book {number}")
    who = cast(rng)
    topics = (TOPICS[number % len(TOPICS)], TOPICS[(number * 5 + 3) % len(TOPICS)])
    author = cast(rng).person.full
    title = f"The {rng.choice(('House', 'Road', 'Keeper', 'Secret', 'Winter', 'Daughter'))} of {who.town}"
    chapters = []
    for index in range(rng.randint(9, 14)):
        company = cast(rng, who.town)
        part = company if index % 3 == 2 else who
        prose = english(topics[index % 2], "story", rng, part, f"author {number}")
        paragraphs = [prose.sentence("opening")]
        for _ in range(rng.randint(5, 9)):
            paragraphs += scene(prose)
        chapters.append((prose.say("chapter"), tuple(paragraphs)))
    return Book(title, author, tuple(chapters))


def second_edition(book: Book) -> Book:
    """The same book with a preface, American spelling and a few paragraphs less."""
    preface = ("This second edition has been read through once more. A few errors of the printer have been put right.",)
    chapters: list[tuple[str, tuple[str, ...]]] = [("Preface to the Second Edition", preface)]
    for title, paragraphs in book.chapters:
        kept = []
        for index, paragraph in enumerate(paragraphs):
            for old, new in _BRITISH:
                paragraph = paragraph.replace(old, new)
            if index % 40 != 20:
                kept.append(paragraph)
        chapters.append((title, tuple(kept)))
    return Book(book.title, book.author, tuple(chapters))


def accented(book: Book) -> Book:
    """The book with French names, so that its bytes are not ASCII."""
    changes = (("Street", "Allée"), ("church", "église"), ("Lane", "Chaussée"), ("bread", "café au lait"))

    def change(text: str) -> str:
        for old, new in changes:
            text = text.replace(old, new)
        return text

    chapters = tuple((change(title), tuple(map(change, paragraphs))) for title, paragraphs in book.chapters)
    return Book(book.title, book.author.replace("e", "é", 1), chapters)


def dress(book: Book, number: int, encoding: str) -> str:
    """The file's text: header, START line, the book in lines of 72 characters, END line and footer."""
    upper = book.title.upper()
    head = (
        f"The Project Gutenberg eBook of {book.title}, by {book.author}\n\n"
        "This sample was written for a demonstration. It may be copied, given away and used again\nby anyone, anywhere, at no cost.\n\n"
        f"Title: {book.title}\n\nAuthor: {book.author}\n\nRelease Date: June 1, 2015 [EBook #{number}]\n\nLanguage: English\n\n"
        f"Character set encoding: {encoding}\n\n*** START OF THE PROJECT GUTENBERG EBOOK {upper} ***\n\n\n"
    )
    parts = [f"{upper}\n\nby {book.author}\n\n\nCONTENTS\n"]
    parts += [f"  Chapter {index}. {title}" for index, (title, _) in enumerate(book.chapters, start=1)]
    for index, (title, paragraphs) in enumerate(book.chapters, start=1):
        parts.append(f"\n\nCHAPTER {index}\n\n{title}\n")
        parts += [textwrap.fill(paragraph, 72, break_on_hyphens=False) + "\n" for paragraph in paragraphs]
    foot = (
        f"\n\n*** END OF THE PROJECT GUTENBERG EBOOK {upper} ***\n\n\n"
        "Terms of use of this sample\n\n"
        "1. You may do with this file whatever you like, and you need not ask anyone.\n"
        "2. Nobody promises that the story is true, that the towns exist or that the tides keep\n   the hours given here.\n"
        "3. A copy that carries these terms must not claim to be a real book.\n"
    )
    return head + "\n".join(parts) + foot


def build(directory: Path) -> dict[str, object]:
    """Writes the books; says what was planted."""
    sizes = 0
    for index in range(BOOKS):
        book = compose(index)
        number = FIRST_ID + index
        encoding = "ISO-8859-1" if index == LATIN else "UTF-8"
        text = dress(accented(book) if index == LATIN else book, number, encoding)
        if index == CARRIAGE:
            text = text.replace("\n", "\r\n")
        data = text.encode("latin-1" if index == LATIN else "utf-8")
        write(directory / f"pg{number}.txt", data)
        sizes += len(data)
        if index == REPRINTED:
            again = dress(second_edition(book), FIRST_ID + BOOKS, "UTF-8").encode()
            write(directory / f"pg{FIRST_ID + BOOKS}.txt", again)
            sizes += len(again)
    return {
        "files": BOOKS + 1,
        "second_editions": [[f"pg{FIRST_ID + REPRINTED}.txt", f"pg{FIRST_ID + BOOKS}.txt"]],
        "latin_1_files": [f"pg{FIRST_ID + LATIN}.txt"],
        "windows_line_end_files": [f"pg{FIRST_ID + CARRIAGE}.txt"],
        "bytes": sizes,
    }
