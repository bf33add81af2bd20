"""The rule that keeps documents whose URL is in a list, such as the pages that an encyclopedia cites."""

from __future__ import annotations

import re
from collections.abc import Mapping
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
_SCHEME = re.compile(r"https?://(?:www\.)?", re.I)


@lru_cache(maxsize=2)
def _hashes(path: Path) -> Array[np.uint64]:
    """The hashes of the normalised URLs of a list, ascending: eight bytes a URL."""
    with path.open(encoding="utf-8", errors="replace") as file:
        found = np.fromiter((_hash(line) for line in file if line.strip()), dtype=np.uint64)
    if not len(found):
        raise DataError(f"{path} has no URLs: give a text file with one a line, as corpus references writes it.")
    return np.unique(found)


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

    list: str = option("", "A text file with one URL a line, as corpus references writes it.", metavar="FILE")

    def __post_init__(self) -> None:
        check_options(self, "filter rule cited: ")
        if not Path(self.list).is_file():
            raise UsageError(
                f"filter rule cited: '{self.list}' is no file: give --set cited.list=FILE, one URL a line."
            )

    def files(self) -> Mapping[str, Path]:
        return {"list": Path(self.list)}

    def prepare(self) -> None:
        _hashes(Path(self.list))

    def apply(self, batch: DocumentBatch) -> Mapped:
        known = _hashes(Path(self.list))
        urls = batch.column("url").to_pylist()
        hashes = np.array([_hash(url) if url else 0 for url in urls], dtype=np.uint64)
        places = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
        cited = (known[places] == hashes) & np.array([bool(url) for url in urls], dtype=np.bool_)
        return Mapped(reasons=pa.array([NOT_CITED] * len(urls), pa.string(), mask=cited))
