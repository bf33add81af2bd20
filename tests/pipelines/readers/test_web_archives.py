"""WARC, ARC and WACZ with HTML: records as fastwarc and warcio count them, pages as text, damage set aside."""

from __future__ import annotations

import bz2
import gzip
import io
import random
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import brotli
import lz4.frame
import pytest
import zstandard
from fastwarc.warc import ArchiveIterator
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import UsageError
from corpus.ingest.compression import Damage
from corpus.ingest.reader import Item, Unreadable
from corpus.ingest.stage import IngestStage
from pipelines.formats.http import BadBody, dechunked, parse_response
from pipelines.formats.web_archive import read_web_archive
from pipelines.readers.blocklist import read_blocklist
from pipelines.readers.commoncrawl import CommonCrawlReader
from tests.pipelines.readers.reading import items_of, reasons_of, records_of

READER = CommonCrawlReader(extractor="main", min_characters=0)
TEXT = "The harbour was quiet in the morning, and the boats lay at the quay number {}."


def html(number: int) -> bytes:
    paragraphs = "".join(f"<p>{TEXT.format(number * 10 + n)}</p>" for n in range(4))
    return (
        f"<html lang=en><title>T{number}</title><body><nav><a href=/>Home</a></nav><main>{paragraphs}</main>".encode()
    )


def expected(number: int) -> str:
    return "\n".join(TEXT.format(number * 10 + n) for n in range(4))


def http(body: bytes, headers: str = "Content-Type: text/html\r\n", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}\r\n".encode() + body


def warc(
    block: bytes, kind: str = "response", content: str = "application/http; msgtype=response", ends: str = "\r\n"
) -> bytes:
    lines = ["WARC/1.0", f"WARC-Type: {kind}", "WARC-Target-URI: http://a.example/x", "WARC-Date: 2024-01-02T03:04:05Z"]
    lines += [f"Content-Type: {content}", f"Content-Length: {len(block)}", "", ""]
    return ends.join(lines).encode() + block + b"\r\n\r\n"


def arc(number: int, block: bytes | None = None) -> bytes:
    block = http(html(number)) if block is None else block
    return f"http://a.example/{number} 1.2.3.4 20080430204825 text/html {len(block)}\n".encode() + block + b"\n"


FILEDESC = (
    b"filedesc://x.arc 0.0.0.0 20080430204825 text/plain 75\n1 0 InternetArchive\n"
    b"URL IP-address Archive-date Content-type Archive-length\n\n"
)


def texts(items: list[Item]) -> list[str]:
    return [record.text for record in records_of(items)]


def read(tmp_path: Path, data: bytes, name: str = "a.warc.gz", **options: Any) -> list[Item]:
    path = tmp_path / name
    path.write_bytes(data)
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    reader = CommonCrawlReader(**({"extractor": "main", "min_characters": 0} | options))
    items = items_of(reader, path, scratch)
    assert not list(scratch.iterdir())
    return items


@pytest.mark.parametrize("ends", ["\r\n", "\n"])
@pytest.mark.parametrize("how", ["plain", "record", "whole", "bz2", "zstd", "lz4"])
def test_every_writer(tmp_path: Path, how: str, ends: str) -> None:
    records = [warc(http(html(number)), ends=ends) for number in range(3)]
    whole = b"".join(records)
    data = {
        "plain": whole,
        "record": b"".join(gzip.compress(record) for record in records),
        "whole": gzip.compress(whole),
        "bz2": bz2.compress(whole),
        "zstd": b"".join(zstandard.compress(record) for record in records),
        "lz4": lz4.frame.compress(whole),
    }[how]
    items = read(tmp_path, data)
    assert texts(items) == [expected(0), expected(1), expected(2)]
    record = records_of(items)[1]
    assert (record.url, record.language) == ("http://a.example/x", "en")
    assert record.metadata == {"title": "T1", "date": "2024-01-02T03:04:05Z", "source_domain": "a.example"}


def test_records_that_are_no_pages_are_named(tmp_path: Path) -> None:
    records = [
        warc(b"software: x\r\n", "warcinfo"),
        warc(http(b"", status="404 Not Found")),
        warc(http(b"", status="301 Moved")),
        warc(http(b"\x89PNG", "Content-Type: image/png\r\n")),
        warc(http(b"%PDF-1.4", "")),
        warc(http(b"", "Content-Type: text/html\r\n")),
        warc(http(html(1)), "revisit"),
        warc(b"rest", "continuation"),
        warc(b"1.2.3.4", content="text/dns"),
        warc(html(2), "resource", "text/html"),
        warc(b"plain text", "conversion", "text/plain"),
    ]
    items = read(tmp_path, b"".join(records))
    assert reasons_of(items) == [
        "warcinfo record", "HTTP status 4xx", "HTTP status 3xx", "not HTML (image)", "not HTML (unknown)", "no text",
        "revisit record", "continuation record", "not HTTP",
    ]  # fmt: skip
    assert texts(items) == [expected(2), "plain text"]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw", "br", "zstd", "none"])
def test_bodies_are_decoded(tmp_path: Path, coding: str) -> None:
    body = html(1)
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(body),
        "deflate": zlib.compress(body),
        "raw": raw.compress(body) + raw.flush(),
        "br": brotli.compress(body),
        "zstd": zstandard.compress(body),
        "none": body,
    }
    name = {"raw": "deflate", "none": "gzip, br"}.get(coding, coding)
    data = packed[coding]
    chunks = b"".join(
        f"{len(data[i : i + 100]):x};x=y\r\n".encode() + data[i : i + 100] + b"\r\n" for i in range(0, len(data), 100)
    )
    headers = f"Content-Type: text/html\r\nContent-Encoding: {name}\r\nTransfer-Encoding: chunked\r\n"
    for stored in (chunks + b"0\r\n\r\n", data):  # some crawlers keep the header and not the chunks
        assert texts(read(tmp_path, warc(http(stored, headers)))) == [expected(1)]


def test_bombs_and_damaged_bodies_are_set_aside(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(200_000_000), 9)
    headers = "Content-Type: text/html\r\nContent-Encoding: gzip\r\n"
    items = read(
        tmp_path, warc(http(bomb, headers)) + warc(http(bomb[:10] + b"\xff" * 99, headers)) + warc(http(html(3)))
    )
    assert reasons_of(items) == ["body too large", "corrupt gzip body"]
    assert texts(items) == [expected(3)]
    assert reasons_of(read(tmp_path, warc(http(html(1))), max_page_bytes=100)) == ["page too large"]


def test_wrong_chunks() -> None:
    assert dechunked(b"5\r\nhello\r\n3\r\nyou") == b"helloyou"
    assert dechunked(b"<html>5\r\n") == b"<html>5\r\n"
    assert dechunked(b"2\nab\n0\n\n") == b"ab"
    assert parse_response(b"no status") is None
    response = parse_response(b"HTTP/1.0 200\nContent-Type: Text/HTML; Charset='x'\nA: 1\nA: 2\n\nbody")
    assert response is not None
    assert (response.type, response.charset, response.headers["a"], response.body) == ("text/html", "x", "1", b"body")
    with pytest.raises(BadBody):
        parse_response(b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\n\r\n\x28\xb5\x2f\xfd" + b"\xff" * 50).content()  # type: ignore[union-attr]


def test_arc(tmp_path: Path) -> None:
    records = [FILEDESC, arc(1), arc(2).replace(b"http://a.example/2", b"http://a.example/a b"), arc(3)]
    dns = b"dns:a.example 1.2.3.4 20080430204825 text/dns 7\n1.2.3.4\n"
    for data in (b"".join([*records, dns]), b"".join(map(gzip.compress, [*records, dns]))):
        items = read(tmp_path, data, "a.arc.gz")
        assert texts(items) == [expected(1), expected(2), expected(3)]
        assert records_of(items)[1].url == "http://a.example/a b"
        assert records_of(items)[1].metadata["date"] == "2008-04-30T20:48:25Z"
        assert reasons_of(items) == ["warcinfo record", "not HTTP"]
    broken = b"".join([FILEDESC, arc(1), arc(2).replace(b" 20080430204825 ", b" ? "), arc(3)])
    items = read(tmp_path, broken, "a.arc")
    assert texts(items) == [expected(1), expected(3)]
    assert reasons_of(items) == ["warcinfo record", "no ARC header"]
    items = read(tmp_path, b"".join([FILEDESC, arc(1), arc(2)[:-90]]), "a.arc")
    assert (texts(items), reasons_of(items)) == ([expected(1)], ["warcinfo record", "truncated record"])


def test_without_an_extractor_they_are_said_as_what_they_are(tmp_path: Path) -> None:
    said = "HTTP response: this reader takes WET, or give --extractor"
    assert reasons_of(read(tmp_path, warc(http(html(1))), extractor="")) == [said]
    assert reasons_of(read(tmp_path, FILEDESC + arc(1), extractor="")) == ["warcinfo record", said]
    assert reasons_of(
        read(tmp_path, wacz({"archive/a.warc.gz": gzip.compress(warc(http(html(1))))}), extractor="")
    ) == [said]
    assert "*.warc.wet.gz" in CommonCrawlReader().patterns
    assert "*.warc.gz" in READER.patterns and "*.warc.wet.gz" not in READER.patterns


def wacz(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("datapackage.json", "{}")
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_wacz(tmp_path: Path) -> None:
    members = {
        "archive/a.warc.gz": gzip.compress(warc(http(html(1)))),
        "../../escape.warc": warc(http(html(2))),
        "archive/b.arc": FILEDESC + arc(3),
        "pages/pages.jsonl": b"{}",
        "nested.wacz": wacz({"archive/c.warc": warc(http(html(4)))}),
        "archive/bomb.warc": bytes(3_000_000),
    }
    data = wacz(members)
    items = read(tmp_path, data, "a.wacz")
    assert texts(items) == [expected(1), expected(2), expected(3)]
    assert reasons_of(items) == ["warcinfo record", "WACZ member inflates too much"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wacz", "scratch"]
    assert reasons_of(read(tmp_path, data[:-50], "a.wacz")) == ["no whole WACZ archive"]
    broken = bytearray(data)
    broken[data.find(b"archive/a.warc.gz") + 40] ^= 0xFF
    items = read(tmp_path, bytes(broken), "a.wacz")
    assert texts(items)[-2:] == [expected(2), expected(3)]
    assert [item for item in items if isinstance(item, Unreadable)]


def test_blocklist(tmp_path: Path) -> None:
    folder = tmp_path / "adult"
    folder.mkdir()
    (folder / "domains").write_text("# comment\nbad.example\nGitHub.io\nco.uk\nmünchen.example\n1.2.3.4\n")
    (folder / "urls").write_text("site.example/bad/dir\nhttp://www.other.example/x/\n")
    blocklist = read_blocklist([str(folder)])
    for url in (
        "http://bad.example/", "https://www.BAD.example:8080/x", "http://a.b.bad.example", "http://github.io/",
        "http://xn--mnchen-3ya.example/", "http://1.2.3.4/x", "http://site.example/bad/dir", "http://site.example/bad/dir/deep.html",
        "http://www.site.example/bad/dir/?q", "http://www.other.example/x", "http://user:pw@bad.example./",
    ):  # fmt: skip
        assert blocklist.blocks(url), url
    for url in (
        "http://notbad.example/", "http://someone.github.io/", "http://news.co.uk/", "http://site.example/bad/directory",
        "http://site.example/bad", "http://other.example/x", "http://11.2.3.4/", "", None, "http://[", "http://example/",
    ):  # fmt: skip
        assert not blocklist.blocks(url), url
    (tmp_path / "hosts").write_text("a.example\n")
    assert reasons_of(read(tmp_path, warc(http(html(1))), blocklist=(str(tmp_path / "hosts"),))) == ["blocklist"]
    with pytest.raises(UsageError, match="does not exist"):
        read_blocklist(["nowhere"])


def test_a_changed_blocklist_is_noticed_and_a_moved_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.warc").write_bytes(warc(http(html(1))) + warc(http(html(2))).replace(b"a.example", b"b.example"))
    outputs = []
    for name, content in (("one", "b.example\n"), ("two", "b.example\n"), ("three", "a.example\n")):
        (tmp_path / name).write_text(content)
        reader = CommonCrawlReader(extractor="main", min_characters=0, blocklist=(str(tmp_path / name),))
        stage = IngestStage(reader, (str(tmp_path / "a.warc"),))
        outputs.append(run_stage(stage, tmp_path / f"out-{name}", RunOptions(quiet=True)))
    assert outputs[0].digest == outputs[1].digest != outputs[2].digest


def test_faithful_titles(tmp_path: Path) -> None:
    page = warc(b"Title\nOne\nTwo\n", "conversion", "text/plain")
    (record,) = records_of(read(tmp_path, page, "a.wet", titles="faithful"))
    assert (record.text, record.metadata["title"]) == ("One\nTwo", "Title")
    (record,) = records_of(read(tmp_path, page, "a.wet"))
    assert record.text == "Title\nOne\nTwo"


def test_extractors(tmp_path: Path) -> None:
    found = {
        name: texts(read(tmp_path, warc(http(html(1))), extractor=name))[0]
        for name in ("main", "resiliparse", "trafilatura", "plain")
    }
    assert found["main"] == found["trafilatura"] == expected(1)
    assert "Home" in found["plain"]
    assert all(TEXT.format(12) in text for text in found.values())


COUNTED = {
    "aut_example.arc.gz": ("warcio",), "aut_example.warc.gz": ("fastwarc", "warcio"), "dolma_sample-0000.warc.gz": ("fastwarc", "warcio"),
    "pywb_iana.warc.gz": ("fastwarc", "warcio"), "resiliparse_clueweb-quirk.warc.gz": ("fastwarc", "warcio"),
    "resiliparse_warcfile.warc.gz": ("fastwarc", "warcio"), "resiliparse_warcfile.warc.lz4": ("fastwarc",),
    "warc2zim_kiwix-with-redirects.warc.gz": ("fastwarc", "warcio"), "warcio_example-bad.warc.gz.bad": ("fastwarc",),
    "warcio_example-iana.org-chunked.warc": ("fastwarc", "warcio"), "warcio_example.warc.gz": ("fastwarc", "warcio"),
    "whirlwind.warc.gz": ("fastwarc", "warcio"), "whirlwind.warc.wet.gz": ("fastwarc", "warcio"),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTED)
def test_records_are_counted_as_fastwarc_and_warcio_do(samples: Path, tmp_path: Path, name: str) -> None:
    path = samples / "commoncrawl/warc" / name
    ours = list(read_web_archive(path, tmp_path))
    assert not [record for record in ours if isinstance(record, Damage)]
    for peer in COUNTED[name]:
        with path.open("rb") as file:
            records = (
                ArchiveIterator(file, parse_http=False) if peer == "fastwarc" else WarcioIterator(file, arc2warc=False)
            )
            assert len(ours) == sum(1 for _ in records)


def test_all_samples_give_pages_or_a_reason(samples: Path, tmp_path: Path) -> None:
    counts = {}
    for path in sorted((samples / "commoncrawl/warc").iterdir()):
        items = items_of(READER, path, tmp_path)
        counts[path.name] = len(records_of(items))
        assert items
    assert counts["aut_example.warc.gz"] == counts["aut_example.arc.gz"] == 128
    assert counts["pywarc_sample.warc.gz"] == 99
    assert [name for name, number in counts.items() if not number] == [
        "resiliparse_clipped.warc.gz", "warcio_example-space-in-url.arc", "whirlwind.warc.wat.gz",
    ]  # fmt: skip


def mutate(tmp_path: Path, seed: int) -> None:
    """Undamaged records are all there, whatever happens to the bytes of one."""
    generator = random.Random(seed)
    form = generator.choice(["warc", "warc.gz", "arc"])
    make = arc if form == "arc" else (lambda number: warc(http(html(number))))
    records = [make(number) for number in range(6)]
    if form.endswith("gz"):
        records = [gzip.compress(record, mtime=0) for record in records]
    hit = generator.randrange(1, 6)
    broken = bytearray(records[hit])
    at = generator.randrange(len(broken))
    kind = generator.randrange(3)
    if kind == 0:
        for _ in range(3):
            broken[generator.randrange(len(broken))] = generator.randrange(256)
    elif kind == 1:
        del broken[at : at + generator.randrange(1, 200)]
    else:
        broken[at:at] = generator.randbytes(generator.randrange(1, 200))
    records[hit] = bytes(broken)
    items = read(tmp_path, (FILEDESC if form == "arc" else b"") + b"".join(records), f"a.{form}")
    found = Counter(texts(items))
    missing = [number for number in range(6) if number != hit and not found[expected(number)]]
    # the record before may end wrongly, or the next be part of one whose length grew
    assert not [number for number in missing if number not in (hit - 1, hit + 1)], (seed, form, missing)
    assert len(missing) <= 1, (seed, form, missing)


def test_mutated_archives(tmp_path: Path) -> None:
    for seed in range(40):
        mutate(tmp_path, seed)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_mutated_archives(tmp_path: Path) -> None:
    for seed in range(2_000):
        mutate(tmp_path, seed)
