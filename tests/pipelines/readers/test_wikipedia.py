"""MediaWiki dumps: which pages become documents, and damage that must not lose a readable page."""

from __future__ import annotations

import bz2
import random
import re
from pathlib import Path

import pytest

from corpus.ingest.reader import Record, Skipped, Unreadable
from pipelines.readers.wikipedia import WikipediaReader, read_site
from tests.pipelines.readers.reading import items_of, reasons_of, records_of

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.{version}/" version="0.{version}" xml:lang="sv">
  <siteinfo><sitename>Wikipedia</sitename><dbname>svwiki</dbname><base>https://sv.wikipedia.org/wiki/Huvudsida</base>
    <namespaces><namespace key="0" /><namespace key="1">Diskussion</namespace><namespace key="6">Fil</namespace>
    <namespace key="14">Kategori</namespace></namespaces></siteinfo>
"""
TAIL = "</mediawiki>\n"


def page(title: str, text: str, ns: str = "<ns>0</ns>", more: str = "", revision: str = "") -> str:
    return (
        f"  <page><title>{title}</title>{ns}<id>7</id>{more}<revision><id>9</id><timestamp>2020-01-01T00:00:00Z</timestamp>"
        f'{revision}<text xml:space="preserve">{text}</text></revision></page>\n'
    )


def dump(path: Path, *pages: str, version: int = 10, tail: str = TAIL) -> Path:
    path.write_bytes((HEAD.format(version=version) + "".join(pages) + tail).encode())
    return path


@pytest.mark.parametrize("version", [3, 5, 8, 10, 11])
def test_articles(tmp_path: Path, version: int) -> None:
    path = dump(
        tmp_path / "a.xml", page("Å och Ö", "'''Å''' är en [[å|liten]] &amp;amp; [[Fil:x.jpg|y]]"), version=version
    )
    (record,) = records_of(items_of(WikipediaReader(), path))
    assert record.text == "Å och Ö\n\nÅ är en liten &"
    assert record.url == "https://sv.wikipedia.org/wiki/%C3%85_och_%C3%96"
    assert record.language == "sv"
    assert record.metadata == {
        "id": "7", "title": "Å och Ö", "revision": "9", "date": "2020-01-01T00:00:00Z", "wiki": "svwiki",
    }  # fmt: skip
    (record,) = records_of(items_of(WikipediaReader(titles=False), path))
    assert record.text == "Å är en liten &"


def test_what_is_no_article(tmp_path: Path) -> None:
    pages = [
        page("A", "#REDIRECT [[B]]", more='<redirect title="B" />'),
        page("B", "#OMDIRIGERING [[B]]"),
        page("Diskussion:C", "talk", ns="<ns>1</ns>"),
        page("Diskussion:D", "talk of an old export", ns=""),
        page("E", "{{stub}}"),
        page("F", "{}", revision="<model>json</model>"),
        "  <page><title>G</title><ns>0</ns><id>1</id></page>\n",
        page("2001: H", "kept", ns=""),
    ]
    items = items_of(WikipediaReader(), dump(tmp_path / "a.xml", *pages))
    assert reasons_of(items) == [
        "redirect", "redirect", "namespace 1", "namespace 1", "empty text", "content model json", "no revision",
    ]  # fmt: skip
    assert [record.text for record in records_of(items)] == ["2001: H\n\nkept"]


def test_a_list_that_begins_with_a_number_sign_is_no_redirect(tmp_path: Path) -> None:
    pages = [
        page("A", "#Planet [[Mercury]]"),
        page("B", "#ΑΝΑΚΑΤΕΥΘΥΝΣΗ [[B]]"),
        page("C", " \n#redirect: [[B]]" + " " * 2000),
        page("D", "＃転送 [[B]]"),
    ]
    items = items_of(WikipediaReader(titles=False), dump(tmp_path / "a.xml", *pages))
    assert [record.text for record in records_of(items)] == ["- Planet Mercury"]
    assert reasons_of(items) == ["redirect"] * 3


def test_the_newest_revision_that_is_not_deleted(tmp_path: Path) -> None:
    def revision(number: int, year: int, text: str) -> str:
        return f"<revision><id>{number}</id><timestamp>{year}-01-01T00:00:00Z</timestamp>{text}</revision>"

    deleted = '<text deleted="deleted" />'
    several = [revision(3, 2022, "<text>new</text>"), revision(2, 2021, "<text>old</text>"), revision(4, 2023, deleted)]
    pages = [
        f"<page><title>A</title><ns>0</ns>{''.join(several)}</page>",
        f"<page><title>B</title><ns>0</ns>{several[2]}</page>",
    ]
    items = items_of(WikipediaReader(titles=False), dump(tmp_path / "a.xml", *pages))
    (record,) = records_of(items)
    assert (record.text, record.metadata["revision"]) == ("new", "3")
    assert reasons_of(items) == ["text deleted"]


def test_a_fragment_without_a_root_ends_where_its_last_page_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    whole = page("A", "a [[Kategorie:X]]") + page("B", "b")
    path.write_text(whole)
    assert [record.text for record in records_of(items_of(WikipediaReader(), path))] == ["A\n\na", "B\n\nb"]
    assert reasons_of(items_of(WikipediaReader(), path)) == []
    path.write_text(whole[:-20])
    assert reasons_of(items_of(WikipediaReader(), path)) == ["truncated XML"]


def test_a_broken_page_costs_itself_alone(tmp_path: Path) -> None:
    pages = [page("A", "a"), page("B", "<broken"), page("C", "c"), page("D", "bad \x01 byte"), page("E", "e")]
    items = items_of(WikipediaReader(), dump(tmp_path / "a.xml", *pages))
    assert [type(item) for item in items] == [Record, Unreadable, Record, Unreadable, Record]
    bad = items[1]
    whole = (tmp_path / "a.xml").read_bytes()
    assert isinstance(bad, Unreadable) and whole[bad.offset : bad.offset + bad.length] == bad.data.rstrip()
    assert bad.data.startswith(b"<page><title>B")


def test_truncation_anywhere_keeps_every_whole_page(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.xml", *(page(f"T{number}", f"text {number}") for number in range(6)))
    whole = path.read_bytes()
    for cut in range(1, len(whole) - len(TAIL), 11):
        path.write_bytes(whole[:cut])
        items = items_of(WikipediaReader(), path)
        assert len(records_of(items)) == whole[:cut].count(b"</page>")
        assert isinstance(items[-1], Unreadable) or (len(items) == 1 and isinstance(items[0], Skipped))
        assert len(items) == len(records_of(items)) + 1, "the rest is one item"


def test_a_flipped_bit_costs_two_pages_at_most(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.xml", *(page(f"T{number}", f"text {number}") for number in range(6)))
    whole = path.read_bytes()
    source = random.Random(3)
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[source.randrange(len(HEAD), len(whole))] ^= 1 << source.randrange(8)
        path.write_bytes(damaged)
        assert len(records_of(items_of(WikipediaReader(), path))) >= 4


def test_truncated_bzip2_keeps_whole_blocks(tmp_path: Path) -> None:
    text = dump(tmp_path / "a.xml", *(page(f"T{number}", f"text {number} " * 20) for number in range(500))).read_bytes()
    cut = text.index(b"<page>", len(text) // 2)
    path = tmp_path / "a.xml.bz2"
    path.write_bytes(bz2.compress(text[:cut]) + bz2.compress(text[cut:])[:-30])  # multistream, the last one cut short
    items = items_of(WikipediaReader(), path)
    assert len(records_of(items)) == text[:cut].count(b"</page>")
    assert "bz" in reasons_of(items)[-1]


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        (b"", Unreadable, "empty file"),
        (b"<posts><row/></posts>", Skipped, "not a MediaWiki export"),
        (HEAD.encode(), Unreadable, "truncated XML"),
    ],
)
def test_files_without_pages(tmp_path: Path, content: bytes, kind: type, reason: str) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(content)
    (item,) = items_of(WikipediaReader(), path)
    assert isinstance(item, kind) and reasons_of([item]) == [reason]


def test_a_dump_without_pages_is_no_fault(tmp_path: Path) -> None:
    assert items_of(WikipediaReader(), dump(tmp_path / "a.xml")) == []


def test_a_page_across_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dump(tmp_path / "a.xml", *(page(f"T{number}", "words " * number) for number in range(1, 60)))
    expected = items_of(WikipediaReader(), path)
    for size in (1, 7, 64, 1000):
        monkeypatch.setattr("pipelines.formats.xml.CHUNK_BYTES", size)
        assert items_of(WikipediaReader(), path) == expected


@pytest.mark.parametrize("size", [1, 3, 4096])
def test_utf16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("pipelines.formats.xml.CHUNK_BYTES", size)
    path = dump(tmp_path / "a.xml", page("Å", "Ö 😀"), page("B", "b"))
    expected = items_of(WikipediaReader(), path)
    path.write_bytes(path.read_bytes().decode().encode("utf-16"))
    assert items_of(WikipediaReader(), path) == expected and len(records_of(expected)) == 2
    path.write_bytes(path.read_bytes()[:-301])
    assert [type(item) for item in items_of(WikipediaReader(), path)] == [Record, Unreadable]


def test_a_page_without_end_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.readers.wikipedia.PAGE_BYTES", 2000)
    monkeypatch.setattr("pipelines.formats.xml.CHUNK_BYTES", 512)
    path = dump(tmp_path / "a.xml", page("A", "a"), page("B", "x" * 9000), page("C", "c"))
    items = items_of(WikipediaReader(), path)
    assert [type(item) for item in items] == [Record, Unreadable, Record]
    bad = items[1]
    assert isinstance(bad, Unreadable) and bad.reason.startswith("page over") and bad.length > 9000
    assert path.read_bytes()[bad.offset :].startswith(b"<page><title>B") and len(bad.data) == 2000


def test_a_damaged_head_gives_no_language() -> None:
    assert read_site(b"<mediawiki><siteinfo><base>x").language is None
    assert read_site(b"<mediawiki xml:lang='de'><siteinfo>&</siteinfo>").language == "de"


def test_real_dumps(samples: Path) -> None:
    pages = 0
    for path in sorted((samples / "wikipedia").glob("*.xml*")):
        if "wiktionary" in path.name:
            continue
        items = items_of(WikipediaReader(), path)
        assert not any(isinstance(item, Unreadable) for item in items), path.name
        for record in records_of(items):
            pages += 1
            assert record.language
            assert record.url or "wiki" not in record.metadata
            text = re.sub(r"\$[^$\n]+\$", "", record.text)  # formulas have braces of their own
            for mark in ("[[", "]]", "{{", "}}", "<ref", "{|", "'''"):
                assert mark not in text, (path.name, record.metadata["title"], mark)
    assert pages > 200
