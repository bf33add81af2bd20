"""Finds a record in a dataset by its id, without an index: the id names the raw file, the file its group of `ingest`, and
every later stage says of each shard and task which group it holds. What is read is the ids of a few shards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpus.data.dataset import Dataset, read_batches
from corpus.data.manifest import ShardEntry
from corpus.data.stored import StoredFile
from corpus.data.trail import dropped_files, quarantine_files
from corpus.ingest.groups import group_of

Position = tuple[str, int]
"""File and number of a record."""


def position_of(id: str) -> Position:
    """The raw file that an id names, and the number of the record in it; -1 where it names none."""
    name, _, record = id.partition("/")[2].rpartition("#")
    return name, int(record) if record.isdecimal() else -1


def holds(entry: ShardEntry, id: str) -> bool:
    """Whether a shard can hold the record: its task is the group of the id's file, or says of no group."""
    group, slash, groups = entry.task.rpartition(":")[2].partition("/")
    groups = groups.partition(".")[0]
    if not (slash and group.isdecimal() and groups.isdecimal()):
        return True
    return group_of(position_of(id)[0], int(groups)) == int(group)


def find_row(dataset: Dataset, id: str) -> dict[str, Any] | None:
    """The row of this id in a dataset of documents or tokens; None where it has none."""
    shards = zip(dataset.shards(), dataset.manifest.shards, strict=True)
    for shard in _nearest([shard for shard, entry in shards if holds(entry, id)], id):
        for number, ids in enumerate(_groups(shard)):
            at = pc.index(ids, id).as_py()
            if at >= 0:
                return _row(shard, number, at)
    return None


def _nearest(shards: list[StoredFile], id: str) -> Iterator[StoredFile]:
    """The shards, that first which should hold the id: a group's shards are in the order of files and, but for readers that
    join records, of the records in them."""
    wanted = position_of(id)
    low, high = 0, len(shards)
    while high - low > 1:
        middle = (low + high) // 2
        first = next(_groups(shards[middle]), None)
        if first is not None and len(first) and position_of(first[0].as_py()) <= wanted:
            low = middle
        else:
            high = middle
    order = sorted(range(len(shards)), key=lambda number: (abs(number - low), number))
    return (shards[number] for number in order)


def _groups(shard: StoredFile) -> Iterator[pa.Array]:
    """The ids of each row group or record batch of a shard."""
    return (batch.column("id") for batch in read_batches(shard, ["id"]))


def tasks_of(dataset: Dataset, inputs: Sequence[Dataset], id: str) -> set[int]:
    """The tasks of a stage that can have met the record: of `ingest` the group of its file, of a stage from documents the
    pieces of its `inputs` that can hold it."""
    if not inputs:
        groups = {entry.task.partition("/")[2].partition(".")[0] for entry in dataset.manifest.shards}
        return {group_of(position_of(id)[0], int(number)) for number in groups if number.isdecimal()}
    found: set[int] = set()
    number = 0
    for source in inputs:
        for entry in source.manifest.shards:
            if holds(entry, id):
                found.update(range(number, number + len(entry.pieces)))
            number += len(entry.pieces)
    return found


def find_dropped(dataset: Dataset, tasks: set[int] | None, id: str) -> Mapping[str, Any] | None:
    """The entry (id, map, reason) of a dropped record in the lists of some `tasks`, by default of all."""
    return _find(_of_tasks(dropped_files(dataset.path), tasks), "id", id)


def find_merged(dataset: Dataset, tasks: set[int] | None, id: str) -> Mapping[str, Any] | None:
    """The entry (id, into) of a record that was merged into another."""
    return _find(_of_tasks(list(dataset.files("_merged").values()), tasks), "id", id)


def find_unreadable(dataset: Dataset, tasks: set[int] | None, id: str) -> Mapping[str, Any] | None:
    """The entry of a record that was set aside, by the number in its source."""
    name, number = position_of(id)
    files = _of_tasks(quarantine_files(dataset.path), tasks)
    return _find(files, "source", name, record=number)


def _of_tasks(files: Sequence[StoredFile], tasks: set[int] | None) -> list[StoredFile]:
    """The files that these tasks have left."""
    numbered = ((file, file.path.stem.rpartition("-")[2]) for file in files)
    return [file for file, number in numbered if tasks is None or not number.isdecimal() or int(number) in tasks]


def _find(files: Sequence[StoredFile], column: str, value: str, **others: int) -> Mapping[str, Any] | None:
    for file in files:
        for number, batch in enumerate(read_batches(file, [column, *others])):
            met = pc.equal(batch.column(column), value)
            for name, other in others.items():
                met = pc.and_(met, pc.equal(batch.column(name), other))
            at = pc.index(met, True).as_py()
            if at >= 0:
                return _row(file, number, at)
    return None


def _row(file: StoredFile, group: int, at: int) -> dict[str, Any]:
    """A row of a row group or record batch, whole."""
    (batch,) = read_batches(file, groups=range(group, group + 1))
    row: dict[str, Any] = batch.slice(at, 1).to_pylist()[0]
    return row
