"""Files of a data set of the Hugging Face hub."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence

from corpus.errors import UsageError
from corpus.remote.url import join_url, path_name, shown_url
from pipelines.download.source import SourceFile
from pipelines.download.web import Web

_SHA256 = re.compile("[0-9a-f]{64}")


def hub_files(web: Web, base: str, folder: str, patterns: Sequence[str]) -> Iterator[SourceFile]:
    """The files below `folder` of the data set at `base` whose names match a pattern, by name. The hub knows large files by
    their SHA-256."""
    root = shown_url(base).rstrip("/") + "/"
    found = 0
    for entry in sorted(web.below(join_url(base, folder) if folder else base), key=lambda entry: entry.url):
        # the listing names a branch, the base need not
        name = (
            path_name(entry.url, len(root)) if entry.url.startswith(root) else folder + entry.url.partition(folder)[2]
        )
        if any(fnmatch.fnmatchcase(name.rpartition("/")[2], pattern) for pattern in patterns):
            found += 1
            checksum = f"sha256:{entry.version}" if _SHA256.fullmatch(entry.version) else ""
            yield SourceFile(entry.url, name, entry.size, checksum)
    if not found:
        raise UsageError(
            f"there are no such files at {shown_url(join_url(base, folder))}: check the options, or --base."
        )
