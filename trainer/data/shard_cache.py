"""Shards of a remote packed set on this machine: fetched ahead of need, checked, as many as the cache may hold, and shared by
the processes of a host."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from corpus.data.manifest import FileEntry, ShardEntry
from corpus.data.stored import DamagedFileError, Digests, StoredFile
from corpus.errors import DataError
from corpus.remote.attempts import retried
from corpus.remote.checked import fetch_checked
from corpus.remote.transport import Transport
from corpus.remote.url import join_url, shown_url

AHEAD = 2
"""Shards that are fetched before they are needed: order on disk is training order."""
_REMEDY = "remove it, it is fetched again"


@dataclass
class ShardCache:
    """The shards of one set in the folder `home`.

    Whoever needs a shard holds the lock of its name while it fetches it, so that of the processes of a host one does and
    the others wait. Shards that were read are removed first when there are more than `limit` bytes; who still needs one
    fetches it again, and one that is mapped stays readable.
    """

    url: str
    transport: Transport
    home: Path
    shards: tuple[ShardEntry, ...]
    limit: int

    def __post_init__(self) -> None:
        self._coming: dict[int, Future[None]] = {}
        self._checked: set[int] = set()
        self._pool: ThreadPoolExecutor | None = None

    def need(self, index: int) -> None:
        """Have shard `index` on this machine, and those after it on their way."""
        coming = self._coming.pop(index, None)
        if coming is not None:
            coming.exception()  # what failed ahead of need is tried again now, and said if it fails again
        self._have(index)
        self._ask_ahead(index)
        self._trim(index)

    def close(self) -> None:
        """Give up what is under way."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        self._coming.clear()

    def _path(self, index: int) -> Path:
        return self.home / self.shards[index].name

    def _have(self, index: int) -> None:
        path = self._path(index)
        if index in self._checked and path.exists():
            return
        with self._said(), self._locked(index):
            entry = self.shards[index]
            if path.exists():  # of another process, or of an earlier run
                try:
                    StoredFile(path, entry.bytes, entry.blocks, _REMEDY).check()
                except DamagedFileError:
                    path.unlink()
            if not path.exists():
                fetch_file(self.transport, self.url, entry, path)
        self._checked.add(index)

    def _ask_ahead(self, index: int) -> None:
        room = self.limit - self.shards[index].bytes
        for following in range(index + 1, min(index + 1 + AHEAD, len(self.shards))):
            room -= self.shards[following].bytes
            if following > index + 1 and room < 0:
                break
            if following not in self._coming and not (following in self._checked and self._path(following).exists()):
                self._pool = self._pool or ThreadPoolExecutor(AHEAD, thread_name_prefix="shards")
                self._coming[following] = self._pool.submit(self._have, following)

    def _trim(self, index: int) -> None:
        """Remove shards until no more than `limit` bytes are left: those longest before this one first, then those
        farthest after it. This one and those that come next stay."""
        kept = range(max(0, index - 1), index + 1 + AHEAD)
        there = [number for number in range(len(self.shards)) if self._path(number).exists()]
        size = sum(self.shards[number].bytes for number in there)
        before = [number for number in there if number < kept.start]
        after = [number for number in reversed(there) if number >= kept.stop]
        for number in before + after:
            if size <= self.limit:
                return
            self._path(number).unlink(missing_ok=True)
            self._checked.discard(number)
            size -= self.shards[number].bytes

    @contextmanager
    def _locked(self, index: int) -> Iterator[None]:
        descriptor = os.open(self.home / f".{self.shards[index].name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise cache_error(self.home, error) from None


def cache_error(home: Path, error: OSError) -> DataError:
    """What is wrong with the disk of a cache, and what can be done."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(
            f"the disk of the cache {home} is full: free some space, or give a smaller --data-cache-bytes or another"
            " --data-cache; the same command goes on."
        )
    return DataError(f"the cache {home} cannot be used ({error.strerror}): give another --data-cache.")


def fetch_file(transport: Transport, url: str, entry: ShardEntry | FileEntry, path: Path) -> None:
    """Fetch a file that a manifest lists."""
    place = join_url(url, entry.name)
    remote = retried(place, lambda: transport.entry(place))
    if remote is None or remote.size != entry.bytes:
        raise DataError(f"{shown_url(place)} has not the size that its manifest says: push the set again.")
    fetch_checked(transport, remote, Digests(entry.bytes, entry.checksum, entry.blocks), path)
