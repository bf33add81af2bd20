"""Remote files and folders where paths are taken."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from pathlib import Path, PosixPath
from typing import Any, BinaryIO, cast

from corpus.errors import UsageError
from corpus.remote.entry import RemoteEntry
from corpus.remote.listing import entry_at, folders_below, forget_listings
from corpus.remote.source import RemoteSource
from corpus.remote.url import checked_url, is_remote, join_url, shown_url, url_name


class RemotePath(PosixPath):
    """A URL as a path: its name, size, contents and what lies below it. It is no place on this machine, and shown without
    what could be secret. While a task reads it, `source` serves it."""

    __slots__ = ("_entry", "_source", "_url")

    _url: str
    _entry: RemoteEntry | None
    _source: RemoteSource | None

    @classmethod
    def of(cls, url: str, entry: RemoteEntry | None = None, source: RemoteSource | None = None) -> RemotePath:
        """The path of a URL; `entry` is what was listed of it."""
        path = cls(f"/{shown_url(url).partition('://')[2].rpartition('/')[0]}", url_name(url))
        path._url, path._entry, path._source = url, entry, source
        return path

    @property
    def url(self) -> str:
        """The whole URL, with what may be secret."""
        return self._url

    @property
    def entry(self) -> RemoteEntry:
        """The file as it was listed."""
        found = self._entry or entry_at(self._url)
        if found is None:
            raise IsADirectoryError(f"{self} is a folder")
        return found

    def served(self, source: RemoteSource) -> RemotePath:
        """The same, read through `source`."""
        return RemotePath.of(self._url, self._entry, source)

    def open(self, mode: str = "r", buffering: int = -1, *args: Any, **options: Any) -> Any:
        """The stored bytes, as a file."""
        if mode != "rb" or self._source is None:
            raise UsageError(f"{self} is not on this machine: fetch it first (corpus download urls), or give a path.")
        return cast(BinaryIO, self._source.open())

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Kind and size alone."""
        entry = self._entry or entry_at(self._url)
        kind = stat.S_IFDIR | 0o500 if entry is None else stat.S_IFREG | 0o400
        return os.stat_result((kind, 0, 0, 0, 0, 0, 0 if entry is None else entry.size, 0, 0, 0))

    def iterdir(self) -> Generator[RemotePath, None, None]:
        """The folders right below a folder."""
        yield from (self / name for name in folders_below(self._url))

    def resolve(self, strict: bool = False) -> RemotePath:
        """Itself."""
        return self

    absolute = resolve

    def __truediv__(self, key: Any) -> RemotePath:
        return RemotePath.of(join_url(self._url, str(key)))

    def __str__(self) -> str:
        try:
            return shown_url(self._url)
        except AttributeError:  # a folder above one, which is no more than its name
            return super().__str__()

    def __fspath__(self) -> str:
        raise UsageError(f"{self} is not on this machine: fetch it first (corpus download urls), or give a path.")

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return RemotePath.of, (self._url, self._entry)


def place(argument: Path | str) -> Path:
    """What an argument of a command names: a path, or the path of a URL, of which all is listed anew."""
    if not is_remote(str(argument)):
        return Path(argument)
    forget_listings()
    return RemotePath.of(checked_url(str(argument)))
