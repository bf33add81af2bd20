"""Files of sets fetched to the disk: whole and as their manifest says, or not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from corpus.data.stored import Digests, Hasher
from corpus.errors import DataError
from corpus.remote.entry import RemoteEntry
from corpus.remote.source import BLOCK, fetch
from corpus.remote.transport import Transport
from corpus.remote.url import shown_url

_PART = ".part"


def _ignore(size: int, present: bool) -> None:
    """Nobody wants to know how far it is."""


def fetch_checked(
    transport: Transport,
    remote: RemoteEntry,
    digests: Digests,
    path: Path,
    tick: Callable[[int, bool], None] = _ignore,
) -> None:
    """Fetch a file to `path`, going on with what an earlier attempt left, and check its digests on the way.

    `tick` hears of bytes that came, or (True) that were there. What is not as the digests say is a DataError, and never at
    `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + _PART)
    hasher = Hasher()
    with part.open("a+b") as file:
        file.seek(0)
        while data := file.read(BLOCK):
            hasher.update(data)
        tick(min(hasher.bytes, digests.size), True)
        for piece in fetch(transport, remote, hasher.bytes, digests.size):
            hasher.update(piece)
            file.write(piece)
            tick(len(piece), False)
        file.flush()
        os.fsync(file.fileno())
    if hasher.digests() != digests:
        part.unlink()
        raise DataError(
            f"{shown_url(remote.url)} is not as its manifest says: push the set again with --overwrite; what was fetched of"
            " it is removed."
        )
    part.replace(path)


def fetch_small(transport: Transport, remote: RemoteEntry, path: Path) -> None:
    """Fetch a small file of which nothing more is known."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}{_PART}")
    part.write_bytes(b"".join(fetch(transport, remote, 0, remote.size)))
    part.replace(path)
