"""StackExchange's dump at the Internet Archive."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar
from xml.etree import ElementTree

from corpus.errors import DataError, UsageError
from corpus.option import nearest, option
from corpus.remote.url import join_url
from pipelines.download.source import SourceFile
from pipelines.download.web import Web

_SITE = re.compile(r"(?P<site>[\w.-]+?\.(?:com|net))(?:-(?P<table>\w+))?\.7z")


@dataclass(frozen=True)
class StackExchangeSource:
    """`corpus download stackexchange`. The item's `…_files.xml` lists every file with size, MD5 and SHA-1. Stack Overflow has
    an archive for each table, the other sites have one for all."""

    domain: ClassVar[str] = "stackexchange"
    base: ClassVar[str] = "https://archive.org/download/stackexchange"
    doc: ClassVar[str] = "StackExchange's dump: a 7z archive a site"
    terms: ClassVar[str] = (
        "About 100 GB, of which Stack Overflow has most. CC BY-SA 4.0 (older posts 3.0 and 2.5): name authors."
    )
    rate: ClassVar[float] = 1.0
    robots: ClassVar[bool] = False

    sites: tuple[str, ...] = option(
        (), "A site, as math.stackexchange.com. Default: all.", flag="--site", metavar="SITE"
    )
    largest: int | None = option(None, "Only so many sites, those with the largest archives; LLaMA has 28.", least=1)
    meta: bool = option(False, "Take sites about sites, too (meta.…).")

    def files(self, web: Web, base: str) -> Iterator[SourceFile]:
        """The archives of the sites, by name."""
        found: dict[str, list[SourceFile]] = {}
        url = join_url(base, f"{base.rstrip('/').rpartition('/')[2]}_files.xml")
        try:
            for entry in ElementTree.fromstring(web.read(url)).iter("file"):
                name = entry.get("name", "")
                match = _SITE.fullmatch(name)
                if match is None or match["table"] not in (None, "Posts", "Users", "Comments", "Tags", "PostLinks"):
                    continue
                digest = entry.findtext("sha1") or ""
                checksum = f"sha1:{digest}" if digest else f"md5:{entry.findtext('md5')}"
                file = SourceFile(join_url(base, name), name, int(entry.findtext("size", "")), checksum)
                found.setdefault(match["site"], []).append(file)
        except (ElementTree.ParseError, ValueError) as error:
            raise DataError(f"{url} is not as expected ({error}): try again later.") from None
        for site in self.sites:
            if site not in found:
                raise UsageError(f"there is no site '{site}': {nearest(site, found)}")
        wanted = {site: files for site, files in found.items() if not self.sites or site in self.sites}
        if not self.meta and not self.sites:
            wanted = {
                site: files for site, files in wanted.items() if ".meta." not in site and not site.startswith("meta.")
            }
        if self.largest is not None:
            by_size = sorted(wanted, key=lambda site: (-sum(file.size or 0 for file in wanted[site]), site))
            wanted = {site: wanted[site] for site in by_size[: self.largest]}
        for site in sorted(wanted):
            yield from sorted(wanted[site], key=lambda file: file.name)
