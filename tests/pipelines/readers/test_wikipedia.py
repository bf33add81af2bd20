"""MediaWiki dumps: which pages become documents, and damage that must not lose a readable page."""

from __future__ import annotations

import bz2
import html
import random
import re
from pathlib import Path

import pytest

from corpus.ingest.reader import RawFile, Reader, Record, Skipped, Unreadable
from pipelines.markup.wikitext.page import Wiki, wikitext_to_text
from pipelines.readers.wikipedia import WikipediaReader, read_site
from tests.pipelines.readers.mutating import mutated
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
        "markup": "wikitext",
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


def prepared(reader: WikipediaReader, folder: Path, *paths: Path) -> Reader:
    """The reader after it has surveyed the files."""
    surveys = []
    for number, path in enumerate(paths):
        surveys.append((path.name, folder / f"survey-{number}"))
        surveys[-1][1].mkdir(parents=True)
        reader.survey(RawFile(path, path.name), surveys[-1][1])
    gathered = folder / "gathered"
    gathered.mkdir()
    reader.gather(surveys, gathered)
    return reader.prepared(gathered)


def test_templates_of_the_dump_are_expanded_in_all_its_files(tmp_path: Path) -> None:
    template = page("Mall:Ort", "{{{1}}} (i {{{land|}}})&lt;noinclude>doc&lt;/noinclude>", ns="<ns>10</ns>")
    moved = page("Mall:Plats", "#OMDIRIGERING [[Mall:Ort]]", ns="<ns>10</ns>")
    program = page("Mall:Lua", "{{#invoke:x}}", ns="<ns>10</ns>")
    first = dump(tmp_path / "a.xml", template, page("A", "{{ort|B|land=C}}, {{plats|D|land=E}} {{lua|F}}, G."), moved)
    second = dump(tmp_path / "b.xml", page("B", "{{Ort|x|land=y}}"), program, tail="")
    other = dump(tmp_path / "c.xml", page("C", "a {{Ort|x}}"))
    other.write_bytes(other.read_bytes().replace(b"svwiki", b"dawiki"))
    reader = prepared(WikipediaReader(titles=False), tmp_path / "yes", first, second, other)
    texts = [record.text for path in (first, second, other) for record in records_of(items_of(reader, path))]
    assert texts == ["B (i C), D (i E), G.", "x (i y)", "a"]
    reader = prepared(WikipediaReader(titles=False, definitions=False), tmp_path / "no", first, second)
    assert [record.text for record in records_of(items_of(reader, first))] == ["G."]


def test_tables_as_text(tmp_path: Path) -> None:
    table = """before
{| class="wikitable"
|+ The [[town|towns]]
! Name !! style="x" | Year
|-
| [[A|B]] || 1990
|-
| C
| align="right" | 12 &lt;ref>x&lt;/ref>
{|
| in
|}
|}
&lt;table>&lt;tr>&lt;td>x&lt;/td>&lt;td width=3>y&lt;/td>&lt;/tr>&lt;/table>
after"""
    path = dump(tmp_path / "a.xml", page("T", table))
    (record,) = records_of(items_of(WikipediaReader(titles=False, tables="text"), path))
    assert record.text.split("\n") == [
        "before", "", "The towns", "Name | Year", "B | 1990", "C | 12", "in", "", "x | y", "", "after",
    ]  # fmt: skip
    (record,) = records_of(items_of(WikipediaReader(titles=False), path))
    assert record.text.split() == ["before", "after"]


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


PARTS = (
    "'''A''' ({{langx|de|B}}) is [[a|b]] {{circa|1900}}.&lt;ref>x&lt;/ref>\n",
    "== H ==\n{| class=x\n! a !! b\n|-\n| 1 || 2\n|}\n",
    "* {{flagicon|X}} – Y\n** z\n{{Infobox|a={{b|c}}|d=[[e]]}}\n",
    "x&lt;sup>n&lt;/sup> &lt;math>a&amp;lt;b&lt;/math> &lt;pre>\n  c\n&lt;/pre>\n[[File:a.jpg|thumb|b [[c]]]]\n",
    "-{zh-hans:A; zh-hant:B}- __NOTOC__ &amp;nbsp; [http://x y] &lt;!-- c -->\n",
)


def check_mutated(folder: Path, seeds: range) -> None:
    """A damaged page costs itself alone, and with it at most what stood between it and its neighbours."""
    pages = [page(f"T{number}", f"text {number}\n" + "".join(PARTS) * (1 + number % 3)) for number in range(8)]
    whole = dump(folder / "whole.xml", *pages).read_bytes()
    expected = {
        record.metadata["title"]: record.text
        for record in records_of(items_of(WikipediaReader(), folder / "whole.xml"))
    }
    path = folder / "mutated.xml"
    for seed in seeds:
        source = random.Random(seed)
        victim = source.randrange(8)
        begin = whole.index(pages[victim].strip().encode())
        path.write_bytes(mutated(whole, source, begin, begin + len(pages[victim].strip().encode())))
        found = {
            record.text for record in records_of(items_of(WikipediaReader(tables="text" if seed % 2 else "drop"), path))
        }
        if seed % 2 == 0:
            assert found >= {text for title, text in expected.items() if title != f"T{victim}"}, seed
        else:
            assert len(found) >= 7, seed


def test_mutated_dumps(tmp_path: Path) -> None:
    check_mutated(tmp_path, range(60))


@pytest.mark.slow
def test_many_mutated_dumps(tmp_path: Path) -> None:
    check_mutated(tmp_path, range(2000))


def test_mutated_real_pages_give_text(samples: Path) -> None:
    """What is damaged within the text of a page is no XML any more, or gives some text."""
    path = samples / "wikipedia" / "minidump_frwiki.xml.bz2"
    sources = re.findall(rb"<text[^>]*>(.*?)</text>", bz2.decompress(path.read_bytes()), re.S)
    for seed in range(12):
        source = random.Random(seed)
        data = sources[seed % len(sources)][:40_000]
        text = mutated(data, source, 0, len(data)).decode("utf-8", "replace")
        wikitext_to_text(html.unescape(text), Wiki(tables=seed % 2 == 0)).encode("utf-8")
