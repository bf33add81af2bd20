"""Wikitext cleaning: markup by markup, hostile pages, and the words that a general parser keeps."""

from __future__ import annotations

import bz2
import re
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import mwparserfromhell
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.markup.wikitext.names import Namespaces
from pipelines.markup.wikitext.page import Wiki, wikitext_to_text
from pipelines.readers.wikipedia import WikipediaReader
from tests.pipelines.readers.reading import items_of, records_of

WIKI = Wiki(Namespaces.of(["Fil", "Media", "Kategori"]))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a [[b]] [[c|d]] [[:Kategori:E|e]] f[[g]]s", "a b d e fgs"),
        ("[[Name (kind)|]] x", "Name x"),
        ("[[Fil:A.jpg|thumb|A [[b]]\nc]] d [[Image:x.png]] [[Bild:y.svg|20px]]", "d"),
        ("x\n[[Kategori:A]]\n[[Category:B|sort]]\n[[de:Seite]]\n[[zh-min-nan:X]]\ny", "x\ny"),
        ("x [[Categorie:A]][[Катэгорыя:B| ]][[分類:C]][[Lêer:d.jpg|thumb|e]]", "x"),
        ("[http://a.b c d] [http://a.b] http://e.f", "c d http://e.f"),
        ("a<!-- [[b]] -->c<!-- unclosed", "ac"),
        ("a<ref>b</ref>c<ref name=x/>d<ref name='y'>e {{f}}</ref>", "acd"),
        ("a {{b|{{c}}|{{{d|}}}}} e {{{f}}} g", "a e g"),
        ("{{Box\n| a = 1\n|}}\nText", "Text"),
        ("a\n{| class=x\n! b\n|-\n| {|\n|c\n|}\n|}\nd", "a\n\nd"),
        ("a\n{| class=x\n| b\nc", "a\nc"),
        ("a <math>x_{2}\n&lt; 3</math> b <gallery>\nFile:x.jpg|y\n</gallery>c", "a $x_{2} < 3$ b c"),
        ("m<sup>2</sup> H<sub>2</sub>O 1<sup>st</sup> <small>s</small><br />t", "m² H₂O 1st s\nt"),
        ("__TOC__ a __NOTOC__ __lower__ __БЕЗ_ОГЛ__", "a __lower__"),
        ("'''b''' ''i'' '''''bi''''' L'''Eau''' '''''x'' y'''", "b i bi LEau x y"),
        ("L''''Homme''' d''''A'', l''''eau", "L'Homme d'A, l'eau"),
        ("== A ==\ntext\n== B ==\n=== C ===\n== D ==\nmore\n== E ==", "A\n\ntext\n\nD\n\nmore"),
        ("* a\n** b\n# c\n: d\n;e", "- a\n  - b\n- c\nd\ne"),
        ("&amp;lt; &lt;b&gt; &nbsp;x &copy 2 &eacute;&#233;&#xe9;", "&lt; <b> x &copy 2 ééé"),
        ("<nowiki>[[a]] {{b}} ''c''</nowiki> d", "[[a]] {{b}} ''c'' d"),
        ("<nowiki>&lt;b> &amp;lt;</nowiki> <source>a&amp;b</source>", "<b> &lt;\na&amp;b"),
        ("<syntaxhighlight lang=c>\nint a[2];\n</syntaxhighlight>", "int a[2];"),
        ("Berlin ({{audio|x}}; ) is (, ) a city", "Berlin is (, ) a city"),
        ("A ({{x}}; {{y}}, born 1) b", "A (born 1) b"),
        ("a ]] b }} c [[ d {{ e", "a b c d e"),
        ("-{zh-hans:A; zh-hant:B}- -{H|zh:x}-c", "A c"),
        ("a\n\n\n\nb", "a\n\nb"),
        ("a , b", "a , b"),
        ("", ""),
    ],
)
def test_markup(source: str, expected: str) -> None:
    text = wikitext_to_text(source, WIKI)
    assert re.sub(r" +", " ", text) == re.sub(r" +", " ", expected)


@pytest.mark.parametrize(
    "unit",
    ["[[", "[[a|", "[http://a ", "<b>", "{{", "{{a|", "{|\n", "<ref>", "==a==\n", "'''a ''b ", "[[a|{{b|<ref>", "&", "(",
     "( ", "__a", "-{", "<ref name=x", "<nowiki>", "<!--", "[[a:b.", "]]", "}}", "* ", "<div>", "= "],
)  # fmt: skip
def test_hostile_pages_take_linear_time(unit: str) -> None:
    source = unit * (400_000 // len(unit))
    start = time.process_time()
    wikitext_to_text(source, WIKI)
    assert time.process_time() - start < 10


@given(
    st.lists(
        st.sampled_from(
            ["[[", "]]", "|", "{{", "}}", "{|", "|}", "\n", "a", "==", "''", "<ref>", "</ref>", "&lt;", ":"]
        )
    )
)
def test_any_mix_of_markup_gives_text(parts: list[str]) -> None:
    source = "".join(parts)
    text = wikitext_to_text(source, WIKI)
    assert "[[" not in text
    # of three braces in a row two may be text before the mark of a table or parameter
    assert "{{" not in text or "{{{" in source
    assert not re.search(r"\n\n\n|^\n|\n\Z", text)


def words(text: str) -> list[str]:
    return re.findall(r"\w{3,}", text)


def test_real_pages_keep_the_words_that_a_general_parser_keeps(samples: Path) -> None:
    """Of the words that mwparserfromhell shows without templates, notes, tables and pictures, 99.5 of 100 are there."""
    path = next((samples / "wikipedia").glob("enwiki-latest-pages-articles1*shortened.xml.bz2"))
    records = records_of(items_of(WikipediaReader(), path))[:12]
    pages = re.findall(rb"<page>.*?</page>", bz2.decompress(path.read_bytes()), re.S)
    found = missing = 0
    for record in records:
        source = ElementTree.fromstring(pages[record.ordinal]).findtext("revision/text") or ""
        code = mwparserfromhell.parse(source)
        for node in [*code.filter_tags(matches=lambda tag: str(tag.tag) in ("ref", "table", "math", "gallery"))]:
            try:
                code.remove(node)
            except ValueError:
                continue
        for link in code.filter_wikilinks():
            if WIKI.namespaces.removes(str(link.title).strip()):
                try:
                    code.remove(link)
                except ValueError:
                    continue
        ours = set(words(record.text))
        theirs = words(code.strip_code())
        found += len(theirs)
        missing += sum(word not in ours for word in theirs)
    assert found > 20_000
    assert missing < 0.005 * found
