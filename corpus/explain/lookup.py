"""Finds a record in a dataset by its id, without an index: the id names the raw file, the file its group of `ingest`, and
every later stage says of each shard and task which group it holds. What is read is the ids of a few shards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet as pq

from corpus.data.dataset import Dataset
from corpus.data.manifest import ShardEntry
from corpus.data.trail import dropped_files
from corpus.errors import DataError
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
    paths = zip(dataset.shard_paths(), dataset.manifest.shards, strict=True)
    for path in _nearest([path for path, entry in paths if holds(entry, id)], id):
        for number, ids in enumerate(_groups(path)):
            at = pc.index(ids, id).as_py()
            if at >= 0:
                row: dict[str, Any] = _group(path, number, None).slice(at, 1).to_pylist()[0]
                return row
    return None


def _nearest(paths: list[Path], id: str) -> Iterator[Path]:
    """The shards, that first which should hold the id: a group's shards are in the order of files and, but for readers that
    join records, of the records in them."""
    wanted = position_of(id)
    low, high = 0, len(paths)
    while high - low > 1:
        middle = (low + high) // 2
        first = next(_groups(paths[middle]), None)
        if first is not None and len(first) and position_of(first[0].as_py()) <= wanted:
            low = middle
        else:
            high = middle
    order = sorted(range(len(paths)), key=lambda number: (abs(number - low), number))
    return (paths[number] for number in order)


def _groups(path: Path) -> Iterator[pa.Array]:
    """The ids of each row group or record batch of a shard."""
    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path, read_dictionary=[]) as file:
                for number in range(file.num_row_groups):
                    yield file.read_row_group(number, columns=["id"], use_threads=False).column("id").combine_chunks()
        else:
            with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
                for number in range(reader.num_record_batches):
                    yield reader.get_batch(number).column("id")
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} cannot be read ({str(error).splitlines()[0]}): make the dataset again.") from None


def _group(path: Path, number: int, columns: Sequence[str] | None) -> pa.Table:
    if path.suffix == ".parquet":
        with pq.ParquetFile(path, read_dictionary=[]) as file:
            return file.read_row_group(number, columns=columns, use_threads=False)
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
        return pa.Table.from_batches([reader.get_batch(number)])


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
    return _find(_of_tasks(sorted((dataset.path / "_merged").glob("*.ids")), tasks), "id", id)


def find_unreadable(dataset: Dataset, tasks: set[int] | None, id: str) -> Mapping[str, Any] | None:
    """The entry of a record that was set aside, by the number in its source."""
    name, number = position_of(id)
    files = _of_tasks(sorted((dataset.path / "_quarantine").glob("*.records")), tasks)
    return _find(files, "source", name, record=number)


def _of_tasks(paths: Sequence[Path], tasks: set[int] | None) -> list[Path]:
    """The files that these tasks have left."""
    numbered = ((path, path.stem.rpartition("-")[2]) for path in paths)
    return [path for path, number in numbered if tasks is None or not number.isdecimal() or int(number) in tasks]


def _find(paths: Sequence[Path], column: str, value: str, **others: int) -> Mapping[str, Any] | None:
    names = [column, *others]
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group, columns=names, use_threads=False)
                    met = pc.equal(table.column(column), value)
                    for name, number in others.items():
                        met = pc.and_(met, pc.equal(table.column(name), number))
                    at = pc.index(met, True).as_py()
                    if at >= 0:
                        row: dict[str, Any] = file.read_row_group(group).slice(at, 1).to_pylist()[0]
                        return row
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{path} cannot be read ({str(error).splitlines()[0]}): make the dataset again.") from None
    return None
