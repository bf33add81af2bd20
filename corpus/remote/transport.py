"""How files are listed, read and written where a URL points: one transport for HTTP, one for all that fsspec speaks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Protocol

from corpus.remote.attempts import is_gone
from corpus.remote.entry import RemoteEntry
from corpus.remote.url import HTTP, checked_url, scheme_of


class Transport(Protocol):
    """Each call is made once and raises what the network or the store says; `attempts.py` makes it again."""

    def entry(self, url: str) -> RemoteEntry | None:
        """The file at `url`; None where it is a folder. A FileNotFoundError or an error of status 404 where nothing is."""
        ...

    def below(self, url: str) -> list[RemoteEntry]:
        """All files below the folder `url`, in any order; none where nothing is."""
        ...

    def matching(self, pattern: str) -> list[RemoteEntry]:
        """The files that a pattern with wildcards matches."""
        ...

    def read(self, entry: RemoteEntry, start: int, stop: int) -> Iterator[bytes]:
        """Bytes `start` to `stop` of a file, in pieces. Fewer come where the connection is cut."""
        ...

    def put(self, path: Path, url: str) -> None:
        """Write a local file to `url`, whole or not at all."""
        ...

    def remove(self, url: str) -> None:
        """Remove a file; nothing where there is none."""
        ...


def transport_of(url: str) -> Transport:
    """The transport that speaks the scheme of a URL; a UsageError for a URL that nothing can be done with, an ImportError
    where a package is not installed."""
    checked_url(url)
    return _transport(scheme_of(url))


def entry_or_none(transport: Transport, url: str) -> RemoteEntry | None:
    """The file at `url`; None for a folder, and where nothing is."""
    try:
        return transport.entry(url)
    except Exception as error:
        if is_gone(error):
            return None
        raise


@cache
def _transport(scheme: str) -> Transport:
    if scheme in HTTP:
        from corpus.remote.http import HttpTransport

        return HttpTransport()
    from corpus.remote.store import StoreTransport

    return StoreTransport(scheme)
