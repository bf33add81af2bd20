"""`python -m benchmarks.ingest`: readers on one core, in processor time: MB/s of WET's page text, of the HTML of WARC files, of
Pushshift's JSON, of arXiv's TeX, of StackExchange's XML and of source files; and what memory they take on 50 times the sample.

The samples are read as they are, again and again; comments get new ids in each copy, so that threads stay threads.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import resource
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import machine
from corpus.ingest.compression import open_stream
from corpus.ingest.reader import Item, RawFile, Reader
from pipelines.formats.http import parse_response
from pipelines.formats.warc import WarcRecord, read_records
from pipelines.readers.arxiv import ArxivReader
from pipelines.readers.commoncrawl import CommonCrawlReader
from pipelines.readers.conversations import ConversationsReader
from pipelines.readers.github import GithubReader
from pipelines.readers.papers import stored_files
from pipelines.readers.stackexchange import StackExchangeReader
from tests.pipelines.licence_texts import MIT


def copies(samples: Path, folder: Path, number: int) -> Path:
    """`number` copies of Pushshift's sample, with ids of their own."""
    target = folder / "RC.jsonl"
    with open_stream(samples / "conversations/RC_2005-12.zst") as stream:
        rows = [json.loads(line) for line in stream.read().splitlines() if line]
    with target.open("w", encoding="utf-8") as out:
        for copy in range(number):
            for row in rows:
                changed = {name: f"{row[name]}x{copy}" for name in ("id", "parent_id", "link_id")}
                out.write(json.dumps(row | changed) + "\n")
    return target


def html_bytes(path: Path) -> int:
    """Bytes of the bodies of all responses."""
    responses = (parse_response(record.body) for record in read_records(path) if isinstance(record, WarcRecord))
    return sum(len(response.body) for response in responses if response is not None)


def items(reader: Reader, path: Path) -> Iterator[Item]:
    """The items of a file."""
    with tempfile.TemporaryDirectory() as scratch:
        yield from reader.read(RawFile(path, path.name), Path(scratch))


def report(name: str, reader: Reader, path: Path, size: int, times: int) -> None:
    """Print the rate of reading a file a number of times."""
    list(items(reader, path))  # imports, kernels, caches of names
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.process_time()
    for _ in range(times):
        for _item in items(reader, path):
            pass
    seconds = time.process_time() - begin
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    print(
        f"{name}: {size * times / seconds / 1e6:.1f} MB/s ({size * times / 1e6:.0f} MB, memory +{grown:.0f} MB)",
        flush=True,
    )


def tex_bytes(path: Path) -> int:
    """Bytes of the TeX files of all papers in a bulk tar."""
    with tarfile.open(path) as bulk:
        stored = (bulk.extractfile(member) for member in bulk if member.isfile())
        papers = [stored_files(file.read()) for file in stored if file is not None]
    return sum(len(data) for files in papers for data in files.values())


def sources(folder: Path, size: int) -> Path:
    """A tar with about `size` bytes of Python's own source files, 1 to 60 kB each, below the text of a licence."""
    target = folder / "sources.tar"
    texts = [
        path.read_bytes()
        for path in sorted(Path(os.__file__).parent.rglob("*.py"))
        if 1_000 < path.stat().st_size < 60_000
    ]
    with tarfile.open(target, "w") as out:
        for number, text in enumerate([MIT.encode(), *texts]):
            info = tarfile.TarInfo("r/LICENSE" if number == 0 else f"r/src/m{number}.py")
            info.size = len(text)
            out.addfile(info, io.BytesIO(text))
            size -= len(text)
            if size < 0:
                break
    return target


def main() -> None:
    """Print a line for each reader."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of it")
    times = 2 if parser.parse_args().quick else 20
    samples = Path(os.environ["CORPUSMILL_SAMPLES"])
    print(machine())
    wet = samples / "commoncrawl/derived_pages.warc.wet.gz"
    with gzip.open(wet) as file:
        report("WET, page text", CommonCrawlReader(), wet, len(file.read()), times)
    warc = samples / "commoncrawl/derived_pages.warc.gz"
    report("WARC to text, HTML", CommonCrawlReader(extractor="main"), warc, html_bytes(warc), max(1, times // 5))
    papers = samples / "arxiv/arXiv_src_sample_001.tar"
    report("arXiv, TeX", ArxivReader(), papers, tex_bytes(papers), max(1, times // 10))
    posts = samples / "stackexchange/quantumcomputing.stackexchange.com/Posts.xml"
    report("StackExchange, XML", StackExchangeReader(), posts, posts.stat().st_size, max(1, times // 2))
    with tempfile.TemporaryDirectory() as folder:
        archive = sources(Path(folder), 2_000_000 * times)
        report("GitHub, source files", GithubReader(drop=("generated",)), archive, archive.stat().st_size, 1)
    with tempfile.TemporaryDirectory() as folder:
        comments = copies(samples, Path(folder), 5 * times // 2)
        report("Pushshift comments to threads, JSON", ConversationsReader(), comments, comments.stat().st_size, 1)


if __name__ == "__main__":
    main()
