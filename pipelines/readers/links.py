"""The stage `references`: what an encyclopedia cites, from its raw dumps."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from corpus.config import check_options
from corpus.data.files import sync_file
from corpus.data.manifest import Manifest
from corpus.engine.commit import Commit
from corpus.engine.stage import Estimate, InputRef, Phase, Stage
from corpus.engine.task import Task
from corpus.errors import DataError
from corpus.ingest.file_ingest import permitted
from corpus.ingest.files import RawInput, find_files
from corpus.ingest.identity import raw_digest, raw_identity, raw_size
from corpus.ingest.reader import RawFile
from corpus.ingest.remote import LISTING, opened_raw, version_digest
from corpus.option import option
from corpus.quality.rules.cited import LINKS
from corpus.remote.listing import load_listings, save_listings
from corpus.remote.path import RemotePath
from corpus.remote.url import is_remote
from pipelines.readers.references import references
from pipelines.readers.wikipedia import WikipediaReader


@dataclass(frozen=True)
class ReferencesConfig:
    """Settings of references."""

    limit: int | None = option(None, "Read only the first pages of each dump, this many.", least=1)

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class LinksStage(Stage):
    """Dumps of Wikipedia in; the links in their references out, one a line, in the order of the files.

    Unit: files. One that cannot be read as such a dump, to its end, is counted as dropped; its links up to there are kept.
    """

    name: ClassVar[str] = "references"
    kind: ClassVar[str] = "links"
    unit: ClassVar[str] = "files"

    dumps: tuple[str, ...]
    patterns: tuple[str, ...] = WikipediaReader.patterns
    settings: ReferencesConfig = ReferencesConfig()

    def config(self) -> Mapping[str, Any]:
        limit = self.settings.limit
        return {"patterns": list(self.patterns)} | ({} if limit is None else {"limit": limit})

    @cached_property
    def _raw(self) -> RawInput:
        return find_files(self.dumps, self.patterns)

    def inputs(self) -> tuple[InputRef, ...]:
        return tuple(InputRef(file.name, raw_identity(file.path)) for file in self._raw.files)

    def resolve_digests(self, names: Collection[str]) -> Mapping[str, str]:
        wanted = set(names)
        return {file.name: self._digest(file) for file in self._raw.files if file.name in wanted}

    def _digest(self, file: RawFile) -> str:
        if isinstance(file.path, RemotePath) and self.settings.limit is not None:
            return version_digest(raw_identity(file.path))
        return raw_digest(file.path)

    def begin(self, work: Path) -> None:
        if self._urls:
            save_listings(work / LISTING, self._urls)

    @property
    def _urls(self) -> list[str]:
        return [name for name in self.dumps if is_remote(name)]

    def input_paths(self) -> tuple[Path, ...]:
        return tuple(Path(name) for name in self.dumps if not is_remote(name))

    def input_bytes(self) -> int:
        return sum(map(raw_size, self._raw.files))

    def estimate(self) -> Estimate:
        return Estimate(memory=64_000_000, disk=self.input_bytes())

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("read", len(self._raw.files)),)

    def may_be_empty(self) -> bool:
        """A list has no rows."""
        return True

    def run(self, phase: str, index: int, task: Task) -> None:
        if self._urls:
            load_listings(task.work / LISTING, self._urls)
        raw = self._raw.files[index]
        number, damage = 0, ""
        with (
            (task.directory / LINKS).open("w", encoding="utf-8", errors="replace") as file,
            permitted(raw),
            opened_raw(raw, WikipediaReader(), task.directory / "remote") as opened,
        ):
            try:
                for link in references(opened.file.path, self.settings.limit):
                    file.write(link + "\n")
                    number += 1
            except DataError as error:
                if task.strict:
                    raise
                damage = error.message
            digest = opened.digest(whole=self.settings.limit is None)
        task.count(seen=1, kept=int(not damage), dropped={"no whole dump": int(bool(damage))})
        task.note("links", number)
        task.note("damage", damage)
        task.note("digest", digest or raw_digest(raw.path))
        task.progress(bytes=raw_size(raw))

    def finish(self, commit: Commit) -> None:
        results = commit.results["read"]
        target = commit.output / LINKS
        with target.open("wb") as file:
            for result in results:
                with (result.directory / LINKS).open("rb") as part:
                    shutil.copyfileobj(part, file, 1 << 20)
        sync_file(target)
        for raw, result in zip(self._raw.files, results, strict=True):
            commit.input_digests[raw.name] = result.notes["digest"]
        commit.extra["links"] = sum(result.notes["links"] for result in results)
        commit.extra["damaged"] = [result.notes["damage"] for result in results if result.notes["damage"]]


def summary(manifest: Manifest) -> str:
    """How many links there are, and what could not be read."""
    damaged = manifest.extra["damaged"]
    said = f"; {len(damaged):,} files are no whole dumps: {damaged[0]}" if damaged else ""
    return f"{manifest.extra['links']:,} links{said}"
