"""Packed sets behind URLs: the same rows as those of a local copy, whose shards come as they are needed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.data.dataset import Dataset
from corpus.data.manifest import MANIFEST, Manifest
from corpus.data.packed import PackedRows
from corpus.data.stored import StoredFile
from corpus.errors import DataError, UsageError
from corpus.remote.attempts import retried
from corpus.remote.checked import fetch_small
from corpus.remote.entry import RemoteEntry
from corpus.remote.transport import Transport, entry_or_none, transport_of
from corpus.remote.url import is_remote, join_url, shown_url, url_name
from trainer.data.shard_cache import ShardCache, cache_error, fetch_file

CACHE_BYTES = 20_000_000_000


@dataclass(frozen=True)
class CacheOptions:
    """Where shards of remote sets are kept, and how many bytes of each set."""

    folder: Path
    limit: int = CACHE_BYTES

    @classmethod
    def of(cls, folder: Path | None = None, limit: int = CACHE_BYTES) -> CacheOptions:
        """Those of the user, else a folder below that for caches."""
        usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "corpusmill"
        return cls(folder or usual, limit)


class RemoteRows(PackedRows):
    """A packed set behind a URL. Its manifest and its tokenizer are fetched when it is opened, a shard when a row of it is
    asked for or soon will be."""

    def __init__(self, url: str, cache: CacheOptions) -> None:
        self.url = url.rstrip("/")
        self.cache = cache
        transport = transport_of(url)
        try:
            home = _home(self.url, transport, cache)
            dataset = Dataset.open(home, "packed")
            for entry in dataset.manifest.files:
                stored = dataset.stored(entry)
                if entry.name.startswith("_tokenizer/") and not _is_whole(stored):
                    fetch_file(transport, self.url, entry, stored.path)
        except OSError as error:
            raise cache_error(cache.folder, error) from None
        self.supply = ShardCache(self.url, transport, home, dataset.manifest.shards, cache.limit)
        super().__init__(home)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.url, self.cache)

    def _files(self) -> list[StoredFile]:
        return [self.dataset.stored(entry) for entry in self.manifest.shards]

    def _touch(self, index: int) -> None:
        if not self._mapped or self._mapped[-1] != index:
            self.supply.need(index)
        super()._touch(index)

    def close(self) -> None:
        """Unmap all files and stop fetching."""
        self.supply.close()
        super().close()


def open_rows(place: str | Path, cache: CacheOptions) -> PackedRows:
    """The packed set at a path or behind a URL."""
    return RemoteRows(str(place), cache) if is_remote(str(place)) else PackedRows(place)


def remote_sets(url: str, cache: CacheOptions) -> dict[str, PackedRows]:
    """The packed sets at a URL, one or those right below it, by the names of their folders."""
    transport = transport_of(url)
    root = url.rstrip("/")
    if _manifest_entry(transport, root) is not None:
        return {url_name(root): RemoteRows(root, cache)}
    start = len(shown_url(root)) + 1
    names = [shown_url(entry.url)[start:] for entry in retried(root, lambda: transport.below(root))]
    found = sorted(name.partition("/")[0] for name in names if name.count("/") == 1 and name.endswith(f"/{MANIFEST}"))
    if not found:
        raise UsageError(f"there is no finished set at {shown_url(url)}: give the URL of a packed set, or of several.")
    return {name: RemoteRows(join_url(root, name), cache) for name in found}


def _manifest_entry(transport: Transport, url: str) -> RemoteEntry | None:
    """The manifest of a set; None where there is none."""
    place = join_url(url, MANIFEST)
    return retried(place, lambda: entry_or_none(transport, place))


def _home(url: str, transport: Transport, cache: CacheOptions) -> Path:
    """The folder of a set in the cache, with its manifest: sets of the same contents share one."""
    entry = _manifest_entry(transport, url)
    if entry is None:
        raise UsageError(
            f"there is no finished set at {shown_url(url)} (no {MANIFEST}): give the URL of a packed set that was pushed."
        )
    arrived = cache.folder / f".{os.getpid()}" / MANIFEST
    try:
        fetch_small(transport, entry, arrived)
        home = cache.folder / Manifest.parse(arrived).digest
        home.mkdir(parents=True, exist_ok=True)
        arrived.replace(home / MANIFEST)
    finally:
        arrived.unlink(missing_ok=True)
        arrived.parent.rmdir()
    return home


def _is_whole(file: StoredFile) -> bool:
    try:
        file.check()
    except DataError:
        return False
    return True
