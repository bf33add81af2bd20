"""The published result of a task: truth about what is done, whatever an executor believes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.data.manifest import Counts, ShardEntry

RESULT = "result.json"


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
    dropped: bool
    quarantined: bool
    merged: bool
    progress: tuple[int, int]
    seconds: float
    peak_memory: int
    fixed_memory: int

    @classmethod
    def load(cls, directory: Path) -> TaskResult:
        """Read `result.json`."""
        value = json.loads((directory / RESULT).read_text(encoding="utf-8"))
        return cls(
            directory=directory,
            shards=tuple(ShardEntry.from_json(entry) for entry in value["shards"]),
            counts={unit: Counts.from_json(entry) for unit, entry in value["counts"].items()},
            totals=value["totals"],
            notes=value["notes"],
            dropped=value["dropped"],
            quarantined=value["quarantined"],
            merged=value["merged"],
            progress=(value["progress"][0], value["progress"][1]),
            seconds=value["seconds"],
            peak_memory=value["peak_memory"],
            fixed_memory=value["fixed_memory"],
        )
