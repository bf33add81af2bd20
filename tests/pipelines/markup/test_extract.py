"""Pages to text: blocks against a slow twin, the choice of content, encodings, what heads state."""

from __future__ import annotations

import html as entities
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from pipelines.formats.warc import WarcRecord, read_records
from pipelines.markup.html.blocks import DROPPED, RAW, TAGS, blocks_of
from pipelines.markup.html.encoding import decode_page
from pipelines.markup.html.extract import EXTRACTORS, extract_page

_TOKEN = re.compile(r'<!--.*?-->|<(/?)([^\s/>]+)((?:[^">=]|=(?:"[^"]*")?|")*)>|([^<]+)', re.DOTALL)
_WIDE = re.compile("[\u0e00-\u0e7f\u3040-\u9fff\uac00-\ud7af]")


def twin(body: str) -> list[tuple[str, str, int, int]]:
    """The blocks of well-formed HTML: tag, text, words, words in links; by regular expressions and strings."""
    found: list[tuple[str, str, int, int]] = []
    stack = ["body"]
    pieces: list[tuple[str, bool]] = []
    skip, depth, link = "", 0, False

    def flush() -> None:
        text = "".join(piece for piece, _ in pieces)
        # a word belongs to where it begins
        words = linked = wide = wide_linked = 0
        at = 0
        marks = [in_link for piece, in_link in pieces for _ in piece]
        for match in re.finditer(r"[^ \t\n\r\f\xa0\x01]+", text):
            words += 1
            linked += marks[match.start()]
        for match in _WIDE.finditer(text):
            wide += 1
            wide_linked += marks[match.start()]
        pieces.clear()
        if "pre" in stack:
            clean = text.replace("\x01", "\n").replace("\xa0", " ").rstrip(" \n")
        else:
            lines = [re.sub(r"[ \t\n\r\f\xa0]+", " ", line).strip(" ") for line in text.split("\x01")]
            clean = "\n".join(lines).strip("\n ")
        if words and at == 0 and clean:
            found.append((stack[-1], clean, words + wide // 2, linked + wide_linked // 2))

    for match in _TOKEN.finditer(body):
        closing, tag, _, text = match.groups()
        if text is not None:
            if not skip:
                pieces.append((entities.unescape(text), link))
            continue
        if tag is None:
            continue
        if skip:
            if tag == skip:
                depth += -1 if closing else (tag not in RAW)
                skip = "" if depth == 0 else skip
        elif tag in (*RAW, *DROPPED):
            skip, depth = (tag, 1) if not closing else ("", 0)
        elif tag == "a":
            link = not closing
        elif tag == "br":
            pieces.append(("\x01", link))
        elif tag in TAGS:
            flush()
            if closing and stack[-1] == tag and len(stack) > 1:
                stack.pop()
            elif not closing and tag not in ("hr", "body"):
                stack.append(tag)
    flush()
    return found


def ours(body: str) -> list[tuple[str, str, int, int]]:
    blocks = blocks_of(body)
    return [
        (TAGS[blocks.tags[element]], _trimmed(blocks.block(number)), int(words), int(linked))
        for number, ((_, _, element), (words, linked)) in enumerate(
            zip(blocks.spans.tolist(), blocks.counts.tolist(), strict=True)
        )
    ]


def _trimmed(text: str) -> str:
    return re.sub(" *\n *", "\n", text).strip("\n ")


def _compared(body: str) -> None:
    expected = [(tag, _trimmed(text), words, linked) for tag, text, words, linked in twin(body)]
    assert ours(body) == expected


PIECES = st.sampled_from(
    (
        '<p> </p> <div class="a>b"> </div> <pre> </pre> <a href=x> </a> <br> <hr> <li> <td> <b> </b> <script>x<p>y</script>'
        " <svg><p> </svg> <ul> </ul> &amp; &lt;p&gt; &nbsp; &quot; &#x27; word 日本語 ไทย ä \U0001f600 a\xa0b <!--x--> <table>"
        " <tr> </table> \n \t  "
    ).split(" ")
)


@settings(deadline=None, max_examples=300)
@given(st.lists(PIECES, max_size=25))
def test_blocks_are_those_of_the_twin(pieces: list[str]) -> None:
    tree = HTMLTree.parse("<body>" + "".join(pieces))
    if "<pre>" not in pieces:  # the twin trims lines of code in its own way
        _compared(tree.body.html)


def pages(samples: Path) -> Iterator[str]:
    for record in read_records(samples / "commoncrawl/derived_pages.warc.gz"):
        if isinstance(record, WarcRecord) and record.headers["warc-type"] == "response":
            yield decode_page(record.body.partition(b"\r\n\r\n")[2])


def test_blocks_of_real_pages_are_those_of_the_twin(samples: Path) -> None:
    compared = 0
    for number, page in enumerate(pages(samples)):
        body = HTMLTree.parse(page).body.html
        if number % 8 == 0 and "<pre" not in body:
            _compared(body)
            compared += 1
    assert compared > 20


ARTICLE = """<html lang="de-AT"><head><title> A &amp; B </title><meta name="author" content="Ada Lovelace">
<meta property="article:published_time" content="2020-05-06T07:08:09Z"></head><body>
<header><ul><li><a href="/">Home</a></li><li><a href="/b">Blog</a></li></ul></header>
<div class="cookie-banner"><p>We use cookies on this page, and that is why you have to read such a long sentence here.</p></div>
<article><h1>Heading</h1><p>The first paragraph says quite a lot, so that everybody can see what it is about, &lt;really&gt;.</p>
<ul><li>One thing that has a few words</li><li>Another <b>thing</b> of them<br>on two lines</li></ul>
<pre>def f(x):
    return  x &lt; 1</pre>
<table><tr><td>Year of the count</td><td>1990</td></tr><tr><td>Number of them all</td><td>12</td></tr></table>
<div class="share-buttons"><a>Tweet</a> <a>Share this with all of your friends and everybody else today</a></div>
<p>The second paragraph is here to be long enough, since short ones are hardly ever what a reader came for.</p>
<h2>Comments</h2></article>
<div id="comments"><p>A reader says at great length that he liked it, and that he would like to read more of it soon, please.</p></div>
<footer><p>Copyright by the company that made this page, all rights reserved, and a long sentence besides it.</p>
<a rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/">CC</a></footer></body></html>"""


def test_the_content_of_a_page() -> None:
    page = extract_page(ARTICLE, "main")
    assert page.text.split("\n") == [
        "Heading",
        "The first paragraph says quite a lot, so that everybody can see what it is about, <really>.",
        "- One thing that has a few words",
        "- Another thing of them",
        "on two lines",
        "def f(x):",
        "    return  x < 1",
        "Year of the count | 1990",
        "Number of them all | 12",
        "The second paragraph is here to be long enough, since short ones are hardly ever what a reader came for.",
    ]
    assert page.language == "de"
    assert page.facts == {
        "title": "A & B", "author": "Ada Lovelace", "date": "2020-05-06T07:08:09Z", "licence": "CC-BY-SA-4.0",
    }  # fmt: skip


def test_class_names_lie() -> None:
    text = "This is a long paragraph of the only text that the page has, and it has more than one clause. " * 4
    assert extract_page(f'<body><div class="sidebar menu"><p>{text}</p></div></body>', "main").text == text.strip()
    assert extract_page("<body><p>Only a few words.</p></body>", "main").text == "Only a few words."


@pytest.mark.parametrize("extractor", EXTRACTORS)
@pytest.mark.parametrize(
    "page",
    [
        "", "<", "<html>", "<p", "\0", "<a" * 3000, "<div>" * 3000 + "x", "&" * 5000, "<script>" + "x" * 9999, "<!--",
        "<table><td>" * 500, '<p a="' + "b" * 9999, "<svg>" * 200, "</p>" * 3000, "\ufffd\U0010ffff",
        "<frameset><frame></frameset>",
    ],
)  # fmt: skip
def test_odd_pages_never_raise(page: str, extractor: str) -> None:
    extract_page(page, extractor).text.encode("utf-8")


def test_pages_that_are_too_deep_are_none() -> None:
    deep = "<div>" * 100_000 + "A text that is long enough to be one."
    assert [extract_page(deep, extractor).text for extractor in EXTRACTORS] == [""] * len(EXTRACTORS)
    flat = "<div>A text that is long enough to be one, and so is this one.</div>" * 10_000
    assert len(extract_page(flat, "main").text.split("\n")) == 10_000


def test_entities_are_not_expanded_and_nothing_is_fetched() -> None:
    page = (
        '<!DOCTYPE html [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><p>&b; &lt;b&gt; <img src="http://localhost:1/x"></p>'
    )
    assert "<b>" in extract_page(page, "plain").text


@pytest.mark.parametrize(
    ("data", "declared", "expected"),
    [
        ("naïve".encode(), "iso-8859-1", "naïve"),
        ("Die Häuser der Straße sind schön, und die Bäume grün. ".encode("cp1252") * 9, "", None),
        ("наука и жизнь".encode("cp1251"), "windows-1251", "наука и жизнь"),
        (b'<meta charset="koi8-r">' + "наука".encode("koi8-r"), "", '<meta charset="koi8-r">наука'),
        (b'<meta charset="utf-8">' + "наука и жизнь в большом городе".encode("cp1251") * 20, "utf-8", None),
        ("日本語のページ".encode("shift_jis"), "Shift_JIS", "日本語のページ"),
        ("日本語のページ".encode("iso2022_jp"), "iso-2022-jp", "日本語のページ"),
        ("\ufeffx".encode("utf-16-le"), "utf-8", "x"),
        ("\ufeffä".encode(), "iso-8859-1", "ä"),
        (b"abc", "no-such-charset", "abc"),
        (b"", "", ""),
    ],
)
def test_encodings(data: bytes, declared: str, expected: str | None) -> None:
    text = decode_page(data, declared)
    assert text == expected if expected is not None else "наука и жизнь" in text or "Häuser der Straße" in text
