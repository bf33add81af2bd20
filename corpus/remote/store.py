"""Object stores and whatever else fsspec speaks: S3, Google's storage, the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from corpus.remote.entry import RemoteEntry
from corpus.remote.url import scheme_of

_REQUEST_BYTES = 16 << 20
_VERSIONS = ("ETag", "etag", "generation", "lfs", "blob_id", "md5", "checksum", "LastModified", "mtime", "created")
"""Where stores say in which state a file is, the surest first."""


class StoreTransport:
    """A file system of fsspec. It takes its credentials from where its package looks for them: variables of the
    environment, and files in the home folder."""

    def __init__(self, scheme: str, **options: Any) -> None:
        self.scheme = scheme
        self._options = options

    @cached_property
    def _files(self) -> Any:
        import fsspec

        # what is listed is listed anew: ours is the only memory of it
        return fsspec.filesystem(self.scheme, use_listings_cache=False, skip_instance_cache=True, **self._options)

    def entry(self, url: str) -> RemoteEntry | None:
        """The file at `url`."""
        info = self._files.info(_path(url))
        return self._entry(info) if info["type"] == "file" else None

    def below(self, url: str) -> list[RemoteEntry]:
        """All files below a folder, by one listing."""
        try:
            found = self._files.find(_path(url).rstrip("/"), detail=True)
        except FileNotFoundError:
            return []
        return [self._entry(info) for info in found.values() if info["type"] == "file"]

    def matching(self, pattern: str) -> list[RemoteEntry]:
        """The files that a pattern matches."""
        found = self._files.glob(_path(pattern), detail=True)
        return [self._entry(info) for info in found.values() if info["type"] == "file"]

    def read(self, entry: RemoteEntry, start: int, stop: int) -> Iterator[bytes]:
        """A range, by requests of some megabytes each: what one gives is held in memory."""
        path = _path(entry.url)
        for begin in range(start, stop, _REQUEST_BYTES):
            wanted = min(_REQUEST_BYTES, stop - begin)
            data = self._files.cat_file(path, start=begin, end=begin + wanted)
            yield data
            if len(data) < wanted:
                return

    def put(self, path: Path, url: str) -> None:
        """Upload a file. Object stores show it when it is whole."""
        self._files.put_file(str(path), _path(url))

    def remove(self, url: str) -> None:
        """Remove a file."""
        try:
            self._files.rm_file(_path(url))
        except FileNotFoundError:
            pass

    def _entry(self, info: Mapping[str, Any]) -> RemoteEntry:
        versions = (_version(info[name]) for name in _VERSIONS if info.get(name))
        name = str(info["name"]).lstrip("/") if self.scheme != "file" else str(info["name"])
        return RemoteEntry(f"{self.scheme}://{name}", int(info.get("size") or 0), next(versions, ""))


def _version(value: Any) -> str:
    """A version as text. The hub's is an object that has the SHA-256 of the contents."""
    digest = getattr(value, "sha256", None) or (value.get("sha256") if isinstance(value, Mapping) else None)
    return str(digest or value).strip('"')


def _path(url: str) -> str:
    """What fsspec calls a file of its file system."""
    return url[len(scheme_of(url)) + len("://") :]
