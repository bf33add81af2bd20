"""Raw files of each domain around a sample of a few lines, as docs/domains.md shows it."""

from __future__ import annotations

import gzip
from pathlib import Path
from xml.sax.saxutils import escape

from corpus.ingest.reader import RawFile, Record
from pipelines.readers.registry import READERS
from tests.pipelines.licence_texts import MIT


def write_raw(domain: str, sample: str, folder: Path) -> Path:
    """A raw file of a domain with a sample in it."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {
        "arxiv": "2301.00001.tex", "stackexchange": "beer.stackexchange.com/Posts.xml", "github": "example-1.0/ladder.py",
        "wikipedia": "enwiki-pages-articles.xml", "books": "pg1.txt", "commoncrawl": "page.warc.wet", "conversations": "thread.jsonl",
        "news": "articles.jsonl", "c4": "c4-train.json.gz", "instructions": "instructions.jsonl",
    }  # fmt: skip
    path = folder / names[domain]
    path.parent.mkdir(exist_ok=True)
    if domain == "stackexchange":
        sample = f'<?xml version="1.0" encoding="utf-8"?>\n<posts>\n{sample}\n</posts>\n'
    elif domain == "wikipedia":
        page = f"<page><title>Rope ladder</title><ns>0</ns><id>1</id><revision><text>{escape(sample)}</text></revision></page>"
        sample = f'<mediawiki xml:lang="en"><siteinfo><dbname>enwiki</dbname></siteinfo>{page}</mediawiki>'
    elif domain == "commoncrawl":
        head = f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: https://ladders.test/\r\nContent-Length: {len(sample.encode())}\r\n\r\n"
        sample = head + sample + "\r\n\r\n"
    if domain == "github":
        (path.parent / "LICENSE").write_text(MIT)
    data = sample.encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def read_sample(domain: str, sample: str, folder: Path, **settings: object) -> Record:
    """The one document that a domain's reader makes of a sample."""
    extra: dict[str, object] = {"github": {"source": "checkouts"}, "commoncrawl": {"min_characters": 0}}.get(domain, {})  # type: ignore[assignment]
    reader = READERS.load(domain)(**{**extra, **settings})
    path = write_raw(domain, sample, folder / "raw")
    files = [
        RawFile(found, found.relative_to(folder / "raw").as_posix())
        for found in sorted((folder / "raw").rglob("*"))
        if found.is_file()
    ]
    if hasattr(reader, "survey"):
        surveys = []
        for number, file in enumerate(files):
            survey = folder / f"survey-{number}"
            survey.mkdir()
            reader.survey(file, survey)
            surveys.append((file.name, survey))
        (folder / "gathered").mkdir()
        reader.gather(surveys, folder / "gathered")
        reader = reader.prepared(folder / "gathered")
    (folder / "scratch").mkdir()
    file = next(file for file in files if file.path == path)
    (record,) = [item for item in reader.read(file, folder / "scratch") if isinstance(item, Record)]
    return record
