"""The token shards of the inputs, and how they are grouped into tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from corpus.data.dataset import Dataset
from corpus.data.stored import StoredFile


@dataclass(frozen=True)
class ShardRef:
    """One shard of an input: its position in the list of datasets and in its dataset, and its file."""

    dataset: int
    shard: int
    file: StoredFile
    rows: int
    bytes: int


def shard_groups(datasets: Sequence[Dataset], group_bytes: int) -> list[list[ShardRef]]:
    """Consecutive shards grouped into tasks, in order; a group ends once its files have `group_bytes` or more."""
    groups: list[list[ShardRef]] = []
    size = group_bytes
    for number, dataset in enumerate(datasets):
        for index, (entry, file) in enumerate(zip(dataset.manifest.shards, dataset.planned_shards(), strict=True)):
            if size >= group_bytes:
                groups.append([])
                size = 0
            groups[-1].append(ShardRef(number, index, file, entry.rows, entry.bytes))
            size += entry.bytes
    return groups
