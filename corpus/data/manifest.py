"""`manifest.json`: what a dataset is, how it was made, and the proof that nothing was lost. It is written last.

No clock time, host name or execution option (workers, memory, paths) is in it: two equal runs write equal manifests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from corpus.data.columns import Column
from corpus.data.files import canonical_json, digest_of, write_atomic
from corpus.errors import DataError

FORMAT = 3
MANIFEST = "manifest.json"
RESULTS = "_log/tasks"
"""Where a finished output keeps results of tasks that a later run can take over; no part of the dataset."""
SIDE_FOLDERS = (
    "_choice",
    "_clusters",
    "_documents",
    "_dropped",
    "_keys",
    "_matches",
    "_merged",
    "_quarantine",
    "_tokenizer",
    "_verdict",
)
"""Folders of a dataset that hold more than its data."""
SIDE_FILES = (
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "sp.model",
    "lm.arpa",
    "model.bin",
    "cutoffs.csv",
    "links.txt",
    "_report.json",
)
"""Files of the directories of a tokenizer, a language model and its cutoffs, a classifier and the links of an encyclopedia,
and the report of them or of a dedup."""
CLEANED = Path("_log", "cleaned")
"""Lies in a dataset whose shards `corpus clean` removed. Without it missing shards are damage."""


@dataclass
class Counts:
    """What became of the units that came in: in = kept + merged + dropped (by reason) + quarantined."""

    seen: int = 0
    kept: int = 0
    merged: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    quarantined: int = 0

    def add(self, other: Counts) -> None:
        """Add the counts of another task."""
        self.seen += other.seen
        self.kept += other.kept
        self.merged += other.merged
        self.quarantined += other.quarantined
        for reason, number in other.dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + number

    @property
    def missing(self) -> int:
        """Units that came in and are nowhere accounted for; 0 in a correct run."""
        return self.seen - self.kept - self.merged - sum(self.dropped.values()) - self.quarantined

    def to_json(self) -> dict[str, Any]:
        """The form in the manifest."""
        return {
            "in": self.seen,
            "kept": self.kept,
            "merged": self.merged,
            "dropped": dict(sorted(self.dropped.items())),
            "quarantined": self.quarantined,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Counts:
        """Read the form of the manifest."""
        return cls(value["in"], value["kept"], value["merged"], dict(value["dropped"]), value["quarantined"])


@dataclass(frozen=True)
class ShardEntry:
    """One data shard: its file name, rows, and the digests of its bytes (`corpus.data.stored.Digests`).

    `pieces` are the parts of it that later stages read as one task each: [row groups, rows], in order. `task` names the
    task whose documents it holds: of an ingest the group of raw files, which every later stage passes on.
    """

    name: str
    rows: int
    bytes: int
    checksum: str
    blocks: str
    pieces: tuple[tuple[int, int], ...] = ()
    task: str = ""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ShardEntry:
        """Read the form of the manifest."""
        pieces = tuple((int(groups), int(rows)) for groups, rows in value["pieces"])
        return cls(
            value["name"], value["rows"], value["bytes"], value["checksum"], value["blocks"], pieces, value["task"]
        )


@dataclass(frozen=True)
class FileEntry:
    """One side file (`_dropped/00000.ids`, `_documents/00000.parquet`, `tokenizer.model`): its name below the dataset,
    and the digests of its bytes."""

    name: str
    bytes: int
    checksum: str
    blocks: str


@dataclass(frozen=True)
class Manifest:
    """The contents of `manifest.json`; `digest` covers all of it but the package versions."""

    kind: str
    stage: str
    config: Mapping[str, Any]
    inputs: tuple[Mapping[str, Any], ...]
    counts: Mapping[str, Counts]
    totals: Mapping[str, int]
    shards: tuple[ShardEntry, ...]
    files: tuple[FileEntry, ...] = ()
    columns: tuple[Column, ...] = ()
    seed: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def digest(self) -> str:
        """Identity of the dataset: equal for equal configuration, inputs and shard bytes."""
        return digest_of(self._body())

    @property
    def rows(self) -> int:
        """Rows in all shards."""
        return sum(shard.rows for shard in self.shards)

    @property
    def entries(self) -> tuple[ShardEntry | FileEntry, ...]:
        """All files whose digests are known: shards and side files."""
        return (*self.shards, *self.files)

    def _body(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "kind": self.kind,
            "stage": self.stage,
            "config": dict(self.config),
            "inputs": [dict(entry) for entry in self.inputs],
            "counts": {unit: counts.to_json() for unit, counts in self.counts.items()},
            "totals": dict(self.totals),
            "shards": [asdict(shard) for shard in self.shards],
            "columns": [column.to_json() for column in self.columns],
            "files": [asdict(file) for file in self.files],
            "seed": self.seed,
            "extra": dict(self.extra),
        }

    def save(self, directory: Path) -> None:
        """Write `manifest.json` atomically."""
        value = self._body() | {"versions": dict(self.versions), "digest": self.digest}
        write_atomic(directory / MANIFEST, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, directory: Path | str) -> Manifest:
        """Read and check the manifest of a dataset directory; a DataError says what is wrong with it."""
        path = Path(directory) / MANIFEST
        try:
            stat = path.stat()
        except OSError:
            if not path.parent.exists():
                raise DataError(f"{directory} does not exist: check the path.") from None
            raise DataError(f"{directory} is not a finished dataset (no {MANIFEST}): run its stage again.") from None
        return _read(path, stat.st_mtime_ns, stat.st_size)

    @classmethod
    def parse(cls, path: Path) -> Manifest:
        """`load` without its memory of manifests already read."""
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            if value["format"] != FORMAT:
                raise DataError(
                    f"{path} has format {value['format']}, this version reads {FORMAT}: make the dataset again."
                )
            manifest = cls(
                kind=value["kind"],
                stage=value["stage"],
                config=value["config"],
                inputs=tuple(value["inputs"]),
                counts={unit: Counts.from_json(entry) for unit, entry in value["counts"].items()},
                totals=value["totals"],
                shards=tuple(ShardEntry.from_json(entry) for entry in value["shards"]),
                files=tuple(FileEntry(**entry) for entry in value["files"]),
                columns=tuple(Column.from_json(entry) for entry in value["columns"]),
                seed=value["seed"],
                extra=value["extra"],
                versions=value["versions"],
                format=value["format"],
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path} is not a readable manifest ({error}): make the dataset again.") from None
        if manifest.digest != value.get("digest"):
            raise DataError(f"{path} was changed after it was written (digest differs): make the dataset again.")
        return manifest


@lru_cache(maxsize=256)
def _read(path: Path, changed: int, size: int) -> Manifest:
    """Each task opens its inputs; the time of change and the size tell whether what was read still holds."""
    return Manifest.parse(path)


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The settings in which two configurations differ, as `key: old -> new`, such as `maps[0].min_words: 200 -> 100`."""
    found: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        found += _differences(old.get(key), new.get(key), f"{prefix}{key}")
    return found


def _differences(before: Any, after: Any, key: str) -> list[str]:
    if before == after:
        return []
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return differences(before, after, f"{key}.")
    if _are_steps(before) and _are_steps(after) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [line for place, pair in pairs for line in _differences(*pair, f"{key}[{place}]")]
    return [f"{key}: {canonical_json(before)} -> {canonical_json(after)}"]


def _are_steps(value: Any) -> bool:
    """Whether a setting is a list of configurations, such as the maps of a step; lists of names are shown whole."""
    return isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value)
