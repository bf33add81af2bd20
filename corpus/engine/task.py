"""One task: what it may write, count, drop and quarantine; and its result, published by one rename."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus.data.files import sync_file, sync_tree
from corpus.data.manifest import Counts, ShardEntry
from corpus.data.schema import MERGED_SCHEMA, QUARANTINE_SCHEMA
from corpus.data.stored import Digests
from corpus.data.writer import PIECE_BYTES, SHARD_BYTES, ShardWriter, shard_entry
from corpus.engine.attempts import attempt_name
from corpus.engine.dropped import Dropped, RowFile
from corpus.engine.faults import fault
from corpus.engine.result import RESULT, TaskResult, task_directory, write_result
from corpus.engine.visible import look_again, seen
from corpus.errors import DataError
from corpus.system import peak_bytes, resident_bytes

QUARANTINE_BYTES = 1 << 16
"""The most bytes of an unreadable record that are kept."""
_WHOLE = 1 << 62
"""More bytes than a piece has: it is one file."""


@dataclass
class Task:
    """The context of one running task.

    `drop`, `merge` and `quarantine` count themselves in the stage's unit; what came in (`seen`) and was `kept` the stage
    counts with `count`.
    """

    stage_name: str
    unit: str
    phase: str
    index: int
    work: Path
    memory: int
    strict: bool
    tick: Callable[[int, int], None]
    shard_task: str = ""
    """What the manifest says of the shards that this task writes: which task first cut them."""
    directory: Path = field(init=False)
    _counts: dict[str, Counts] = field(init=False, default_factory=dict)
    _totals: dict[str, int] = field(init=False, default_factory=dict)
    _notes: dict[str, Any] = field(init=False, default_factory=dict)
    _writers: list[ShardWriter] = field(init=False, default_factory=list)
    _shards: list[ShardEntry] = field(init=False, default_factory=list)
    _progress: list[int] = field(init=False, default_factory=lambda: [0, 0])
    _beside: tuple[float, int] = field(init=False, default=(0.0, 0))

    def __post_init__(self) -> None:
        parent = self.work / self.phase
        self.directory = parent / attempt_name(self.index)
        self.directory.mkdir(parents=True)
        self._dropped = Dropped(self.directory)
        self._merged = RowFile(self.directory / "merged", MERGED_SCHEMA)
        self._quarantined = RowFile(self.directory / "quarantine", QUARANTINE_SCHEMA, limit=100)
        self._started = time.monotonic()
        self._cpu_started = time.process_time()
        self._fixed = resident_bytes()

    def loaded(self) -> None:
        """Say that what the task has loaded by now (a model, its tables) is no data: the memory before its data is
        measured again."""
        self._fixed = resident_bytes()

    def writer(
        self, schema: pa.Schema, shard_bytes: int = SHARD_BYTES, suffix: str = ".parquet", piece: bool = False
    ) -> ShardWriter:
        """The writer of this task's data shards, or of the one `piece` of a shard that it makes; one per task."""
        assert not self._writers, "a task has one writer"
        shard_bytes, piece_bytes = (_WHOLE, _WHOLE) if piece else (shard_bytes, PIECE_BYTES)
        self._writers.append(ShardWriter(self.directory, schema, shard_bytes, suffix, piece_bytes))
        return self._writers[0]

    def add_shard(self, path: Path, pieces: Sequence[tuple[int, int]], digests: Digests | None = None) -> None:
        """Add a finished file in the task's directory to its shards; `pieces` are [row groups, rows]. Its bytes are read
        where their digests are not known."""
        self._shards.append(shard_entry(path, pieces, digests))

    def count(
        self,
        unit: str = "",
        *,
        seen: int = 0,
        kept: int = 0,
        merged: int = 0,
        dropped: Mapping[str, int] | None = None,
        quarantined: int = 0,
    ) -> None:
        """Add to the accounting of a unit (by default the stage's own)."""
        entry = self._counts.setdefault(unit or self.unit, Counts())
        entry.add(Counts(seen, kept, merged, {r: n for r, n in (dropped or {}).items() if n}, quarantined))

    def total(self, **totals: int) -> None:
        """Add to the totals of the output: documents, lines, bytes, tokens."""
        for name, value in totals.items():
            self._totals[name] = self._totals.get(name, 0) + int(value)

    def drop(self, id: str, reason: str, text: str, map: str = "") -> None:
        """Record a document dropped by the stage or by a `map` of it: its id and reason, and its text if it is among the
        hundred smallest hashes."""
        self.count(dropped={reason: 1})
        self._dropped.add(id, map, reason, text)

    def merge(self, id: str, into: str) -> None:
        """Record a raw record whose text went into the document `into`."""
        self.count(merged=1)
        self._merged.add({"id": id, "into": into})

    def quarantine(
        self, source: str, offset: int, length: int, reason: str, data: bytes, record: int | None = None
    ) -> None:
        """Put an unreadable record aside, the `record`-th of its source; with `--strict` it stops the run instead."""
        if self.strict:
            raise DataError(f"{source}: {reason} at byte {offset}; repair it, or run without --strict to set it aside.")
        self.count(quarantined=1)
        where = {"source": source, "record": record, "offset": offset, "length": length}
        self._quarantined.add(where | {"reason": reason, "data": data[:QUARANTINE_BYTES]})

    def note(self, key: str, value: Any) -> None:
        """Leave a JSON value for later phases and the commit."""
        self._notes[key] = value

    def results(self, phase: str, tasks: int | range) -> list[TaskResult]:
        """The results of an earlier phase in task order: of all of its `tasks`, or of a range of them."""
        numbers = range(tasks) if isinstance(tasks, int) else tasks
        folders = [task_directory(self.work, phase, index) for index in numbers]
        return [seen(folder.parent, partial(TaskResult.load, folder)) for folder in folders]

    def progress(self, documents: int = 0, bytes: int = 0) -> None:
        """Say that so much more is done; only for the progress bar."""
        self._progress[0] += documents
        self._progress[1] += bytes
        self.tick(self._progress[0], self._progress[1])

    def doing(self, part: str, share: float = 0.0) -> None:
        """Say which part of its work the only task of a phase is at, and how much of that part is done; only for the
        progress bar."""
        target = self.work / self.phase / f".part-{self.index:05d}"
        scratch = target.with_name(f".{os.getpid()}{target.name}")
        scratch.write_text(json.dumps([part, share]), encoding="utf-8")
        scratch.replace(target)
        self.tick(self._progress[0], self._progress[1])

    def took_beside(self, cpu_seconds: float, memory: int) -> None:
        """Say what a process of the task's own took: its processor time, and its most memory in bytes."""
        self._beside = (self._beside[0] + cpu_seconds, max(self._beside[1], memory))

    def publish(self) -> None:
        """Flush everything to the disk and give it its final name; an earlier result of the same task stays."""
        shards = [*(entry for writer in self._writers for entry in writer.close()), *self._shards]
        fault("shards-written")
        dropped = self._dropped.close()
        quarantined = self._quarantined.close()
        merged = self._merged.close()
        value = {
            "files": self._files({entry.name for entry in shards}),
            "shards": [vars(entry) | {"task": self._shard_task(number)} for number, entry in enumerate(shards)],
            "counts": {unit: counts.to_json() for unit, counts in sorted(self._counts.items())},
            "totals": dict(sorted(self._totals.items())),
            "notes": self._notes,
            "dropped": dropped,
            "quarantined": quarantined,
            "merged": merged,
            "progress": self._progress,
            "seconds": time.monotonic() - self._started,
            "cpu_seconds": time.process_time() - self._cpu_started + self._beside[0],
            "peak_memory": max(peak_bytes(), self._beside[1]),
            "fixed_memory": self._fixed,
        }
        write_result(self.directory, value)
        sync_tree(self.directory)
        fault("before-publish")
        try:
            self.directory.rename(task_directory(self.work, self.phase, self.index))
        except OSError:
            look_again(self.work / self.phase)
            if not (task_directory(self.work, self.phase, self.index) / RESULT).exists():
                raise
            shutil.rmtree(self.directory, ignore_errors=True)
        sync_file(self.work / self.phase)
        fault("after-publish")

    def _files(self, shards: set[str]) -> dict[str, tuple[int, str, str]]:
        """The digests of what later phases and the commit read besides shards."""
        paths = {path.relative_to(self.directory).as_posix(): path for path in self.directory.rglob("*")}
        found = {
            name: Digests.of(path) for name, path in sorted(paths.items()) if name not in shards and path.is_file()
        }
        return {name: (known.size, known.checksum, known.blocks) for name, known in found.items()}

    def _shard_task(self, number: int) -> str:
        return f"{self.shard_task}.{number}" if number else self.shard_task
