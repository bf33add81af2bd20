"""Raw files that are not on this machine, as a reader gets them: streamed, fetched for the time of reading, or cached."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from corpus.data.files import checksum, digest_of, sync_file, write_atomic
from corpus.errors import DataError
from corpus.ingest.reader import RawFile, Reader
from corpus.remote.path import RemotePath
from corpus.remote.source import RemoteSource, opened_source

LISTING = "listing.json"
"""In a stage's working folder: what lay at the URLs of its inputs when they were listed."""
_DIGEST = "digest"
"""The file next to a cached one that has its xxh3-128."""


@dataclass
class OpenedRaw:
    """A raw file while a reader reads it."""

    file: RawFile
    source: RemoteSource | None = None
    known: str = ""
    """The digest of a cached file."""

    def digest(self, whole: bool) -> str:
        """For the manifest: xxh3-128 of a remote file's contents, equal to that of a local one; where it is not read
        `whole`, of its size and of what the store calls its version. Empty for a local file."""
        if self.source is None:
            return self.known
        if not whole:
            self.source.check_unchanged()
            return version_digest(self.source.entry.identity)
        return self.source.digest()


def version_digest(identity: str) -> str:
    """What stands for the digest of a remote file that was not read whole."""
    return digest_of(["version", identity])


@contextmanager
def opened_raw(file: RawFile, reader: Reader, folder: Path, cache: str = "") -> Iterator[OpenedRaw]:
    """The file for the time of its reading. One on this machine is itself.

    A remote one is taken from `cache`, where one is given; a reader that says `streams` reads it through `RemotePath.open`,
    block by block; for any other it is fetched below `folder`, which is gone afterwards.
    """
    path = file.path
    if not isinstance(path, RemotePath):
        yield OpenedRaw(file)
        return
    folder.mkdir()
    try:
        with opened_source(path.entry, folder) as source:
            if cache:
                place, digest = _cached(source, path, Path(cache))
                yield OpenedRaw(replace(file, path=place), None, digest)
            elif getattr(reader, "streams", False):
                yield OpenedRaw(replace(file, path=path.served(source)), source)
            else:
                place = folder / path.parent.name / path.name  # some readers know a site by its folder
                place.parent.mkdir(exist_ok=True)
                source.fetched().rename(place)
                yield OpenedRaw(replace(file, path=place), source)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cached(source: RemoteSource, path: RemotePath, cache: Path) -> tuple[Path, str]:
    """The file in the cache, and its digest, which is checked; it is fetched where it is not there or not whole."""
    entry = source.entry
    home = cache / digest_of([str(path), entry.identity])
    place = home / path.parent.name / path.name
    try:
        known = (home / _DIGEST).read_text(encoding="ascii").strip()
        if place.stat().st_size == entry.size and checksum(place) == known:
            return place, known
    except OSError:
        pass  # not there, or not whole
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        fetched = source.fetched()
        digest = source.digest()
        part = place.with_name(f".{place.name}.{os.getpid()}.part")
        try:
            shutil.copyfile(fetched, part)
            sync_file(part)
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)
        write_atomic(home / _DIGEST, digest + "\n")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"the disk of the cache {cache} is full: free some space, or give another --cache or none."
            ) from None
        raise
    return place, digest
