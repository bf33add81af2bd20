"""WET files: headers by name, bytes by Content-Length, and damage that costs one record."""

from __future__ import annotations

import base64
import gzip
import hashlib
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.ingest.reader import Item, Record, Skipped, Unreadable
from pipelines.formats import warc
from pipelines.formats.warc import parse_headers
from pipelines.readers.commoncrawl import CommonCrawlReader
from tests.pipelines.readers.reading import items_of, reasons_of, records_of

READER = CommonCrawlReader(min_characters=0)


def record(
    body: bytes, kind: str = "conversion", length: int | None = None, extra: str = "", digest: bool = True
) -> bytes:
    sha1 = base64.b32encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()
    header = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://host.example/p?a=b\r\n"
        f"WARC-Date: 2024-05-18T01:58:10Z\r\nWARC-Record-ID: <urn:uuid:1>\r\n{extra}"
        f"{f'WARC-Block-Digest: sha1:{sha1}' if digest else 'X: y'}\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(body) if length is None else length}\r\n\r\n"
    )
    return header.encode() + body + b"\r\n\r\n"


def page(number: int, size: int = 40) -> bytes:
    return f"Title {number}\n{random.Random(number).randbytes(size).hex()}\nend {number}\n".encode()


def texts_of(items: list[Item]) -> list[str]:
    return [item.text for item in records_of(items)]


def expected(*numbers: int, size: int = 40) -> list[str]:
    return [page(number, size).decode().rstrip("\n") for number in numbers]


def write(path: Path, *records: bytes) -> Path:
    path.write_bytes(
        b"".join(gzip.compress(entry, mtime=0) for entry in records) if path.suffix == ".gz" else b"".join(records)
    )
    return path


@pytest.mark.parametrize("name", ["a.warc.wet", "a.warc.wet.gz"])
def test_a_page_keeps_its_heading_and_the_headers_it_needs(tmp_path: Path, name: str) -> None:
    body = "Überschrift\n\n  two  \r\nthree\rfour\u00a0\n\n".encode()
    path = write(
        tmp_path / name,
        record(b"robots: x\r\n", "warcinfo"),
        record(body, extra="WARC-Identified-Content-Language: deu\r\n"),
    )
    skipped, found = items_of(READER, path)
    assert skipped == Skipped(0, "warcinfo record")
    assert isinstance(found, Record)
    assert found.text == "Überschrift\n\ntwo\nthree\nfour"
    assert found.url == "http://host.example/p?a=b"
    assert found.metadata == {
        "id": "<urn:uuid:1>",
        "date": "2024-05-18T01:58:10Z",
        "digest": "sha1:" + base64.b32encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode(),
        "content_language": "deu",
        "title": "Überschrift",
        "source_domain": "host.example",
    }


def test_unknown_folded_and_odd_headers(tmp_path: Path) -> None:
    extra = "WARC-New-Header: 1\r\nFolded: a\r\n  b\r\nno colon\r\nwarc-date: second\r\n"
    (found,) = records_of(items_of(READER, write(tmp_path / "a.wet", record(page(1), extra=extra))))
    assert found.metadata["date"] == "2024-05-18T01:58:10Z"
    assert parse_headers(b"WARC/1.0\r\nA: 1\r\n  2\r\nbroken\r\nb:\r\n\r\n") == {"a": "1 2", "b": ""}


def test_a_record_quoted_in_a_page_does_not_split_it(tmp_path: Path) -> None:
    body = b"How WARC works\nWARC/1.0\n\nWARC/1.0\nWARC-Type: conversion\nContent-Length: 3\n\nabc\n\nWARC/1.0\nend\n"
    for name in ("a.wet", "a.wet.gz"):
        items = items_of(READER, write(tmp_path / name, record(page(0)), record(body), record(page(2))))
        assert texts_of(items) == [*expected(0), body.decode().rstrip("\n"), *expected(2)]


def test_what_is_no_text_of_a_page_is_said_as_what_it_is(tmp_path: Path) -> None:
    html = record(page(1)).replace(b"text/plain", b"text/html; charset=utf-8")
    charset = record(page(2)).replace(b"text/plain", b"Text/Plain; charset=utf-8")
    untyped = record(page(3)).replace(b"Content-Type: text/plain\r\n", b"")
    others = [record(page(4), kind) for kind in ("response", "request", "metadata", "revisit", "chess")]
    items = items_of(READER, write(tmp_path / "a.wet", html, charset, untyped, *others))
    assert texts_of(items) == expected(2, 3)
    assert reasons_of(items) == [
        "not text/plain",
        "HTTP response: this reader takes WET, or give --extractor",
        "request record",
        "metadata record",
        "revisit record",
        "record of no known type",
    ]


def test_short_empty_and_foreign_pages(tmp_path: Path) -> None:
    short, enough = b"T\n" + b"x" * 299, b"T\n" + b"x" * 300
    path = write(
        tmp_path / "a.wet.gz",
        record(short),
        record(enough),
        record(b"\n\n"),
        record(b"\xff\xfe"),
        record(b"only a title"),
    )
    items = items_of(CommonCrawlReader(), path)
    assert reasons_of(items) == ["too short", "no text", "not UTF-8", "too short"]
    assert texts_of(items) == [enough.decode()]
    assert items[0] == Skipped(0, "too short", short.decode())


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"\r\n\r\n\r\n\r\n", b""])
def test_separators_of_other_writers(tmp_path: Path, separator: bytes) -> None:
    records = [record(page(number))[:-4] + separator for number in range(3)]
    assert texts_of(items_of(READER, write(tmp_path / "a.wet", *records))) == expected(0, 1, 2)


def test_a_length_counted_in_characters_is_mended(tmp_path: Path) -> None:
    body = "Überschrift\n漢字漢字".encode()
    path = write(tmp_path / "a.wet", record(body, length=len(body.decode())), record(page(1)))
    first, second = records_of(items_of(READER, path))
    assert first.text == body.decode()
    assert first.metadata["recovered"] == "wrong Content-Length"
    assert second.text == expected(1)[0]
    assert "recovered" not in second.metadata


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (record(page(1), length=100_000), "truncated record"),
        (record(page(1), length=10**15), "record too long"),
        (record(page(1)).replace(b"Content-Length: ", b"Content-Length: " + b"9" * 5000), "record too long"),
        (record(page(1)).replace(b"Content-Length: ", b"Content-Length: x"), "no Content-Length"),
        (record(page(1)).replace(b"Content-Length", b"Content-Lemgth"), "no Content-Length"),
        (record(page(1)).replace(b"WARC/1.0", b"WORC/1.0"), "no WARC header"),
        (record(page(1))[:50], "torn WARC header"),
        (b"\0" * 200_000, "no WARC header"),
    ],
)
def test_a_broken_record_costs_itself_alone(tmp_path: Path, bad: bytes, reason: str) -> None:
    path = write(tmp_path / "a.wet", record(page(0)), bad + b"\r\n", record(page(2)))
    items = items_of(READER, path)
    assert texts_of(items) == expected(0, 2)
    (unreadable,) = [item for item in items if isinstance(item, Unreadable)]
    assert (unreadable.ordinal, unreadable.offset, unreadable.reason) == (1, len(record(page(0))), reason)
    assert path.read_bytes()[unreadable.offset :].startswith(unreadable.data)
    assert unreadable.offset + unreadable.length == path.stat().st_size - len(record(page(2)))


def test_an_endless_header_is_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warc, "MAX_HEADER_BYTES", 1000)
    path = write(tmp_path / "a.wet", b"WARC/1.0\r\n" + b"a: b\r\n" * 1_000_000, record(page(1)))
    items = items_of(READER, path)
    assert (texts_of(items), reasons_of(items)) == (expected(1), ["no end of the WARC header"])


def test_empty_and_foreign_files(tmp_path: Path) -> None:
    assert items_of(READER, write(tmp_path / "a.wet", b"")) == [Unreadable(0, 0, 0, "empty file", b"")]
    data = b"<html>" + b"x" * 100_000
    assert items_of(READER, write(tmp_path / "b.wet", data)) == [
        Unreadable(0, 0, len(data), "no WARC header", data[:65536])
    ]


@pytest.mark.parametrize("name", ["a.wet", "a.wet.gz"])
def test_a_file_cut_anywhere_gives_every_whole_record(tmp_path: Path, name: str) -> None:
    records = [record(page(number)) for number in range(3)]
    path = write(tmp_path / name, *records)
    stored = path.read_bytes()
    ends = [len(write(tmp_path / f"part-{name}", *records[:count]).read_bytes()) for count in range(4)]
    for cut in range(1, len(stored), 2):
        path.write_bytes(stored[:cut])
        items = items_of(READER, path)
        whole = sum(end <= cut for end in ends[1:])
        assert texts_of(items)[:whole] == expected(*range(whole))
        assert len(records_of(items)) in (whole, whole + 1)  # all of the body may be there, and its end not
        assert texts_of(items) == expected(*range(len(records_of(items))))
        if name.endswith("gz"):
            assert (len(reasons_of(items)) == 1) == (cut not in ends)


def test_a_bit_flipped_in_a_member_costs_that_record_at_most(tmp_path: Path) -> None:
    records = [record(page(number, 300)) for number in range(5)]
    path = write(tmp_path / "a.wet.gz", *records)
    stored = path.read_bytes()
    start, end = (len(b"".join(gzip.compress(entry, mtime=0) for entry in records[:count])) for count in (2, 3))
    generator = random.Random(5)
    lost = 0
    for place in [*range(start, start + 12), *range(end - 9, end), *generator.sample(range(start, end), 60)]:
        broken = bytearray(stored)
        broken[place] ^= 1 << generator.randrange(8)
        path.write_bytes(broken)
        items = items_of(READER, path)
        found = texts_of(items)
        assert found in (expected(0, 1, 3, 4, size=300), expected(0, 1, 2, 3, 4, size=300)), place
        if len(found) == 4 and "not text/plain" not in reasons_of(items):  # a header was hit
            lost += 1
            (unreadable,) = [item for item in items if isinstance(item, Unreadable)]
            assert (unreadable.offset, unreadable.length) == (start, end - start)
    assert lost > 50


def test_two_bad_members_and_a_lost_beginning(tmp_path: Path) -> None:
    members = [gzip.compress(record(page(number)), mtime=0) for number in range(6)]
    for number in (0, 2, 3):
        members[number] = b"\xff" + members[number][1:]
    path = tmp_path / "a.wet.gz"
    path.write_bytes(b"".join(members))
    items = items_of(READER, path)
    assert texts_of(items) == expected(1, 4, 5)
    assert reasons_of(items) == ["no WARC header", "garbage after gzip"]


def test_one_member_for_the_whole_file(tmp_path: Path) -> None:
    records = [record(page(number, 3_000)) for number in range(200)]
    stored = gzip.compress(b"".join(records), mtime=0)
    path = tmp_path / "a.wet.gz"
    path.write_bytes(stored)
    assert texts_of(items_of(READER, path)) == expected(*range(200), size=3_000)
    path.write_bytes(stored[: len(stored) // 2])
    items = items_of(READER, path)
    assert len(records_of(items)) > 90
    assert texts_of(items) == expected(*range(len(records_of(items))), size=3_000)
    assert reasons_of(items) == ["truncated gzip"]
    broken = bytearray(stored)
    broken[len(stored) // 2] ^= 4
    path.write_bytes(broken)
    items = items_of(READER, path)
    assert texts_of(items)[:80] == expected(*range(80), size=3_000)
    assert "corrupt gzip" in reasons_of(items)


def test_of_a_corrupt_member_only_what_its_digest_proves_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.wet.gz"
    for digest in (True, False):
        member = bytearray(gzip.compress(record(page(1), digest=digest), mtime=0))
        member[-6] ^= 1  # the checksum alone is wrong
        path.write_bytes(gzip.compress(record(page(0))) + member + gzip.compress(record(page(2))))
        items = items_of(READER, path)
        assert texts_of(items) == (expected(0, 1, 2) if digest else expected(0, 2))
        assert reasons_of(items) == ["corrupt gzip"]


@given(
    st.lists(st.text(max_size=60).map(lambda text: text.replace("\r", "").encode("utf-8")), max_size=6),
    st.sampled_from([1, 7, 64, 1 << 20]),
)
def test_any_body_in_any_pieces(tmp_path_factory: pytest.TempPathFactory, bodies: list[bytes], piece: int) -> None:
    path = write(tmp_path_factory.mktemp("wet") / "a.wet", record(b"", "warcinfo"), *map(record, bodies))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("corpus.ingest.compression.PIECE", piece)
        items = items_of(READER, path)
    assert len(items) == len(bodies) + 1
    lines = [[line.strip() for line in body.decode().split("\n")] for body in bodies]
    assert texts_of(items) == [text for text in ("\n".join(entry).strip("\n") for entry in lines) if text]
    assert not [item for item in items if isinstance(item, Unreadable)]


def test_real_pages(samples: Path) -> None:
    items = items_of(CommonCrawlReader(), samples / "commoncrawl/derived_pages.warc.wet.gz")
    assert reasons_of(items) == ["warcinfo record"] + ["too short"] * 4
    assert len(records_of(items)) == 313
    assert items_of(READER, samples / "commoncrawl/derived_pages.warc.wet.gz")[1:] == [
        item for item in items_of(READER, samples / "commoncrawl/derived_pages.warc.wet.gz") if isinstance(item, Record)
    ]
    (genuine,) = records_of(items_of(CommonCrawlReader(), samples / "commoncrawl/warc/whirlwind.warc.wet.gz"))
    assert genuine.text.startswith("Escopete - Biquipedia, a enciclopedia libre\nIr al contenido\n")
    assert genuine.metadata["content_language"] == "spa"
    items = items_of(CommonCrawlReader(), samples / "commoncrawl/warc/ccnet_sample.warc.wet")
    assert reasons_of(items) == ["truncated record", "too short"]
    assert [found.metadata["title"] for found in records_of(items)] == [
        "Famous Mark Twain Quotes",
        "Цитаты знаменитого Марка Твена",
    ]
