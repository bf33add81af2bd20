"""What stages that read datasets share: their inputs, and shards grouped into tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from corpus.data.dataset import Dataset, read_batches, resolve
from corpus.data.writer import SHARD_BYTES
from corpus.engine.stage import InputRef

TASKS_PER_SHARD = 32
"""Small shards are read by one task until their files reach this part of `shard_bytes` (8 MB of compressed text)."""


@dataclass(frozen=True)
class ShardRef:
    """One shard of an input: its place in the list of datasets and in its dataset, and its file."""

    dataset: int
    shard: int
    path: Path
    rows: int
    bytes: int


def dataset_inputs(datasets: Sequence[Dataset]) -> tuple[InputRef, ...]:
    """The inputs of a stage that reads `datasets`: stage and domains that they are of, and the manifest's digest. A
    directory's name is not part of it, so that datasets can be moved and renamed."""
    return tuple(InputRef(_title(dataset), dataset.digest, dataset.digest) for dataset in datasets)


def _title(dataset: Dataset) -> str:
    extra = dataset.manifest.extra
    domains = extra.get("domains") or [extra.get("domain", "")]
    return " ".join([dataset.manifest.stage, *domains]).strip()


def open_inputs(paths: Sequence[str], kind: str = "documents") -> tuple[Dataset, ...]:
    """The input datasets of a stage, in order."""
    return tuple(resolve(paths, kind))


def shard_groups(datasets: Sequence[Dataset], shard_bytes: int = SHARD_BYTES) -> list[list[ShardRef]]:
    """Consecutive shards grouped into tasks, in order. A group ends once its files have 1/32 of `shard_bytes`
    or more, so that the grouping follows from the input manifests and the configuration alone."""
    return grouped(all_shards(datasets), shard_bytes)


def all_shards(datasets: Sequence[Dataset]) -> list[ShardRef]:
    """The shards of all datasets, in order."""
    return [
        ShardRef(number, index, path, entry.rows, entry.bytes)
        for number, dataset in enumerate(datasets)
        for index, (entry, path) in enumerate(zip(dataset.manifest.shards, dataset.shard_paths(), strict=True))
    ]


def grouped(shards: Sequence[ShardRef], shard_bytes: int) -> list[list[ShardRef]]:
    """`shard_groups` of some of the shards."""
    task_bytes = shard_bytes // TASKS_PER_SHARD
    groups: list[list[ShardRef]] = []
    size = task_bytes
    for shard in shards:
        if size >= task_bytes:
            groups.append([])
            size = 0
        groups[-1].append(shard)
        size += shard.bytes
    return groups


def group_batches(group: Sequence[ShardRef], columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a group, a row group at a time."""
    for shard in group:
        yield from read_batches(shard.path, columns)


def text_bytes(datasets: Sequence[Dataset]) -> int:
    """Bytes of text in the inputs by their manifests."""
    return sum(dataset.manifest.totals.get("bytes", 0) for dataset in datasets)
