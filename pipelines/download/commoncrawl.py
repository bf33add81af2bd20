"""Common Crawl: the files of its crawls, as the list of each crawl names them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from corpus.errors import UsageError
from corpus.option import option
from corpus.remote.url import join_url
from pipelines.download.source import SourceFile
from pipelines.download.web import Web


@dataclass(frozen=True)
class CommonCrawlSource:
    """`corpus download commoncrawl`. The list is `crawl-data/CRAWL/KIND.paths.gz`, a path a line; a crawl's paths are in
    the order of its segments."""

    domain: ClassVar[str] = "commoncrawl"
    base: ClassVar[str] = "https://data.commoncrawl.org"
    doc: ClassVar[str] = "Common Crawl: WET, WARC or WAT files of crawls, or of segments of them"
    terms: ClassVar[str] = (
        "A crawl is about 90,000 files: 8 TB of WET, 80 TB of WARC, compressed. commoncrawl.org/terms-of-use: the rights of the"
        " pages' authors stay theirs."
    )
    rate: ClassVar[float] = 4.0
    robots: ClassVar[bool] = False

    crawls: tuple[str, ...] = option((), "A crawl, as CC-MAIN-2023-06.", flag="--crawl", metavar="CRAWL")
    kind: str = option("wet", "What to take of each.", choices=("wet", "warc", "wat"))
    segments: tuple[str, ...] = option(
        (), "Only this segment, as 1674764494826.88. Default: all.", flag="--segment", metavar="SEGMENT"
    )

    def __post_init__(self) -> None:
        if not self.crawls:
            raise UsageError("no crawl is named: give --crawl, as CC-MAIN-2023-06; index.commoncrawl.org lists them.")

    def files(self, web: Web, base: str) -> Iterator[SourceFile]:
        """The files of the crawls, one after the other."""
        for crawl in self.crawls:
            paths = web.read(join_url(base, f"crawl-data/{crawl}/{self.kind}.paths.gz")).decode().split()
            wanted = [path for path in paths if not self.segments or path.split("/")[3] in self.segments]
            missing = set(self.segments) - {path.split("/")[3] for path in wanted}
            if missing:
                raise UsageError(f"{crawl} has no segment {min(missing)}: see its segment.paths.gz.")
            for path in wanted:
                yield SourceFile(join_url(base, path), path.removeprefix("crawl-data/"))
