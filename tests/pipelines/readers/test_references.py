"""The links that articles of a dump cite."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpus.cli import cli
from corpus.data.verify import verify_dataset
from corpus.errors import DataError
from pipelines.readers.references import links_of, references
from tests.pipelines.readers.test_enterprise import article, packed


@pytest.mark.parametrize(
    ("wikitext", "links"),
    [
        ("a<ref>[http://a.test/x Title]</ref> b <ref>http://b.test.</ref>", ["http://a.test/x", "http://b.test"]),
        ('<ref name="n">{{cite web|url=https://c.test/p?q=1|title=T}}</ref><ref name="n" />', ["https://c.test/p?q=1"]),
        ('<ref name="n" />text http://outside.test <ref group=g>HTTP://D.test</ref>', ["HTTP://D.test"]),
        ("{{reflist|refs=<ref name=a>http://e.test</ref>\n<ref name=b>http://f.test</ref>}}", ["http://e.test", "http://f.test"]),
        ("<!-- <ref>http://gone.test</ref> --><ref>(see http://g.test/(a))</ref>", ["http://g.test/(a)"]),
        ("<ref>http://h.test</ref><ref>http://h.test</ref>", ["http://h.test"]),
        ("<references /> http://i.test <ref>no link, https:// neither</ref> <ref>http://open.test", []),
    ],
)  # fmt: skip
def test_links_of_references(wikitext: str, links: list[str]) -> None:
    assert links_of(wikitext) == links


def page(title: str, text: str, ns: int = 0) -> str:
    return f"<page><title>{title}</title><ns>{ns}</ns><revision><text>{text}</text></revision></page>"


def test_the_command(tmp_path: Path) -> None:
    cited = "&lt;ref&gt;http://a.test/?x=1&amp;amp;y=2&lt;/ref&gt;"
    dump = "<mediawiki><siteinfo/>" + page("A", cited) + page("Talk:A", cited, 1) + page("B", "none") + "</mediawiki>"
    path = tmp_path / "dump.xml.bz2"
    path.write_bytes(bz2.compress(dump.encode()))
    done = CliRunner().invoke(cli, ["references", str(path), "-o", str(tmp_path / "cited")])
    assert done.exit_code == 0 and "1 links" in done.output
    assert (tmp_path / "cited/links.txt").read_text(encoding="utf-8").startswith("http://a.test/?x=1&")
    assert verify_dataset(tmp_path / "cited").problems == []
    path.write_bytes(path.read_bytes()[:-8])
    again = CliRunner().invoke(cli, ["references", str(path), "-o", str(tmp_path / "again")])
    assert again.exit_code == 0 and "1 files are no whole dumps" in again.output and "is damaged" in again.output
    strict = CliRunner().invoke(cli, ["references", str(path), "-o", str(tmp_path / "strict"), "--strict"])
    assert strict.exit_code == 1 and "is damaged" in strict.output
    with pytest.raises(DataError, match="is damaged after"):
        list(references(path))
    (tmp_path / "text").write_text("no dump", encoding="utf-8")
    with pytest.raises(DataError, match="has no pages"):
        list(references(tmp_path / "text"))


def test_rendered_references(tmp_path: Path) -> None:
    html = (
        '<p><a href="https://outside.test/">x</a></p><div typeof="mw:Extension/references"><ol class="mw-references '
        'references"><li id="cite_note-1"><a href="./Title">t</a> <a rel="mw:ExtLink" class="external" '
        'href="https://a.test/?x=1&amp;y=2">a</a></li><li><a href="https://a.test/?x=1&amp;y=2">again</a> '
        "<a href='http://b.test/c'>b</a></li></ol></div><ol><li><a href=\"https://list.test\">no reference</a></li></ol>"
    )
    first = article("A", html) + article("B", html, 1) + b"no json\n"
    second = article("C", "", article_body={"wikitext": "<ref>http://w.test</ref>"})
    path = packed(tmp_path / "dewiki-ENTERPRISE-HTML.json.tar.gz", first, second)
    assert list(references(path)) == ["https://a.test/?x=1&y=2", "http://b.test/c", "http://w.test"]
    (tmp_path / "torn.ndjson.gz").write_bytes(gzip.compress(first + second)[:-20])
    with pytest.raises(DataError, match="is damaged after"):
        list(references(tmp_path / "torn.ndjson.gz"))


def test_real_dumps_cite(samples: Path) -> None:
    found = list(references(next((samples / "wikipedia").glob("enwiki-latest*.bz2"))))
    assert len(found) > 100 and all(link.lower().startswith("http") for link in found)


def test_a_limit_is_of_pages(tmp_path: Path) -> None:
    cite = "&lt;ref&gt;http://{}.test&lt;/ref&gt;".format
    pages = page("A", cite("a")) + page("Talk:A", cite("b"), 1) + page("C", cite("c")) + page("D", cite("d"))
    path = tmp_path / "dump.xml"
    path.write_text(f"<mediawiki><siteinfo/>{pages}</mediawiki>", encoding="utf-8")
    assert list(references(path, 3)) == ["http://a.test", "http://c.test"]
    assert len(list(references(path, 9))) == 3
    rendered = '<ol class="references"><li><a href="https://{}.test">x</a></li></ol>'.format
    packed_pages = packed(tmp_path / "dewiki.json.tar.gz", *(article(n, rendered(n)) for n in "abc"))
    assert list(references(packed_pages, 2)) == ["https://a.test", "https://b.test"]
