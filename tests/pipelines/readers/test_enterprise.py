"""Wikimedia Enterprise dumps, made by their published schema: which lines become documents, and damage."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from pathlib import Path

import pytest

from corpus.ingest.reader import Unreadable
from pipelines.readers.wikipedia import WikipediaReader
from tests.pipelines.readers.mutating import mutated
from tests.pipelines.readers.reading import items_of, reasons_of, records_of


def article(name: str, html: str, namespace: int = 0, **more: object) -> bytes:
    page = {
        "name": name,
        "identifier": 7,
        "date_modified": "2024-01-01T00:00:00Z",
        "version": {"identifier": 9, "comment": "x"},
        "url": f"https://de.wikipedia.org/wiki/{name}",
        "namespace": {"identifier": namespace},
        "in_language": {"identifier": "de"},
        "is_part_of": {"identifier": "dewiki"},
        "article_body": {"html": html, "wikitext": "''w''"},
        "license": [{"name": "Creative Commons", "identifier": "CC-BY-SA-4.0"}],
        **more,
    }
    return json.dumps(page).encode() + b"\n"


def packed(path: Path, *files: bytes) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for number, data in enumerate(files):
            member = tarfile.TarInfo(f"dewiki_namespace_0_{number}.ndjson")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_articles_of_a_packed_dump(tmp_path: Path) -> None:
    first = article("A", "<body><p>a</p></body>") + article("B", "<p>b</p>", 14)
    second = article("C", "<p></p>") + article("D", "", article_body={"wikitext": "''d'' {{x}}"}) + b"{}\n[1\n"
    path = packed(tmp_path / "dewiki-NS0-20240101-ENTERPRISE-HTML.json.tar.gz", first, second.rstrip(b"\n"))
    items = items_of(WikipediaReader(), path)
    one, two = records_of(items)
    assert (one.text, one.url, one.language) == ("A\n\na", "https://de.wikipedia.org/wiki/A", "de")
    assert one.metadata == {
        "id": "7", "title": "A", "revision": "9", "date": "2024-01-01T00:00:00Z", "wiki": "dewiki",
        "licence": "CC-BY-SA-4.0", "markup": "html",
    }  # fmt: skip
    assert (two.text, two.metadata["markup"]) == ("D\n\nd", "wikitext")
    assert reasons_of(items) == ["namespace 14", "empty text", "no article_body", "not JSON"]


@pytest.mark.parametrize("name", ["a.ndjson", "a.ndjson.gz"])
def test_lines_without_an_archive(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    data = article("A", "<p>a</p>") + b"\n \n" + article("B", "<p>b</p>")
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    items = items_of(WikipediaReader(titles=False), path)
    assert [record.text for record in records_of(items)] == ["a", "b"] and len(items) == 2


def test_a_torn_or_damaged_archive_keeps_the_rest(tmp_path: Path) -> None:
    files = [article(f"T{number}", f"<p>text {number}</p>") for number in range(6)]
    path = packed(tmp_path / "a.json.tar.gz", *files)
    raw = gzip.decompress(path.read_bytes())
    plain = tmp_path / "a.json.tar"
    plain.write_bytes(raw[:512] + b"x" * 100 + raw[612:])
    items = items_of(WikipediaReader(), plain)
    assert len(records_of(items)) == 5 and reasons_of(items) == ["not JSON"]
    header = raw.index(b"dewiki_namespace_0_3")
    plain.write_bytes(raw[:header] + b"?" * 100 + raw[header + 100 :])
    items = items_of(WikipediaReader(), plain)
    assert len(records_of(items)) == 5 and reasons_of(items) == ["damaged tar header"]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    items = items_of(WikipediaReader(), path)
    assert isinstance(items[-1], Unreadable) and items[-1].reason == "truncated gzip"


def test_a_line_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.readers.enterprise.LINE_BYTES", 2000)
    monkeypatch.setattr("pipelines.formats.ndjson.READ_BYTES", 300)
    path = tmp_path / "a.ndjson"
    long = article("B", "x" * 5000)
    path.write_bytes(article("A", "<p>a</p>") + long + article("C", "<p>c</p>"))
    items = items_of(WikipediaReader(titles=False), path)
    assert [record.text for record in records_of(items)] == ["a", "c"]
    bad = items[1]
    assert isinstance(bad, Unreadable) and (bad.reason, bad.length) == ("line too long", len(long) - 1)
    assert path.read_bytes()[bad.offset : bad.offset + bad.length] == long[:-1]


def check_mutated(folder: Path, seeds: range) -> None:
    files = [article(f"T{number}", f"<p>text {number} <b>x</b></p><ul><li>y</li></ul>") for number in range(8)]
    whole = b"".join(files)
    path = folder / "a.ndjson"
    for seed in seeds:
        source = random.Random(seed)
        victim = source.randrange(1, 8)
        begin = whole.index(files[victim])
        path.write_bytes(mutated(whole, source, begin, begin + len(files[victim]) - 1))
        found = {record.text for record in records_of(items_of(WikipediaReader(), path))}
        expected = {f"T{number}\n\ntext {number} x\n\n- y" for number in range(8) if number != victim}
        assert found >= expected, seed


def test_mutated_lines(tmp_path: Path) -> None:
    check_mutated(tmp_path, range(60))


@pytest.mark.slow
def test_many_mutated_lines(tmp_path: Path) -> None:
    check_mutated(tmp_path, range(2000))
