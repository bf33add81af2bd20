"""Fetches the files of a source: each whole and with the checksum that the source gives, or not at all.

A file comes under another name and is renamed when it is whole. What is finished is noted in a list, so that a command
that is given again asks for nothing that it has; what was begun goes on where it was, if the server still has that file.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from corpus.data.files import write_atomic
from corpus.errors import DataError, LostError, UsageError
from corpus.remote.source import fetch
from corpus.remote.url import shown_url
from pipelines.download.source import Source, SourceFile
from pipelines.download.web import Web

NOTES = ".downloads"
"""The folder of RAW that has, for each domain, the list of the files that are whole, one a line."""
_PART, _STATE = ".part", ".part.json"
_READ = 1 << 22
_SIZES_ASKED = 20


@dataclass(frozen=True)
class Plan:
    """What a download would fetch into `folder`."""

    folder: Path
    files: tuple[tuple[str, int | None], ...]
    """Names, and bytes where they are known."""
    bytes: float
    exact: bool
    """Whether the size of every file is known."""
    terms: str

    def lines(self) -> list[str]:
        """The files with their sizes, and what they are together."""
        about = "" if self.exact else "about "
        return [
            *(f"{'?' if size is None else f'{size:,}':>18}  {name}" for name, size in self.files),
            f"{len(self.files):,} files, {about}{self.bytes / 1e9:,.3f} GB, to {self.folder}",
            self.terms,
        ]

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        files = [{"name": name, "bytes": size} for name, size in self.files]
        return {
            "folder": str(self.folder),
            "files": files,
            "bytes": self.bytes,
            "exact": self.exact,
            "terms": self.terms,
        }


@dataclass
class Outcome:
    """What became of the files of a source."""

    fetched: int = 0
    bytes: int = 0
    present: int = 0
    forbidden: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{self.fetched:,} file{'s' * (self.fetched != 1)} fetched, {self.bytes / 1e6:,.1f} MB"]
        if self.present:
            parts.append(f"{self.present:,} were there")
        if self.forbidden:
            parts.append(f"robots.txt forbids {len(self.forbidden):,} ({self.forbidden[0]})")
        if self.missing:
            parts.append(f"{len(self.missing):,} are not there ({self.missing[0]})")
        return "; ".join(parts)


@dataclass
class Download:
    """One download of a source into the folder `raw`, below the name of its domain."""

    source: Source
    raw: Path
    base: str = ""
    limit: int | None = None
    threads: int = 4
    rate: float | None = None
    domain: str = ""

    def __post_init__(self) -> None:
        self.base = self.base or self.source.base
        self.folder = self.raw / (self.domain or self.source.domain)
        pays = bool(getattr(self.source, "requester_pays", False))
        self.web = Web(self.rate or self.source.rate, requester_pays=pays)
        self._list = self.raw / NOTES / f"{self.folder.name}.jsonl"
        self._lock = threading.Lock()

    def files(self) -> Iterator[SourceFile]:
        """The files to fetch, the first `limit` of those that the source has."""
        return itertools.islice(self.source.files(self.web, self.base), self.limit)

    def plan(self) -> Plan:
        """What a run would fetch. Sizes that the source does not tell are asked for of some files, and the others are taken
        to be like these."""
        files = list(self.files())
        unknown = [file for file in files if file.size is None]
        step = max(1, len(unknown) // _SIZES_ASKED)
        asked = {file.url: self._size(file) for file in unknown[::step][:_SIZES_ASKED]}
        mean = sum(asked.values()) / len(asked) if asked else 0.0
        sizes = tuple((file.name, file.size if file.size is not None else asked.get(file.url)) for file in files)
        total = sum(mean if size is None else size for _, size in sizes)
        return Plan(self.folder, sizes, total, len(asked) == len(unknown), self.source.terms)

    def _size(self, file: SourceFile) -> int:
        entry = self.web.entry(file.url)
        return entry.size if entry is not None else 0

    def run(self) -> Outcome:
        """Fetch what is not there. The first error ends it; what is finished stays."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._list.parent.mkdir(exist_ok=True)
            return self._run()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DataError(
                    f"the disk under {self.folder} is full: free some space and give the same command again to go on."
                ) from None
            raise DataError(
                f"{error.filename or self.folder} cannot be written ({error.strerror}): change its permissions."
            ) from None

    def _run(self) -> Outcome:
        outcome = Outcome()
        known = self._notes()
        running: set[Future[None]] = set()
        with ThreadPoolExecutor(self.threads, thread_name_prefix="download") as pool:
            try:
                for file in self.files():
                    if _is_there(self.folder / self._name(file), known.get(file.name)):
                        outcome.present += 1
                        continue
                    running.add(pool.submit(self._fetch, file, outcome))
                    if len(running) >= 2 * self.threads:
                        done, running = wait(running, return_when=FIRST_COMPLETED)
                        for future in done:
                            future.result()
                for future in running:
                    future.result()
            finally:
                for future in running:
                    future.cancel()
        if not outcome.fetched + outcome.present:
            raise UsageError(f"nothing was fetched: {outcome}.")
        return outcome

    def _name(self, file: SourceFile) -> str:
        """The name of a file; what would lie elsewhere is a DataError."""
        path = PurePosixPath(file.name)
        if (
            path.is_absolute()
            or not path.parts
            or any(part.startswith(".") for part in path.parts)
            or "\0" in file.name
        ):
            raise DataError(
                f"the source calls {shown_url(file.url)} '{file.name}', which is no name: tell its operators."
            )
        return file.name

    def _notes(self) -> dict[str, Mapping[str, Any]]:
        """What is noted as finished; a line that was cut short is none."""
        found: dict[str, Mapping[str, Any]] = {}
        path = self._list
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                entry = json.loads(line)
                found[str(entry["name"])] = entry
            except (ValueError, KeyError, TypeError):
                continue
        return found

    def _fetch(self, file: SourceFile, outcome: Outcome) -> None:
        if self.source.robots and not self.web.allowed(file.url):
            with self._lock:
                outcome.forbidden.append(shown_url(file.url))
            return
        entry = self.web.entry(file.url)
        if entry is None:
            with self._lock:
                outcome.missing.append(shown_url(file.url))
            return
        if file.size is not None and entry.size != file.size:
            raise DataError(
                f"{shown_url(file.url)} has {entry.size:,} bytes and not the {file.size:,} that the source's list says: try again"
                " later, or another --base."
            )
        target = self.folder / self._name(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        part, state = (target.with_name(f".{target.name}{end}") for end in (_PART, _STATE))
        if _read_state(state) != entry.identity:
            part.unlink(missing_ok=True)
            write_atomic(state, json.dumps({"identity": entry.identity}))
        kind, _, wanted = file.checksum.partition(":")
        digest = hashlib.new(kind) if kind else None
        with part.open("a+b") as out:
            out.seek(0)
            while digest is not None and (data := out.read(_READ)):
                digest.update(data)
            begun = out.seek(0, os.SEEK_END)
            self.web.wait(file.url)
            for piece in fetch(self.web.transport(file.url), entry, begun, entry.size):
                out.write(piece)
                if digest is not None:
                    digest.update(piece)
            out.flush()
            os.fsync(out.fileno())
        if digest is not None and digest.hexdigest() != wanted:
            part.unlink()
            state.unlink()
            raise LostError(
                f"{shown_url(file.url)} is not as the source says (its {kind} differs): it is removed; give the same command"
                " again, or another --base."
            )
        part.replace(target)
        state.unlink()
        note = {"name": file.name, "size": entry.size, "url": shown_url(file.url), "checksum": file.checksum}
        with self._lock:
            with self._list.open("a", encoding="utf-8") as notes:
                notes.write(json.dumps(note, ensure_ascii=False) + "\n")
            outcome.fetched += 1
            outcome.bytes += entry.size - begun


def _is_there(path: Path, note: Mapping[str, Any] | None) -> bool:
    try:
        return note is not None and path.stat().st_size == note["size"]
    except OSError:
        return False


def _read_state(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["identity"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
