"""arXiv's sources: the bucket whose traffic the requester pays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar
from xml.etree import ElementTree

from corpus.errors import DataError, UsageError
from corpus.option import option
from corpus.remote.url import join_url
from pipelines.download.source import SourceFile
from pipelines.download.web import Web

_MONTH = re.compile(r"\d{4}")
_FIRST_YEAR = 91


@dataclass(frozen=True)
class ArxivSource:
    """`corpus download arxiv`. `src/arXiv_src_manifest.xml` lists the tars of papers of each month with size and MD5."""

    domain: ClassVar[str] = "arxiv"
    base: ClassVar[str] = "s3://arxiv"
    doc: ClassVar[str] = "arXiv's LaTeX sources from its requester-pays bucket"
    terms: ClassVar[str] = (
        "About 5 TB in tars of 500 MB. Amazon bills what leaves its region to you, about 0.09 USD a GB: --dry-run says how many there"
        " are. Most papers may not be passed on: info.arxiv.org/help/license."
    )
    rate: ClassVar[float] = 4.0
    robots: ClassVar[bool] = False
    requester_pays: ClassVar[bool] = True

    first: str = option("9107", "The first month, as 2301.", flag="--from", metavar="YYMM")
    last: str = option("9012", "The last month, as 2312. Default: all that there are.", flag="--to", metavar="YYMM")

    def files(self, web: Web, base: str) -> Iterator[SourceFile]:
        """The tars in the order of their months."""
        for name, month in (("--from", self.first), ("--to", self.last)):
            if not _MONTH.fullmatch(month) or not 1 <= int(month[2:]) <= 12:
                raise UsageError(f"{name} is {month}: give year and month as four digits, as 2301.")
        found = []
        url = join_url(base, "src/arXiv_src_manifest.xml")
        try:
            for entry in ElementTree.fromstring(web.read(url)).iter("file"):
                name, month = entry.findtext("filename", ""), entry.findtext("yymm", "")
                size, digest = int(entry.findtext("size", "")), entry.findtext("md5sum", "")
                if _MONTH.fullmatch(month) and _order(self.first) <= _order(month) <= _order(self.last):
                    number = int(entry.findtext("seq_num", "0"))
                    found.append((_order(month), number, name, size, digest))
        except (ElementTree.ParseError, ValueError) as error:
            raise DataError(f"{url} is not as expected ({error}): try again later.") from None
        if not found:
            raise UsageError(f"there are no papers from {self.first} to {self.last}: give other months.")
        for _, _, name, size, digest in sorted(found):
            yield SourceFile(join_url(base, name), name.rpartition("/")[2], size, f"md5:{digest}" if digest else "")


def _order(month: str) -> int:
    """Months in the order of time: 9107 to 9912, then 0001 on; 9012 is later than all."""
    year = int(month[:2])
    return (year if year >= _FIRST_YEAR else year + 100) * 100 + int(month[2:])
