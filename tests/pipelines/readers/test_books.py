"""Gutenberg books: what is stripped, what is kept, and that no encoding loses a book."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.ingest.reader import Record, Skipped, Unreadable
from pipelines.formats.encoding import decode
from pipelines.readers.books import BooksReader, header_fields, strip_gutenberg
from tests.pipelines.readers.reading import items_of, reasons_of, records_of

HEADER = """The Project Gutenberg EBook of A Book, by A. Writer

This eBook is for the use of anyone anywhere at no cost

Title: A Book
       of Two Lines

Author: A. Writer

Release Date: May 1, 2009 [EBook #4711]

Language: German

Character set encoding: {encoding}

"""
BODY = "CHAPTER I\n\nIt was a dark night; the rain\nfell in torrents.\n\nTHE END"


def book(
    start: str, end: str, encoding: str = "UTF-8", credit: str = "Produced by Somebody and\nthe Team\n\n\n"
) -> str:
    return f"{HEADER.format(encoding=encoding)}{start}\n\n\n{credit}{BODY}\n\n\n{end}\n\nUpdated editions\nlicence\n"


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("*** START OF THIS PROJECT GUTENBERG EBOOK A BOOK ***", "*** END OF THIS PROJECT GUTENBERG EBOOK A BOOK ***"),
        ("***START OF THE PROJECT GUTENBERG EBOOK A BOOK***", "***END OF THE PROJECT GUTENBERG EBOOK A BOOK***"),
        (
            "*** START OF THE PROJECT GUTENBERG EBOOK A\nBOOK WITH A LONG NAME ***",
            "End of the Project Gutenberg EBook of A Book, by A.\nWriter\n\n*** END OF THE PROJECT GUTENBERG EBOOK A ***",
        ),
        ("*** START OF THE PROJECT GUTENBERG ETEXT A ***", "   *** END OF THE PROJECT GUTENBERG ETEXT A ***"),
        ("*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*", "End of The Project Gutenberg Etext of A"),
        ("*** START OF THIS PROJECT GUTENBERG EBOOK A ***", "End of Project Gutenberg’s A Book, by A. Writer"),
        ("*** START OF THIS PROJECT GUTENBERG EBOOK A ***", "*** START: FULL LICENSE ***"),
    ],
)
def test_header_licence_and_credits_go(start: str, end: str) -> None:
    header, text = strip_gutenberg(book(start, end))
    assert text == BODY
    fields = header_fields(header)
    assert fields == {"title": "A Book of Two Lines", "author": "A. Writer", "language": "German", "id": "4711"}


def test_credits_can_be_kept() -> None:
    text = book("*** START OF THIS PROJECT GUTENBERG EBOOK A ***", "*** END OF THIS PROJECT GUTENBERG EBOOK A ***")
    assert strip_gutenberg(text, keep_credits=True)[1] == "Produced by Somebody and\nthe Team\n\n\n" + BODY


def test_text_that_looks_like_a_credit_stays() -> None:
    own = "Produced by the sun, the wind\n" + "and the rain, it grew\n" * 20
    text = book(
        "*** START OF THIS PROJECT GUTENBERG EBOOK A ***",
        "*** END OF THIS PROJECT GUTENBERG EBOOK A ***",
        credit=own + "\n",
    )
    assert strip_gutenberg(text)[1].startswith(own)


def test_plain_text_is_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"End of Project\r\nProduced by a press.\r\n\r\n  indented\r\n")
    (record,) = records_of(items_of(BooksReader(), path))
    assert record.text == "End of Project\nProduced by a press.\n\n  indented"
    assert record.url is None and record.language is None


@pytest.mark.parametrize(
    ("declared", "codec", "sample"),
    [
        ("UTF-8", "utf-8", "Größe “quoted” 日本"),
        ("ISO-8859-1", "latin-1", "Größe"),
        ("ISO-8859-1", "cp1252", "Größe “quoted”"),
        ("ASCII", "cp1252", "a – b"),
        ("UTF-8", "cp1252", "wrongly declared “ü”"),
        ("ISO-8859-2", "iso8859-2", "Zażółć gęślą jaźń"),
        ("KOI8-R", "koi8-r", "Евгений Онегин"),
        ("Windows-1251", "cp1251", "Евгений"),
        ("Big5", "big5", "紅樓夢"),
        ("Unicode UTF-16", "utf-16", "Größe"),
        ("nonsense-42", "cp1252", "Größe"),
    ],
)
def test_no_encoding_loses_a_book(tmp_path: Path, declared: str, codec: str, sample: str) -> None:
    start, end = "*** START OF THIS PROJECT GUTENBERG EBOOK A ***", "*** END OF THIS PROJECT GUTENBERG EBOOK A ***"
    path = tmp_path / "4711-0.txt"
    path.write_bytes(book(start, end, declared).replace("dark", sample).encode(codec))
    (record,) = records_of(items_of(BooksReader(), path))
    assert record.text == BODY.replace("dark", sample)
    assert record.language == "de" and record.url == "https://www.gutenberg.org/ebooks/4711"


def test_one_stray_byte_does_not_turn_utf8_into_another_encoding() -> None:
    data = "“é” ".encode() * 20 + b"\x93" + " “ü”".encode()
    assert decode(data) == ("“é” " * 20 + "“ “ü”", "utf-8")


def test_windows_1252_once_taken_for_iso_8859_1_is_mended() -> None:
    data = "He said \x93no\x94\x97it\x92s late\x85 é".encode()
    assert decode(data) == ("He said “no”—it’s late… é", "utf-8")


def test_line_ends_of_a_file_converted_twice(tmp_path: Path) -> None:
    path = tmp_path / "1.txt"
    path.write_bytes(b"one line\r\r\nand the next\r\r\n\r\r\nnew paragraph\rold Mac\r\nend")
    (record,) = records_of(items_of(BooksReader(), path))
    assert record.text == "one line\nand the next\n\nnew paragraph\nold Mac\nend"


@pytest.mark.parametrize(
    "note",
    [
        "Transcriber’s Note\n\nThis e-text has many\nunusual characters.\n\n  _italic_\n\n\n\n\n",
        "[Transcriber's Notes:\n\nSpelling was kept.\n\nItalics are _so_.]\n\n\n",
        "[Transcriber's Note: Spelling was kept.]\n\n",
    ],
)
def test_the_whole_note_of_a_transcriber_goes(note: str) -> None:
    start, end = "*** START OF THIS PROJECT GUTENBERG EBOOK A ***", "*** END OF THIS PROJECT GUTENBERG EBOOK A ***"
    assert strip_gutenberg(book(start, end, credit="Produced by X\n\n" + note))[1] == BODY


@pytest.mark.parametrize("note", ["Transcriber's Note\n\n", "[Transcriber's Note: x\n\n"])
def test_a_note_without_an_end_takes_no_book(note: str) -> None:
    start, end = "*** START OF THIS PROJECT GUTENBERG EBOOK A ***", "*** END OF THIS PROJECT GUTENBERG EBOOK A ***"
    own = "Chapter\n\n" + "A line.\n\n" * 60 + "\n\nTHE END\n[x]\n"
    assert strip_gutenberg(f"{start}\n\n{note}{own}\n{end}\n")[1] == own.strip()


@pytest.mark.parametrize(
    ("line", "title", "author"),
    [
        ("The Project Gutenberg Etext of The Devil's Dictionary by Bierce", "The Devil's Dictionary", "Bierce"),
        ("**The Project Gutenberg Etext of A House by the Sea, by X. Y.**", "A House by the Sea", "X. Y."),
        ("*****The Project Gutenberg Etext of Othello*****", "Othello", None),
    ],
)
def test_title_of_an_old_header(line: str, title: str, author: str | None) -> None:
    fields = header_fields(f"{line}\n#3 in our series\n\nJuly, 1997  [Etext #972]\n")
    assert (fields["title"], fields.get("author"), fields["id"]) == (title, author, "972")


@given(st.binary(max_size=200))
def test_any_bytes_decode_to_valid_text(data: bytes) -> None:
    decode(data)[0].encode("utf-8")


def test_bytes_that_are_no_book(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for data, item in [
        (b"", Unreadable(0, 0, 0, "empty file", b"")),
        (b"\x00\x01" * 50, Unreadable(0, 0, 100, "not text", b"\x00\x01" * 50)),
        (b" \n\n ", Skipped(0, "empty text")),
    ]:
        path.write_bytes(data)
        assert items_of(BooksReader(), path) == [item]


def test_zip(tmp_path: Path) -> None:
    path = tmp_path / "books.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1/1.txt", "one " * 500)
        archive.writestr("1/cover.png", b"\x89PNG")
        archive.writestr("2/2.txt", "two " * 500)
    items = items_of(BooksReader(), path)
    assert [type(item) for item in items] == [Record, Skipped, Record]
    stored = bytearray(path.read_bytes())
    stored[45] ^= 0xFF
    path.write_bytes(stored)
    assert [type(item) for item in items_of(BooksReader(), path)] == [Unreadable, Skipped, Record]
    path.write_bytes(stored[: len(stored) // 2])
    assert reasons_of(items_of(BooksReader(), path)) == ["damaged zip"]


def test_real_books(samples: Path) -> None:
    for path in sorted((samples / "books").glob("*.txt")):
        (record,) = records_of(items_of(BooksReader(), path))
        assert len(record.text.encode()) > 0.6 * path.stat().st_size
        assert "PROJECT GUTENBERG EBOOK" not in record.text and "\r" not in record.text
        if not path.name.startswith("haiku"):
            assert record.metadata["id"], path.name


def test_real_books_equal_the_reference_stripping(samples: Path) -> None:
    references = sorted((samples / "books_clean_ref").glob("*.clean.txt"))
    assert len(references) == 9
    for path in references:
        expected = path.read_bytes().decode("utf-8").replace("\r\n", "\n").replace("\ufeff", "").strip()
        source = samples / "books" / path.name.replace(".clean", "")
        (record,) = records_of(items_of(BooksReader(), source))
        assert record.text.strip() == expected, path.name
