"""Finished datasets to a data set of the Hugging Face hub, through the hub's own library.

The hub takes files in commits, each whole or not at all, and knows contents by their SHA-256: what is there already is not
sent again, so that a push that was stopped goes on. The manifests of the sets and the card come in the last commit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus.data.card import sets_card
from corpus.data.manifest import MANIFEST
from corpus.data.stored import StoredFile
from corpus.errors import UsageError
from corpus.remote.attempts import retried
from corpus.remote.url import shown_url
from corpus.transfer.contents import SetContents, local_contents
from corpus.transfer.work import Tally

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

_URL = re.compile(r"hf://datasets/(?P<repo>[^/@]+/[^/@]+)(?:@(?P<revision>[^/]+))?(?:/(?P<folder>.*))?")
_COMMIT_FILES = 100
_COMMIT_BYTES = 20_000_000_000


@dataclass(frozen=True)
class HubPush:
    """One push to a data set of the hub; `overwrite` replaces other sets in its place."""

    folder: Path
    url: str
    threads: int = 8
    overwrite: bool = False
    quiet: bool = False

    @cached_property
    def _place(self) -> tuple[str, str, str]:
        """The data set, its branch, and the folder in it (empty: its root)."""
        found = _URL.fullmatch(self.url.rstrip("/"))
        if not found:
            raise UsageError(
                f"{self.url} is no data set of the hub: give hf://datasets/OWNER/NAME, and a folder in it."
            )
        return found["repo"], found["revision"] or "main", found["folder"] or ""

    @cached_property
    def _api(self) -> Any:
        from huggingface_hub import HfApi

        return HfApi(library_name="corpusmill")

    def run(self) -> str:
        """Push what is not there yet; what was done, in words."""
        sets, beside = local_contents(self.folder)
        repo, revision, _ = self._place
        retried(self.url, lambda: self._api.create_repo(repo, repo_type="dataset", private=True, exist_ok=True))
        there = set(retried(self.url, lambda: self._api.list_repo_files(repo, repo_type="dataset", revision=revision)))
        stale = [name for contents in sets for name in self._stale(contents, there)]
        tally = Tally(sum(contents.bytes for contents in sets), self.quiet)
        for number, files in enumerate(self._portions(sets)):
            self._commit(files, stale if number == 0 else [], "Add shards")
            tally.add(sum(path.stat().st_size for _, path in files))
        last = [(contents.name(name), contents) for contents in sets for name in contents.last]
        small = [(name, self.folder / name) for name, _ in last if (self.folder / name).is_file()]
        small += [(name, self.folder / name) for name in beside]
        self._commit(small, [], "Add manifests and card", self._card(sets))
        counted = f"{len(sets)} set{'s' if len(sets) > 1 else ''}"
        return f"{shown_url(self.url)} has {counted}: {tally.end()}"

    def _name(self, name: str) -> str:
        folder = self._place[2]
        return f"{folder}/{name}" if folder else name

    def _stale(self, contents: SetContents, there: set[str]) -> list[str]:
        """Of another finished set in the place of this one the files, which go; a UsageError unless they may."""
        name = self._name(contents.name(MANIFEST))
        if name not in there:
            return []
        from corpus.remote.source import fetch
        from corpus.remote.transport import transport_of

        repo, revision, _ = self._place
        url = f"hf://datasets/{repo}@{revision}/{name}"
        transport = transport_of(url)
        entry = retried(url, lambda: transport.entry(url))
        assert entry is not None
        mine = (self.folder / contents.name(MANIFEST)).read_bytes()
        if b"".join(fetch(transport, entry, 0, entry.size)) == mine:
            return []
        if not self.overwrite:
            raise UsageError(f"{url} is of another set: give another URL, or --overwrite to replace what is there.")
        own = name.removesuffix(MANIFEST)
        kept = {self._name(contents.name(entry.name)) for entry in contents.entries}
        shards = (
            n for n in there if n.startswith(own) and "/" not in n[len(own) :] and n.endswith((".arrow", ".parquet"))
        )
        return [name, *sorted(set(shards) - kept)]

    def _portions(self, sets: Sequence[SetContents]) -> Iterator[list[tuple[str, Path]]]:
        """The files of the sets, checked, in portions of one commit each."""
        files: list[tuple[str, Path]] = []
        size = 0
        for contents in sets:
            for entry in contents.entries:
                path = self.folder / contents.name(entry.name)
                StoredFile(path, entry.bytes, entry.blocks, "run again, with --overwrite, what made it").check()
                if files and (len(files) >= _COMMIT_FILES or size + entry.bytes > _COMMIT_BYTES):
                    yield files
                    files, size = [], 0
                files.append((contents.name(entry.name), path))
                size += entry.bytes
        yield files

    def _commit(
        self, files: Sequence[tuple[str, Path]], stale: Sequence[str], message: str, card: bytes | None = None
    ) -> None:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        repo, revision, _ = self._place

        def commit() -> None:
            added: list[CommitOperationAdd] = [CommitOperationAdd(self._name(name), path) for name, path in files]
            if card is not None:
                added.append(CommitOperationAdd("README.md", card))
            self._api.create_commit(
                repo,
                [*(CommitOperationDelete(name) for name in stale), *added],
                commit_message=message,
                repo_type="dataset",
                revision=revision,
                num_threads=self.threads,
            )

        if files or stale or card is not None:
            retried(self.url, commit)

    def _card(self, sets: Sequence[SetContents]) -> bytes | None:
        """The card of a data set that holds several sets at its root; a single one brings its own."""
        if self._place[2] or not any(contents.place for contents in sets):
            return None
        return sets_card({contents.place: contents.manifest for contents in sets if not contents.cleaned}).encode()
