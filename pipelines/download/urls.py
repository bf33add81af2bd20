"""Any files: lists of their URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from corpus.errors import UsageError
from corpus.option import option
from corpus.remote.url import checked_url, is_remote, join_url, shown_url
from pipelines.download.source import SourceFile
from pipelines.download.web import Web

_CHECKSUM = re.compile(r"(md5|sha1|sha256):[0-9a-fA-F]+")


@dataclass(frozen=True)
class UrlsSource:
    """`corpus download urls`. A list has a URL a line, and after it, if wanted, a checksum (`sha256:…`) and the name that the
    file gets; lines that begin with # are none. By itself a file is called after its host and path."""

    domain: ClassVar[str] = "urls"
    base: ClassVar[str] = ""
    doc: ClassVar[str] = "The files of lists of URLs"
    terms: ClassVar[str] = "What the lists hold. robots.txt of the hosts is kept to."
    rate: ClassVar[float] = 1.0
    robots: ClassVar[bool] = True

    lists: tuple[str, ...] = option((), "A file with a URL a line.", flag="--list", metavar="FILE")

    def __post_init__(self) -> None:
        if not self.lists:
            raise UsageError("no list is named: give --list with a file of URLs.")

    def files(self, web: Web, base: str) -> Iterator[SourceFile]:
        """The files in the order of the lists, each URL once."""
        seen: set[str] = set()
        names: dict[str, str] = {}
        for path in self.lists:
            try:
                lines = Path(path).read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"{path} cannot be read ({error}): give a file with a URL a line.") from None
            for number, line in enumerate(lines, 1):
                if not line.strip() or line.lstrip().startswith("#"):
                    continue
                file = _file(line.split(), base, f"{path}, line {number}")
                if file.url in seen:
                    continue
                if file.name in names:
                    raise UsageError(
                        f"{path}, line {number}: {shown_url(file.url)} would be called {file.name} as {names[file.name]} is:"
                        " give one of them a name after its URL."
                    )
                seen.add(file.url)
                names[file.name] = shown_url(file.url)
                yield file


def _file(parts: list[str], base: str, where: str) -> SourceFile:
    url = parts[0] if is_remote(parts[0]) or not base else join_url(base, parts[0].lstrip("/"))
    if not is_remote(url):
        raise UsageError(f"{where}: {parts[0]} is no URL: write one a line, as https://example.org/file.gz.")
    checked_url(url)
    checksum = next((part for part in parts[1:] if _CHECKSUM.fullmatch(part)), "")
    rest = [part for part in parts[1:] if part != checksum]
    if len(rest) > 1:
        raise UsageError(f"{where}: write the URL, then a checksum as sha256:…, then a name without blanks.")
    plain = shown_url(url).partition("://")[2]
    name = rest[0] if rest else plain if not plain.endswith("/") else plain + "index.html"
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise UsageError(f"{where}: '{name}' is no name of a file: give another one after the URL.")
    return SourceFile(url, name, None, checksum.lower())
