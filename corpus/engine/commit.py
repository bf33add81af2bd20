"""What a stage may add to its output once all of its tasks are done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpus.data.columns import Column
from corpus.data.manifest import SIDE_FOLDERS, Counts, ShardEntry
from corpus.data.stored import Digests
from corpus.engine.result import TaskResult


@dataclass
class Commit:
    """What a stage may add to its output once all tasks are done. The whole commit can be repeated after a kill."""

    output: Path
    results: Mapping[str, Sequence[TaskResult]]
    shards: tuple[ShardEntry, ...]
    totals: dict[str, int]
    counts: dict[str, Counts]
    extra: dict[str, Any] = field(default_factory=dict)
    input_digests: dict[str, str] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    own_counts: dict[str, Counts] = field(default_factory=dict)
    """`counts` without what the maps dropped that the stage's documents ran through."""
    own_bytes: int = 0
    """Bytes of text before these maps."""
    known: dict[str, Digests] = field(default_factory=dict)
    """The digests of side files that are those of tasks, by their names below the output."""

    def adopt(self, source: Path, name: str) -> Path:
        """Move a file of a task's directory to `name` below the output, in one of `SIDE_FOLDERS`."""
        assert name.partition("/")[0] in SIDE_FOLDERS, name
        self.known[name] = TaskResult.load(source.parent).files[source.name]
        return move_file(source, self.output / name)

    def create(self, name: str) -> Path:
        """A path below the output, in one of `SIDE_FOLDERS`, for a file that the stage writes whole now."""
        assert name.partition("/")[0] in SIDE_FOLDERS, name
        path = self.output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def move_file(source: Path, target: Path) -> Path:
    """Rename, or find it done by a commit that was killed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.exists():
        source.replace(target)
    assert target.exists(), f"{source} vanished before the commit"
    return target
