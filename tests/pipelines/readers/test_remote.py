"""Every reader gives the same of remote files as of local ones, whole and damaged."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError
from corpus.ingest.stage import IngestStage
from corpus.remote.listing import forget_listings
from pipelines.readers.links import LinksStage
from pipelines.readers.registry import READERS
from tests.corpus.remote.http_server import serving

QUIET = RunOptions(quiet=True)
_WARC = (
    "WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://e.org/{0}\r\nContent-Length: {1}\r\n\r\n{2}\r\n\r\n"
)


def _same(reader: str, raw: Path, out: Path) -> None:
    def outcome(where: str, name: str) -> str:
        """The digest, or the error without where the files lie."""
        try:
            return run_stage(IngestStage(READERS.load(reader)(), (where,)), out / name, QUIET).digest
        except DataError as error:
            return error.message.replace(where.rstrip("/"), "RAW").replace(str(out / name), "OUT")

    local = outcome(str(raw), "local")
    forget_listings()
    with serving(raw.parent) as server:
        assert outcome(f"{server.url}/{raw.name}/", "remote") == local


def _warc() -> bytes:
    pages = [f"page {n}\n" + f"Some words of page {n}. " * 40 for n in range(30)]
    return b"".join(gzip.compress(_WARC.format(n, len(page), page).encode(), mtime=0) for n, page in enumerate(pages))


@pytest.mark.parametrize("damage", [0, 1, 2], ids=["whole", "cut short", "overwritten"])
@pytest.mark.parametrize("reader", ["commoncrawl", "github", "parquet", "books"])
def test_small_files(reader: str, damage: int, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    if reader == "commoncrawl":
        path = raw / "a.warc.wet.gz"
        path.write_bytes(_warc())
    elif reader in ("github", "books"):
        path = raw / ("a.zip" if reader == "github" else "1.zip")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(
                "a/LICENSE", "Permission is hereby granted, free of charge, to any person obtaining a copy"
            )
            archive.writestr("a/b.py" if reader == "github" else "1.txt", "print('some words')\n" * 200)
    else:
        path = raw / "a.parquet"
        pq.write_table(pa.table({"text": [f"text {n}" for n in range(5000)], "n": range(5000)}), path)
    (raw / f"other{path.suffix}").write_bytes(path.read_bytes())
    data = bytearray(path.read_bytes())
    if damage == 1:
        path.write_bytes(data[: len(data) * 2 // 3])
    elif damage == 2:
        data[len(data) // 3 : len(data) // 3 + 20] = bytes(20)
        path.write_bytes(data)
    _same(reader, raw, tmp_path)


@pytest.mark.parametrize(
    ("reader", "folder"),
    [
        ("wikipedia", "wikipedia"),
        ("stackexchange", "stackexchange"),
        ("books", "books"),
        ("arxiv", "arxiv"),
        ("c4", "c4"),
        ("conversations", "conversations"),
        ("news", "news"),
    ],
)
@pytest.mark.slow
def test_samples(reader: str, folder: str, samples: Path, tmp_path: Path) -> None:
    _same(reader, samples / folder, tmp_path)


def test_links_of_remote_dumps(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    page = "<page><title>A</title><ns>0</ns><id>1</id><revision><id>2</id><text>x&lt;ref&gt;http://e.org/a&lt;/ref&gt;</text></revision></page>"
    (raw / "w-pages-articles.xml").write_text(f"<mediawiki>{page}</mediawiki>")
    local = run_stage(LinksStage((str(raw),)), tmp_path / "local", QUIET)
    with serving(raw.parent) as server:
        remote = run_stage(LinksStage((f"{server.url}/raw/",)), tmp_path / "remote", QUIET)
    assert remote.digest == local.digest and remote.extra["links"] == 1
