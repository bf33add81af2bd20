"""The published result of a task: truth about what is done, whatever an executor believes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import xxhash

from corpus.data.manifest import Counts, ShardEntry
from corpus.data.stored import Digests, StoredFile

RESULT = "result.json"
REMEDY = "run the same command again, which makes it anew"
_HEAD = '{"digest": "%032x", "result": '
_REMEMBERED = 4096


def task_directory(work: Path, phase: str, index: int) -> Path:
    """Where the published result of a task lies."""
    return work / phase / f"{index:05d}"


@dataclass(frozen=True)
class TaskResult:
    """The published result of a task."""

    directory: Path
    shards: tuple[ShardEntry, ...]
    counts: Mapping[str, Counts]
    totals: Mapping[str, int]
    notes: Mapping[str, Any]
    files: Mapping[str, Digests]
    """All files in the directory but the shards, and what is known of their bytes."""
    dropped: bool
    quarantined: bool
    merged: bool
    progress: tuple[int, int]
    seconds: float
    cpu_seconds: float
    peak_memory: int
    fixed_memory: int

    @classmethod
    def load(cls, directory: Path) -> TaskResult:
        """Read `result.json`; ValueError, KeyError, TypeError or IndexError if it is not as it was written."""
        changed = (directory / RESULT).stat()
        return _read(directory, changed.st_mtime_ns, changed.st_ino)

    @classmethod
    def parse(cls, directory: Path) -> TaskResult:
        """`load` without its memory of results already read."""
        text = (directory / RESULT).read_text(encoding="utf-8")
        size = len(_HEAD % 0)
        body = text[size:-1]
        if text[:size] != _HEAD % xxhash.xxh3_128_intdigest(body.encode()):
            raise ValueError("digest differs")
        value = json.loads(body)
        return cls(
            directory=directory,
            shards=tuple(ShardEntry.from_json(entry) for entry in value["shards"]),
            counts={unit: Counts.from_json(entry) for unit, entry in value["counts"].items()},
            totals=value["totals"],
            notes=value["notes"],
            files={name: Digests(*entry) for name, entry in value["files"].items()},
            dropped=value["dropped"],
            quarantined=value["quarantined"],
            merged=value["merged"],
            progress=(value["progress"][0], value["progress"][1]),
            seconds=value["seconds"],
            cpu_seconds=value["cpu_seconds"],
            peak_memory=value["peak_memory"],
            fixed_memory=value["fixed_memory"],
        )

    def to_json(self) -> dict[str, Any]:
        """What `parse` reads."""
        return {
            "files": {name: (known.size, known.checksum, known.blocks) for name, known in self.files.items()},
            "shards": [vars(entry) for entry in self.shards],
            "counts": {unit: counts.to_json() for unit, counts in self.counts.items()},
            "totals": dict(self.totals),
            "notes": dict(self.notes),
            "dropped": self.dropped,
            "quarantined": self.quarantined,
            "merged": self.merged,
            "progress": list(self.progress),
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "peak_memory": self.peak_memory,
            "fixed_memory": self.fixed_memory,
        }

    def file(self, name: str) -> StoredFile:
        """A file that the task left for later phases."""
        return StoredFile.of(self.directory / name, self.files[name], REMEDY)

    def check(self) -> None:
        """A DamagedFileError if a file that the task left is not as it was written. Shards are checked by who joins them."""
        for name in self.files:
            self.file(name).check()

    def shard(self, entry: ShardEntry) -> StoredFile:
        """A shard that the task wrote."""
        return StoredFile(self.directory / entry.name, entry.bytes, entry.blocks, REMEDY)


def write_result(directory: Path, value: Mapping[str, Any]) -> None:
    """Write `result.json`, which begins with the digest of what follows."""
    body = json.dumps(value)
    head = _HEAD % xxhash.xxh3_128_intdigest(body.encode())
    (directory / RESULT).write_text(f"{head}{body}}}", encoding="utf-8")


@lru_cache(maxsize=_REMEMBERED)
def _read(directory: Path, changed: int, number: int) -> TaskResult:
    """Every task of a phase reads all results of an earlier one; a published result is never written again."""
    return TaskResult.parse(directory)
