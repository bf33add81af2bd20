"""What a source of raw files is: it names its files; the downloader fetches them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

from pipelines.download.web import Web


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file that a source has."""

    url: str
    name: str
    """Its path below the folder of the domain, with '/' between its parts."""
    size: int | None = None
    """Bytes, where the source says so."""
    checksum: str = ""
    """`md5:…`, `sha1:…` or `sha256:…` in hexadecimal digits, where the source says so."""


class Source(Protocol):
    """Where raw files of a domain are published. A frozen dataclass: its documented fields are the options of
    `corpus download NAME`, and keys of `download` in a recipe."""

    domain: ClassVar[str]
    """The folder of RAW that its files go to: that of the domain whose reader reads them."""
    base: ClassVar[str]
    """The URL below which everything of it lies; --base gives that of a mirror."""
    doc: ClassVar[str]
    """One line: what it is."""
    terms: ClassVar[str]
    """How large it is, and under which terms it is given."""
    rate: ClassVar[float]
    """Requests a second that its operators are content with."""
    robots: ClassVar[bool]
    """Whether what the hosts' robots.txt wants to be left alone is left out: of sites that are for people. Hosts of dumps mean
    other programs by it."""

    def files(self, web: Web, base: str) -> Iterator[SourceFile]:
        """Its files, in an order that stays; the lists of the source are read through `web`."""
        ...
