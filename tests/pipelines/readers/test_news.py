"""News: articles as JSON, archives, single pages."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from corpus.ingest.reader import Item, Unreadable
from pipelines.readers.news import NewsReader
from tests.pipelines.readers.reading import items_of, reasons_of, records_of
from tests.pipelines.readers.test_web_archives import arc, expected, html, http, warc

ROW = {
    "url": "https://news.example/a", "title": "T", "authors": ["Ada", "Bob"], "date_publish": "2024-05-03 15:47:42+00:00",
    "date_download": "2024-05-04", "language": "de", "source_domain": "news.example", "maintext": "One.\nTwo.",
}  # fmt: skip


def read(tmp_path: Path, name: str, data: bytes, **options: Any) -> list[Item]:
    path = tmp_path / name
    path.write_bytes(data)
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return items_of(NewsReader(**options), path, scratch)


def test_articles(tmp_path: Path) -> None:
    (record,) = records_of(read(tmp_path, "a.jsonl", json.dumps(ROW).encode()))
    assert (record.text, record.url, record.language) == ("One.\nTwo.", "https://news.example/a", "de")
    assert record.metadata == {
        "title": "T", "author": "Ada, Bob", "date": "2024-05-03 15:47:42+00:00", "date_download": "2024-05-04",
        "source_domain": "news.example",
    }  # fmt: skip
    (record,) = records_of(read(tmp_path, "a.jsonl", json.dumps(ROW).encode(), with_title=True))
    assert record.text == "T\n\nOne.\nTwo."


@pytest.mark.parametrize("name", ["article", "text", "content", "articleBody"])
def test_other_names(tmp_path: Path, name: str) -> None:
    rows = [{name: "Text", "headline": "H", "byline": "B", "published": "2020", "link": "http://x", "domain": "d"}]
    (record,) = records_of(read(tmp_path, "a.json", json.dumps(rows).encode()))
    assert (record.text, record.url) == ("Text", "http://x")
    assert record.metadata == {"title": "H", "author": "B", "date": "2020", "source_domain": "d"}


def test_what_is_no_article(tmp_path: Path) -> None:
    rows = [{"title": "x"}, {"maintext": None, "title": "x"}, {"maintext": "", "text": "y"}, {"text": "long enough"}]
    items = read(
        tmp_path, "a.jsonl", b"\n".join(json.dumps(row).encode() for row in rows) + b"\nbroken", min_characters=5
    )
    assert reasons_of(items) == [
        "no field 'maintext'",
        "field 'text' is not a string",
        "too short",
        "not JSON",
    ]
    assert [record.text for record in records_of(items)] == ["long enough"]


def test_pages_and_archives(tmp_path: Path) -> None:
    page = html(1).replace(b"<title>", b'<link rel="canonical" href="https://n.example/x?a&amp;b"><title>')
    for data in (page, gzip.compress(page), b"\xef\xbb\xbf \n" + page):
        (record,) = records_of(read(tmp_path, "a.html", data))
        assert (record.text, record.url, record.language) == (expected(1), "https://n.example/x?a&b", "en")
        assert record.metadata["source_domain"] == "n.example"
    (cut,) = read(tmp_path, "a.html.gz", gzip.compress(page)[:-20])
    assert isinstance(cut, Unreadable) and cut.reason == "truncated gzip"
    assert reasons_of(read(tmp_path, "a.html", page, max_page_bytes=50)) == ["page too large"]
    for data in (gzip.compress(warc(http(html(1)))), warc(http(html(1)))):
        assert [record.text for record in records_of(read(tmp_path, "a.warc.gz", data))] == [expected(1)]
    filedesc = b"filedesc://x 0.0.0.0 20080430204825 text/plain 5\n1 0 x\n\n"
    assert [record.text for record in records_of(read(tmp_path, "a.arc", filedesc + arc(1)))] == [expected(1)]
    assert reasons_of(read(tmp_path, "a.html", b"")) == ["empty file"]


def test_samples(samples: Path, tmp_path: Path) -> None:
    articles = items_of(NewsReader(), samples / "news/articles.jsonl")
    assert (len(articles), len(records_of(articles))) == (52, 52)
    assert all(record.url and record.metadata["title"] and record.metadata["date"] for record in records_of(articles))
    pages = [items_of(NewsReader(), path, tmp_path)[0] for path in sorted((samples / "news/html").iterdir())]
    records = records_of(pages)
    assert len(records) == 44
    assert sum(record.url is not None for record in records) >= 43
    assert min(len(record.text) for record in records) > 300


def mutate(samples: Path, tmp_path: Path, seed: int) -> None:
    """Nothing raises, and every article of an undamaged line is there."""
    generator = random.Random(seed)
    lines = (samples / "news/articles.jsonl").read_bytes().splitlines()[:6]
    data = bytearray(b"\n".join(lines))
    at = generator.randrange(len(data))
    data[at : at + generator.randrange(1, 40)] = generator.randbytes(generator.randrange(40))
    whole = len(set(lines) & set(bytes(data).split(b"\n")))
    assert len(records_of(read(tmp_path, "m.jsonl", bytes(data)))) >= whole
    if seed % 4:
        return
    path = generator.choice(sorted((samples / "news/html").iterdir()))
    stored = bytearray(path.read_bytes())
    for _ in range(4):
        stored[generator.randrange(len(stored))] = generator.randrange(256)
    read(tmp_path, "m.html.gz", bytes(stored))
    page = bytearray(gzip.decompress(path.read_bytes()))
    for _ in range(40):
        page[generator.randrange(len(page))] = generator.randrange(256)
    read(tmp_path, "m.html", bytes(page))


def test_mutated_copies(samples: Path, tmp_path: Path) -> None:
    for seed in range(10):
        mutate(samples, tmp_path, seed)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_mutated_copies(samples: Path, tmp_path: Path) -> None:
    for seed in range(2_000):
        mutate(samples, tmp_path, seed)
