"""`corpus pull URL DIR`: finished datasets from an object store, a web server or the hub, checked against their manifests.

Files come under other names and are renamed when they are whole and as the manifest says; the manifest comes last. What
a command that was stopped had fetched is checked and kept.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from corpus.data.dataset import Dataset
from corpus.data.manifest import CLEANED, MANIFEST, FileEntry, Manifest, ShardEntry
from corpus.data.stored import DamagedFileError, Digests, StoredFile
from corpus.engine.lock import locked
from corpus.engine.runner import clear_dataset, disk_error
from corpus.errors import DataError, UsageError
from corpus.remote.attempts import retried
from corpus.remote.checked import fetch_checked, fetch_small
from corpus.remote.entry import RemoteEntry
from corpus.remote.transport import Transport, entry_or_none
from corpus.remote.url import join_url, path_name, shown_url
from corpus.transfer.contents import BESIDE, MARK, SetContents
from corpus.transfer.work import Tally, in_parallel

_FETCHED = "_log/pull"
"""Where manifests lie until their sets are whole."""


@dataclass(frozen=True)
class Pull:
    """One pull; `overwrite` replaces other sets in the folder."""

    url: str
    folder: Path
    transport: Transport
    threads: int = 8
    overwrite: bool = False
    quiet: bool = False

    def run(self) -> str:
        """Fetch what is not there yet; what was done, in words."""
        if self.folder.exists() and not self.folder.is_dir():
            raise UsageError(f"{self.folder} is a file: give a folder.")
        there = self._listing()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(self.folder, lambda line: None):
                return self._pull(there)
        except OSError as error:
            raise disk_error(self.folder, error) from error

    def _pull(self, there: Mapping[str, RemoteEntry]) -> str:
        sets = [self._contents(name, there) for name in sorted(there) if name.rpartition("/")[2] == MANIFEST]
        for contents in sets:
            self._make_room(contents)
        tally = Tally(sum(contents.bytes for contents in sets), self.quiet)
        for contents in sets:
            self._set(contents, there, tally)
        if any(contents.place for contents in sets):
            for name in sorted(there):
                if name in BESIDE or name == "documents/README.md" or name.startswith("removals/"):
                    self._small(name, there[name])
        shutil.rmtree(self.folder / _FETCHED, ignore_errors=True)
        number = f"{len(sets)} set{'s' if len(sets) > 1 else ''}"
        return f"{self.folder} has {number}: {tally.end()}"

    def _listing(self) -> dict[str, RemoteEntry]:
        """What is at the URL, by name below it; a UsageError where no set is whole there."""
        manifest = self._single()
        if manifest is not None:
            return manifest
        root = len(shown_url(self.url).rstrip("/")) + 1
        entries = retried(self.url, lambda: self.transport.below(self.url))
        there = {path_name(entry.url, root): entry for entry in entries}
        if not any(name.rpartition("/")[2] == MANIFEST for name in there):
            begun = any(name.rpartition("/")[2] == MARK for name in there)
            why = "what is there was not pushed to its end" if begun else "a set has a manifest.json"
            raise UsageError(f"there is no finished dataset at {shown_url(self.url)} ({why}): check the URL.")
        return there

    def _single(self) -> dict[str, RemoteEntry] | None:
        """The files of a set on a server that may not list them, as its manifest names them; None where the URL is not
        that of one set on a web server."""
        if not self.url.startswith("http"):
            return None
        entry = self._entry(MANIFEST)
        if entry is None:
            return None
        self._small(f"{_FETCHED}/{MANIFEST}", entry)
        manifest = Manifest.parse(self.folder / _FETCHED / MANIFEST)
        found = {MANIFEST: entry}
        for name in [*(e.name for e in manifest.entries), "README.md", CLEANED.as_posix()]:
            if (one := self._entry(name)) is not None:
                found[name] = one
        return found

    def _entry(self, name: str) -> RemoteEntry | None:
        url = join_url(self.url, name)
        return retried(url, lambda: entry_or_none(self.transport, url))

    def _contents(self, name: str, there: Mapping[str, RemoteEntry]) -> SetContents:
        place = name.rpartition("/")[0]
        target = f"{_FETCHED}/{name}"
        self._small(target, there[name])
        manifest = Manifest.parse(self.folder / target)
        own = f"{place}/" if place else ""
        contents = SetContents(place, manifest, own + CLEANED.as_posix() in there)
        for entry in contents.entries:
            remote = there.get(contents.name(entry.name))
            if remote is None or remote.size != entry.bytes:
                raise DataError(
                    f"{shown_url(join_url(self.url, contents.name(entry.name)))} is missing or has another size than its"
                    " manifest says: push the set again with --overwrite."
                )
        return contents

    def _make_room(self, contents: SetContents) -> None:
        """Refuse, or with `overwrite` remove, another set in the place of this one."""
        path = self.folder / contents.place
        if not (path / MANIFEST).exists() or Dataset.open(path).digest == contents.manifest.digest:
            return
        if not self.overwrite:
            raise UsageError(f"{path} holds another set: give another folder, or --overwrite to replace it.")
        clear_dataset(path)

    def _set(self, contents: SetContents, there: Mapping[str, RemoteEntry], tally: Tally) -> None:
        path = self.folder / contents.place
        path.mkdir(parents=True, exist_ok=True)
        in_parallel(lambda entry: self._fetch(contents, entry, there, tally), contents.entries, self.threads)
        for name in contents.last[:-1]:
            if contents.name(name) in there:
                self._small(contents.name(name), there[contents.name(name)])
        fetched = self.folder / _FETCHED / contents.name(MANIFEST)
        os.replace(fetched, path / MANIFEST)

    def _fetch(
        self, contents: SetContents, entry: ShardEntry | FileEntry, there: Mapping[str, RemoteEntry], tally: Tally
    ) -> None:
        """Fetch one file that is not there as it should be."""
        name = contents.name(entry.name)
        path = self.folder / name
        remote = there[name]
        if path.exists():
            try:
                StoredFile(path, entry.bytes, entry.blocks, "").check()
            except DamagedFileError:
                path.unlink()
            else:
                tally.add(entry.bytes, present=True)
                return
        fetch_checked(self.transport, remote, Digests(entry.bytes, entry.checksum, entry.blocks), path, tally.add)

    def _small(self, name: str, entry: RemoteEntry) -> None:
        fetch_small(self.transport, entry, self.folder / name)
