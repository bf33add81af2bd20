"""Gutenberg books: what is stripped, what is kept, and that no encoding loses a book."""

from __future__ import annotations

import gzip
import io
import random
import re
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.ingest.reader import RawFile, Reader, Record, Skipped, Unreadable
from pipelines.formats.encoding import decode
from pipelines.markup.gutenberg.boundaries import header_fields, strip_gutenberg
from pipelines.readers.books import BooksReader
from tests.pipelines.readers.mutating import mutated
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
    assert fields == {
        "title": "A Book of Two Lines", "author": "A. Writer", "language": "German", "date": "2009-05-01", "id": "4711",
    }  # fmt: skip


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


@pytest.mark.slow
def test_real_books(samples: Path) -> None:
    for path in sorted((samples / "books").glob("*.txt")):
        (record,) = records_of(items_of(BooksReader(copyrighted=True), path))
        assert len(record.text.encode()) > 0.6 * path.stat().st_size
        assert "PROJECT GUTENBERG EBOOK" not in record.text and "\r" not in record.text
        if not path.name.startswith("haiku"):
            assert record.metadata["id"], path.name


def test_real_books_equal_the_reference_stripping(samples: Path) -> None:
    """The reference keeps the notes of transcribers at the end of a book."""
    references = sorted((samples / "books_clean_ref").glob("*.clean.txt"))
    assert len(references) == 9
    for path in references:
        expected = path.read_bytes().decode("utf-8").replace("\r\n", "\n").replace("\ufeff", "").strip()
        source = samples / "books" / path.name.replace(".clean", "")
        (record,) = records_of(items_of(BooksReader(), source))
        text = record.text.strip()
        assert expected.startswith(text), path.name
        rest = expected[len(text) :].strip(" *\n")
        assert rest == "" or rest.startswith("Transcriber's Notes"), path.name


START, END = "*** START OF THIS PROJECT GUTENBERG EBOOK A ***", "*** END OF THIS PROJECT GUTENBERG EBOOK A ***"
PAGE = """<?xml version="1.0" encoding="{encoding}"?>
<!DOCTYPE html>
<html lang="de"><head><title>A Page</title><style>p {{x}}</style>
<meta name="dc.title" content="Ein Buch"><meta name="dc.creator" content="A. B."></head><body>
<pre>The Project Gutenberg EBook of Ein Buch

Title: Ein Buch
Release Date: July, 1997 [EBook #12]
Language: German
</pre>
<p>*** START OF THIS PROJECT GUTENBERG EBOOK EIN BUCH ***</p>
<p>Produced by A.<br>and B.</p>
<div class="tnote"><p>Anmerkungen zur Transkription</p><p>Die Schreibweise
   des Originals blieb.</p></div><h1>EIN BUCH</h1>
<p>Es <i>war</i>&nbsp;einmal <span class="pagenum">[S. 3]</span>ein
   M&uuml;ller &lt;x&gt;.</p>
<h2>I.</h2><div class="poem"><span class="i0">Ein Vers,<br></span><span class="i2">und noch einer.</span></div>
<table><tr><td>1</td><td><p>a</p></td></tr><tr><td>2</td><td>b</td></tr></table>
<img src="a.png" alt="bild"><p>ENDE</p>
<p>*** END OF THIS PROJECT GUTENBERG EBOOK EIN BUCH ***</p><p>licence</p></body></html>"""
PAGE_TEXT = "EIN BUCH\n\nEs war einmal ein Müller <x>.\n\n\n\nI.\n\nEin Vers,\nund noch einer.\n\n1 a\n2 b\n\nENDE"


@pytest.mark.parametrize("name", ["12-h.htm", "x.html", "x.html.gz", "x.txt", "x.zip"])
@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "iso-8859-2"])
def test_html_is_read_as_html(tmp_path: Path, name: str, encoding: str) -> None:
    path = tmp_path / name
    data = PAGE.format(encoding=encoding).replace("&uuml;", "ü").encode(encoding)
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("12-h/12-h.htm", data)
            archive.writestr("12-h/images/../../../etc/a.txt", b"one two")
    else:
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    record = records_of(items_of(BooksReader(), path))[0]
    assert re.sub(r" {2,}", " ", record.text) == PAGE_TEXT
    assert (record.language, record.url) == ("de", "https://www.gutenberg.org/ebooks/12")
    assert record.metadata["title"] == "Ein Buch" and record.metadata["date"] == "1997-07"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<html><body><p>a</p><p>b<br>c</p></body></html>", "a\n\nb\nc"),
        ("\ufeff<!doctype html><p>a <b>b</b>", "a b"),
        ("Title: T\n\n*** START OF THE EBOOK T ***\n<html><body><p>a</p></body></html>", "a"),
        ("A text about <html> and <p> stays.\n</p>", "A text about <html> and <p> stays.\n</p>"),
        ("<html><body><script>x()</script></body></html>", ""),
    ],
)
def test_what_is_html(tmp_path: Path, source: str, expected: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(source, encoding="utf-8")
    assert [record.text for record in records_of(items_of(BooksReader(), path))] == [expected][: bool(expected)]


def test_html_beside_the_text_of_a_book_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("12-0.txt", "one two")
        archive.writestr("12-h/12-h.htm", "<html><p>one two")
        archive.writestr("13-h/13-h.htm", "<html><p>three")
    items = items_of(BooksReader(), path)
    assert [record.text for record in records_of(items)] == ["one two", "three"]
    assert reasons_of(items) == ["HTML of a book whose text is here"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Title: T\n\n*** START OF THE EBOOK T ***\n\nbody\n", "body"),
        ("x\n\n*** START OF THIS E-TEXT ***\n\nbody\n\n*** END OF THIS E-TEXT ***\nlicence", "body"),
        ("x\n*** START OF THE EBOOK DEBATE ***\nbody", "x\n*** START OF THE EBOOK DEBATE ***\nbody"),
        ("a\n*** END OF THE EBOOK ***\nb", "a\n*** END OF THE EBOOK ***\nb"),
    ],
)
def test_marks_that_do_not_name_the_project(text: str, expected: str) -> None:
    assert strip_gutenberg(text)[1] == expected


LONG_NOTE = "".join(f"Page {number}, “teh” changed to “the” (in the passage)\n\n" for number in range(90))


@pytest.mark.parametrize(
    "note",
    [
        "  [Transcriber's Note: one\n\n  of two [sic]\n\n  paragraphs.]\n\n",
        "    Transcriber's Note: indented text\n    of the original.\n\n    The spelling was kept.\n\n",
        f"TRANSCRIBER’S NOTES:\n\n{LONG_NOTE}\n\n",
        "NOTA DE TRANSCRIPCIÓN\n\nSe ha respetado la ortografía original.\n\n\n\n",
        "Note du transcripteur : l'orthographe a été conservée.\n\n",
        "Anmerkungen zur Transkription:\n\nDer Text wurde korrigiert.\n\n       *       *       *       *       *\n\n",
        "Nota del Trascrittore\n\nCorretti gli errori.\n\n\n",
        "Opmerkingen van de bewerker\n\nSpelling behouden.\n\n\n",
        "+----------------------+\n| Transcriber's Note:  |\n|                      |\n| Kept as it was.      |\n+----------------------+\n\n",
        "bookcover.jpg (230K)\n\nFull Size\n\n\n\n",
    ],
)
def test_notes_of_transcribers(note: str) -> None:
    assert strip_gutenberg(book(START, END, credit="Produced by X\n\n\n" + note))[1] == BODY
    if "jpg" not in note:
        text = f"{START}\n\n{'A line of the book. ' * 999}\n\n{BODY}\n\n       *       *       *\n\n{note}\n{END}\n"
        assert strip_gutenberg(text)[1].endswith(BODY), "at the end"
    assert note.split()[0] in strip_gutenberg(book(START, END, credit=note), keep_credits=True)[1]


def test_a_chapter_that_is_called_so_stays() -> None:
    own = "Transcriber's Note\n\n" + "He wrote of the sea and the wind.\n\n" * 50
    text = strip_gutenberg(f"{START}\n\n{'Text of a book.  ' * 3000}\n\n{own}\n{END}\n")[1]
    assert text.endswith("the wind.") and "Transcriber's Note" in text


RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dcterms="http://purl.org/dc/terms/"
 xmlns:pgterms="http://www.gutenberg.org/2009/pgterms/"><pgterms:ebook rdf:about="ebooks/{number}">
 <dcterms:title>T {number}\nsecond</dcterms:title><dcterms:rights>{rights}</dcterms:rights>
 <dcterms:issued>1998-06-01</dcterms:issued>
 <dcterms:creator><pgterms:agent><pgterms:name>Author, A.</pgterms:name></pgterms:agent></dcterms:creator>
 <dcterms:language><rdf:Description><rdf:value>fr</rdf:value></rdf:Description></dcterms:language>
 <dcterms:subject><rdf:Description><rdf:value>Ships</rdf:value></rdf:Description></dcterms:subject>
 </pgterms:ebook></rdf:RDF>"""
FREE = "Public domain in the USA."


def prepared(reader: BooksReader, folder: Path, *paths: Path) -> Reader:
    surveys = []
    for path in paths:
        surveys.append((path.name, folder / f"survey-{path.name}"))
        surveys[-1][1].mkdir(parents=True)
        reader.survey(RawFile(path, path.name), surveys[-1][1])
    (folder / "gathered").mkdir()
    reader.gather(surveys, folder / "gathered")
    return reader.prepared(folder / "gathered")


def test_the_catalogue(tmp_path: Path) -> None:
    catalogue = tmp_path / "rdf-files.tar.bz2"
    with tarfile.open(catalogue, "w:bz2") as archive:
        entries = {
            11: RDF.format(number=11, rights=FREE),
            12: "<broken",
            13: RDF.format(number=13, rights="Copyrighted. Read it."),
        }
        for number, source in entries.items():
            member = tarfile.TarInfo(f"cache/epub/{number}/pg{number}.rdf")
            member.size = len(source)
            archive.addfile(member, io.BytesIO(source.encode()))
    bomb = tmp_path / "pg14.rdf"
    bomb.write_text('<!DOCTYPE x [<!ENTITY a "b">]>' + RDF.format(number=14, rights="&a;"))
    books = [tmp_path / name for name in ("pg11.txt", "12-0.txt", "13-8.txt", "pg14.txt")]
    for path in books:
        path.write_text("Text")
    reader = prepared(BooksReader(), tmp_path / "work", catalogue, bomb, *books)
    items = [item for path in (*books, catalogue, bomb) for item in items_of(reader, path)]
    first, *others = records_of(items)
    assert first == Record(
        0, "Text", "https://www.gutenberg.org/ebooks/11", "fr",
        {"title": "T 11 second", "author": "Author, A.", "date": "1998-06-01", "id": "11", "subjects": ["Ships"], "encoding": "utf-8", "licence": FREE},
    )  # fmt: skip
    assert [record.metadata for record in others] == [{"encoding": "utf-8"}] * 2
    assert reasons_of(items) == ["copyrighted", "catalogue", "catalogue"]
    (kept,) = records_of(items_of(prepared(BooksReader(copyrighted=True), tmp_path / "more", catalogue), books[2]))
    assert kept.metadata["licence"] == "copyrighted"


def test_a_header_that_calls_the_book_copyrighted(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"** This is a COPYRIGHTED Project Gutenberg Etext, Details Below **\n\n{book(START, END)}")
    assert reasons_of(items_of(BooksReader(), path)) == ["copyrighted"]
    assert len(records_of(items_of(BooksReader(copyrighted=True), path))) == 1


WRAPPED = (
    "It was a dark night and the rain fell in torrents, except at occasional\n"
    "intervals, when it was checked by a violent gust of wind which swept up\n"
    "the streets (for it is in London that our scene lies), and a well-\n"
    "known lamp.\n\n"
)


def test_wrapped_paragraphs_are_joined_and_others_keep_their_lines(tmp_path: Path) -> None:
    kept = (
        "  Tyger Tyger, burning bright,\n  In the forests of the night;\n\n"
        "Name            Born      Died  and a column that goes on to the margin\nJohn            1800      1850  and a column that goes on to the margin\n\n"
        "HAMLET. To be, or not to be, that is the question: whether 'tis nobler in\nOPHELIA. My lord, I have remembrances of yours that I have longed long to\n\n"
        "1. The first item is of a length that goes to the right margin of a page\n2. The second item is of a length that goes to the right margin of a page\n\n"
        "Dear Sir,\n\nCHAPTER I\nThe Beginning\n\n"
    )
    path = tmp_path / "a.txt"
    path.write_text(WRAPPED * 5 + kept + WRAPPED.replace("It was", "    It was"))
    (record,) = records_of(items_of(BooksReader(join=True), path))
    one = WRAPPED.strip().replace("well-\n", "well-").replace("\n", " ")
    assert record.text == f"{one}\n\n" * 5 + kept + f"    {one}"
    path.write_text(kept[:60] * 9)
    assert records_of(items_of(BooksReader(join=True), path)) == records_of(items_of(BooksReader(), path))


def check_mutated(folder: Path, seeds: range) -> None:
    """A damaged member of a zip costs itself alone; damaged books and pages give a text or a reason."""
    whole = book(START, END, credit="Transcriber's Note\n\nKept.\n\n\n").encode()
    page = PAGE.format(encoding="utf-8").encode()
    for seed in seeds:
        source = random.Random(seed)
        data = page if seed % 2 else whole
        path = folder / ("a.htm" if seed % 3 else "a.txt")
        path.write_bytes(mutated(data, source, 0, len(data)))
        assert len(items_of(BooksReader(join=seed % 5 == 0), path)) == 1
        path = folder / "a.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(3):
                archive.writestr(f"{number}.txt", f"book {number} " * 90)
        stored = path.read_bytes()
        second, third = stored.index(b"1.txt") - 30, stored.index(b"2.txt") - 30
        path.write_bytes(
            stored[: second + 35]
            + mutated(stored[second + 35 : third], source, 0, third - second - 35)[: third - second - 35].ljust(
                third - second - 35, b"x"
            )
            + stored[third:]
        )
        texts = {record.text.split()[1] for record in records_of(items_of(BooksReader(), path))}
        assert texts >= {"0", "2"}, seed


def test_mutated_books(tmp_path: Path) -> None:
    check_mutated(tmp_path, range(60))


@pytest.mark.slow
def test_many_mutated_books(tmp_path: Path) -> None:
    check_mutated(tmp_path, range(2000))


@pytest.mark.parametrize(
    "unit", ["[Transcriber's Note: x\n\n", "Transcriber's Note\n\n", "[", "* * *\n\n", " \n", "Produced by\n\n", "<p>", "<div>a", "a.jpg (1K)\n", "*** START OF THE EBOOK\n"]
)  # fmt: skip
def test_hostile_books_end(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "a.txt"
    for head in ("", START + "\n\n", "<html>"):
        path.write_text(head + unit * (200_000 // len(unit)))
        assert len(items_of(BooksReader(join=True), path)) == 1
