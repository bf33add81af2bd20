"""`corpus push DIR URL`: finished datasets to an object store.

A set is whole when its manifest is there, which is written last, after all else was found there with its size. While
it is being written, a mark says of which manifest its files are, so that a later push of the same goes on, and one of
another set begins anew.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from corpus.data.manifest import MANIFEST, FileEntry, ShardEntry
from corpus.data.stored import StoredFile
from corpus.errors import DataError, UsageError
from corpus.remote.attempts import retried
from corpus.remote.entry import RemoteEntry
from corpus.remote.source import fetch
from corpus.remote.transport import Transport
from corpus.remote.url import HTTP, join_url, scheme_of, shown_url
from corpus.transfer.contents import MARK, SetContents, local_contents
from corpus.transfer.work import Tally, in_parallel

THREADS = 8
"""Files at the same time."""


@dataclass(frozen=True)
class Push:
    """One push; `overwrite` replaces other sets at the URL."""

    folder: Path
    url: str
    transport: Transport
    threads: int = THREADS
    overwrite: bool = False
    quiet: bool = False

    def run(self) -> str:
        """Push what is not there yet; what was done, in words."""
        if scheme_of(self.url) in HTTP:
            raise UsageError(
                f"nothing can be written to {shown_url(self.url)}: give a URL of an object store, as s3://bucket/name."
            )
        sets, beside = local_contents(self.folder)
        there = self._listing()
        for contents in sets:
            self._check(contents, there)
        tally = Tally(sum(contents.bytes for contents in sets), self.quiet)
        for contents in sets:
            self._set(contents, there, tally)
        for name in beside:
            self._put(name)
        number = f"{len(sets)} set{'s' if len(sets) > 1 else ''}"
        return f"{shown_url(self.url)} has {number}: {tally.end()}"

    def _listing(self) -> dict[str, RemoteEntry]:
        """What is at the URL, by name below it."""
        root = shown_url(self.url).rstrip("/") + "/"
        entries = retried(self.url, lambda: self.transport.below(self.url))
        return {shown_url(entry.url).removeprefix(root): entry for entry in entries}

    def _check(self, contents: SetContents, there: Mapping[str, RemoteEntry]) -> None:
        """A UsageError where another finished set is in the way."""
        if self.overwrite or (entry := there.get(contents.name(MANIFEST))) is None:
            return
        if self._remote_digest(entry) != contents.manifest.digest:
            raise UsageError(
                f"{shown_url(entry.url)} is of another set: give another URL, or --overwrite to replace what is there."
            )

    def _remote_digest(self, entry: RemoteEntry) -> str:
        try:
            return str(json.loads(self._bytes(entry))["digest"])
        except (ValueError, KeyError, TypeError):
            return ""

    def _bytes(self, entry: RemoteEntry) -> bytes:
        return b"".join(fetch(self.transport, entry, 0, entry.size))

    def _set(self, contents: SetContents, there: dict[str, RemoteEntry], tally: Tally) -> None:
        manifest = there.get(contents.name(MANIFEST))
        whole = manifest is not None and self._remote_digest(manifest) == contents.manifest.digest
        if whole and not self._missing(contents, there):
            tally.add(contents.bytes, present=True)
            return
        self._begin(contents, there)
        wanted = self._missing(contents, there)
        tally.add(contents.bytes - sum(entry.bytes for entry in wanted), present=True)
        in_parallel(lambda entry: self._put_entry(contents, entry, tally), wanted, self.threads)
        left = self._missing(contents, self._listing())
        if left:
            raise DataError(
                f"{shown_url(join_url(self.url, contents.name(left[0].name)))} is not there as it was written, or something"
                " else writes there: run the same command again."
            )
        for name in contents.last:
            if (self.folder / contents.name(name)).is_file():
                self._put(contents.name(name))
        self._remove(contents.name(MARK))

    def _missing(self, contents: SetContents, there: Mapping[str, RemoteEntry]) -> list[ShardEntry | FileEntry]:
        """The files that are not there with their size."""
        found = []
        for entry in contents.entries:
            remote = there.get(contents.name(entry.name))
            if remote is None or remote.size != entry.bytes:
                found.append(entry)
        return found

    def _begin(self, contents: SetContents, there: dict[str, RemoteEntry]) -> None:
        """Mark the place as that of this set. What is of another one goes, its manifest first."""
        mark = there.get(contents.name(MARK))
        ours = {"digest": contents.manifest.digest}
        if mark is not None and mark.size < 1000 and _parsed(self._bytes(mark)) == ours:
            return
        known = {contents.name(entry.name) for entry in contents.entries}
        own = f"{contents.place}/" if contents.place else ""
        stale = [name for name in there if name in known or (name.startswith(own) and _is_of_a_set(name[len(own) :]))]
        for name in sorted(stale, key=lambda name: not name.endswith(MANIFEST)):
            self._remove(name)
            del there[name]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(ours, file)
            file.flush()
            self._put_file(Path(file.name), contents.name(MARK))

    def _put_entry(self, contents: SetContents, entry: ShardEntry | FileEntry, tally: Tally) -> None:
        """Upload a file that is as the manifest says."""
        path = self.folder / contents.name(entry.name)
        StoredFile(path, entry.bytes, entry.blocks, "run again, with --overwrite, the command that made it").check()
        self._put_file(path, contents.name(entry.name))
        tally.add(entry.bytes)

    def _put(self, name: str) -> None:
        self._put_file(self.folder / name, name)

    def _put_file(self, path: Path, name: str) -> None:
        url = join_url(self.url, name)
        retried(url, lambda: self.transport.put(path, url))

    def _remove(self, name: str) -> None:
        url = join_url(self.url, name)
        retried(url, lambda: self.transport.remove(url))


def _is_of_a_set(name: str) -> bool:
    """Whether a file lies where a dataset has its own."""
    head = name.partition("/")[0]
    return head.startswith("_") or ("/" not in name and (name == MANIFEST or name.endswith((".parquet", ".arrow"))))


def _parsed(data: bytes) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return None
