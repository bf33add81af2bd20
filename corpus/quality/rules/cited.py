"""The rule that keeps documents whose URL is in a list, such as the pages that an encyclopedia cites."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import xxhash

from corpus.config import check_options
from corpus.data.buffers import Array
from corpus.engine.document_map import DocumentBatch, DocumentMap, Mapped
from corpus.errors import DataError, UsageError
from corpus.option import option

NOT_CITED = "cited: not in the list"
LINKS = "links.txt"
"""The list in the output of `corpus references`."""
_SCHEME = re.compile(r"https?://(?:www\.)?", re.I)


def links_file(given: Path) -> Path:
    """The list that a path means: itself, or that in the output of `corpus references`. A UsageError where there is none."""
    file = given / LINKS if given.is_dir() else given
    if not file.is_file():
        raise UsageError(
            f"'{given}' is no list of URLs: give the output of corpus references, or a file with a URL a line."
        )
    return file


@lru_cache(maxsize=2)
def load_links(file: Path) -> Array[np.uint64]:
    """The hashes of the normalised URLs of a list, ascending: eight bytes a URL."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        return np.unique(np.fromiter((_hash(line) for line in lines if line.strip()), dtype=np.uint64))


def listed(urls: Sequence[str | None], known: Array[np.uint64]) -> Array[np.bool_]:
    """Which of `urls` are in a list (`load_links`): bool[n]."""
    if not len(known):
        return np.zeros(len(urls), np.bool_)
    hashes = np.array([_hash(url) if url else 0 for url in urls], dtype=np.uint64)
    places = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    found: Array[np.bool_] = (known[places] == hashes) & np.array([bool(url) for url in urls], dtype=np.bool_)
    return found


def normalized(url: str) -> str:
    """A URL without scheme, `www.`, fragment and slashes at the end, its host in lower case."""
    start = _SCHEME.match(url)
    host, slash, rest = url[start.end() if start else 0 :].partition("#")[0].partition("/")
    return f"{host.lower()}{slash}{rest}".rstrip("/")


def _hash(url: str) -> int:
    """xxh3-64 of a normalised URL: of a billion documents and a list of forty millions one in 460 lists errs once."""
    return xxhash.xxh3_64_intdigest(normalized(url.strip()).encode("utf-8", "replace"))


@dataclass(frozen=True)
class Cited(DocumentMap):
    """Keeps documents whose URL is in a list; scheme, `www.`, fragment and slashes at the end do not count."""

    name: ClassVar[str] = "cited"

    list: str = option("", "The output of corpus references, or a text file with one URL a line.", metavar="PATH")

    def __post_init__(self) -> None:
        check_options(self, "filter rule cited: ")
        if not self.list:
            raise UsageError(
                "filter rule cited has no list: give --set cited.list=PATH, the output of corpus references."
            )

    def files(self) -> Mapping[str, Path]:
        return {"list": links_file(Path(self.list))}

    def prepare(self) -> None:
        self._known()

    def _known(self) -> Array[np.uint64]:
        file = links_file(Path(self.list))
        known = load_links(file)
        if not len(known):
            raise DataError(f"{file} has no URLs: give a text file with one a line, as corpus references writes it.")
        return known

    def apply(self, batch: DocumentBatch) -> Mapped:
        urls = batch.column("url").to_pylist()
        return Mapped(reasons=pa.array([NOT_CITED] * len(urls), pa.string(), mask=listed(urls, self._known())))
