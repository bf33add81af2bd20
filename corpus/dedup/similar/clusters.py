"""Which document is a duplicate of which: the decision, the table of it next to the output, and the rewrite.

Every removed document is a duplicate of one that stays; nothing is removed because of a document that goes itself.
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.data.buffers import Array, text_buffers
from corpus.dedup.spill import Records, read_pieces
from corpus.engine.commit import Commit
from corpus.engine.document_stage import DocumentWriter
from corpus.engine.result import TaskResult, task_directory
from corpus.engine.task import Task
from corpus.kernel import kernel

CLUSTERS = "_clusters"
"""The folder of the cluster table below an output."""
CLUSTER_SCHEMA = pa.schema(
    [
        pa.field("removed", pa.string(), nullable=False),
        pa.field("kept", pa.string(), nullable=False),
        pa.field("similarity", pa.float64(), nullable=False),
        pa.field("shared", pa.uint64(), nullable=False),
        pa.field("removed_size", pa.uint64(), nullable=False),
        pa.field("kept_size", pa.uint64(), nullable=False),
    ]
)
"""One row per removed document, in the order of the input: its id, the id of the document that stays, how similar they
are (1 for equal ones, the overlap of books, the Jaccard index of near-duplicates), and what that follows from: distinct
shingles that both have and that each has; bytes of UTF-8 at level document."""

_NUMBERS = ("removed", "kept", "shared", "removed_size", "kept_size")
REMOVAL = np.dtype([(name, np.uint64) for name in _NUMBERS])
"""A removed document, the one that stays, and what they share; documents by their number in the whole input."""
_SIDES = ("second", "first", "shared", "second_size", "first_size")
EDGE = np.dtype([*((name, np.uint64) for name in _SIDES), ("similarity", np.float64)])
"""Two documents found similar; `first` goes before `second` in the order of preference."""
LARGEST = 20
"""Clusters that a run names."""
_TABLE = "clusters.parquet"


@kernel("void(int64[::1], int64[::1], float64[::1], int64[::1])")
def _greedy(seconds: Any, firsts: Any, similarity: Any, chosen: Any) -> None:
    edge = np.int64(0)
    while edge < seconds.size:
        second = seconds[edge]
        best = np.int64(-1)
        while edge < seconds.size and seconds[edge] == second:
            if chosen[firsts[edge]] < 0 and (best < 0 or similarity[edge] > similarity[best]):
                best = edge
            edge += 1
        chosen[second] = best


def choose_kept(edges: Records, by_size: bool, protected: int = 0) -> Records:
    """Who goes and because of whom: `REMOVAL` sorted by `removed`, from all `EDGE`s.

    Documents are looked at in the order of preference: the larger first if `by_size`, the earlier first among equals; those
    with a number below `protected` before all, none of which is the second of an edge.
    One goes if it is similar to one before it that stays, and is listed with the most similar of these (the preferred
    one among equals). So no edge is between two documents that stay, and A ~ B ~ C does not remove C for A's sake.
    """
    numbers = np.unique(np.concatenate([edges["second"], edges["first"]]))
    rank = np.arange(numbers.size, dtype=np.int64)
    if by_size:
        sizes = np.zeros(numbers.size, dtype=np.int64)
        for side in ("first", "second"):
            sizes[np.searchsorted(numbers, edges[side])] = edges[f"{side}_size"].astype(np.int64)
        sizes[numbers < protected] = np.iinfo(np.int64).max
        rank[np.lexsort((numbers, -sizes))] = np.arange(numbers.size, dtype=np.int64)
    seconds = rank[np.searchsorted(numbers, edges["second"])]
    firsts = rank[np.searchsorted(numbers, edges["first"])]
    assert (firsts < seconds).all(), "an edge whose sides are in the wrong order"
    order = np.lexsort((firsts, seconds))
    chosen = np.full(numbers.size, -1, dtype=np.int64)
    _greedy(seconds[order], firsts[order], np.ascontiguousarray(edges["similarity"][order]), chosen)
    picked = edges[order[chosen[chosen >= 0]]]
    removals = np.empty(picked.size, REMOVAL)
    removals["removed"], removals["kept"], removals["shared"] = picked["second"], picked["first"], picked["shared"]
    removals["removed_size"], removals["kept_size"] = picked["second_size"], picked["first_size"]
    removals.sort(order="removed")
    return removals


def largest(removals: Records) -> list[list[int]]:
    """The largest clusters: [number of the document that stays, documents removed for it], the largest first."""
    kept, counts = np.unique(removals["kept"], return_counts=True)
    order = np.lexsort((kept, -counts))[:LARGEST]
    return [[int(kept[at]), int(counts[at])] for at in order]


ID_FILES = ("ids", "id-bounds")
"""What an `IdWriter` writes."""


class IdWriter:
    """Writes the ids of a task's documents, in order, so that one can be looked up."""

    def __init__(self, directory: Path) -> None:
        self._ids = (directory / "ids").open("wb")
        self._bounds = (directory / "id-bounds").open("wb")
        self._bounds.write(bytes(8))
        self._end = 0

    def write(self, ids: pa.Array) -> None:
        """Add the ids of a batch."""
        data, bounds = text_buffers(ids)
        self._ids.write(data[bounds[0] : bounds[-1]].data)
        self._bounds.write((bounds[1:] - bounds[0] + self._end).astype("<i8").data)
        self._end += int(bounds[-1] - bounds[0])

    def close(self) -> None:
        """Finish both files."""
        self._ids.close()
        self._bounds.close()


@dataclass(frozen=True)
class Numbering:
    """Documents by their number in the whole input: those of task t are `bases[t]` to `bases[t + 1]` - 1."""

    bases: tuple[int, ...]

    @classmethod
    def of(cls, rows: Iterable[int]) -> Numbering:
        """From the rows of each task."""
        return cls((0, *accumulate(rows)))

    @property
    def documents(self) -> int:
        """All documents."""
        return self.bases[-1]

    def place(self, number: int) -> tuple[int, int]:
        """The task of a document and its row there."""
        task = bisect_right(self.bases, number) - 1
        return task, number - self.bases[task]


@dataclass(frozen=True)
class IdReader:
    """Looks ids up in what `IdWriter` wrote: `folders` are the directories of all tasks."""

    numbering: Numbering
    folders: Sequence[Path]

    def id(self, number: int) -> str:
        """The id of a document."""
        task, row = self.numbering.place(number)
        with (self.folders[task] / "id-bounds").open("rb", buffering=0) as file:
            file.seek(8 * row)
            pair = file.read(16)
        begin, end = int.from_bytes(pair[:8], "little"), int.from_bytes(pair[8:], "little")
        with (self.folders[task] / "ids").open("rb", buffering=0) as file:
            file.seek(begin)
            return file.read(end - begin).decode("utf-8")

    def several(self, numbers: Array[np.uint64]) -> list[str]:
        """The ids of some documents, the files of each task opened once."""
        found = [""] * numbers.size
        order = np.argsort(numbers, kind="stable")
        sorted_numbers = numbers[order].astype(np.int64)
        cuts = np.searchsorted(sorted_numbers, self.numbering.bases)
        for task, folder in enumerate(self.folders):
            begin, end = cuts[task : task + 2].tolist()
            if begin == end:
                continue
            rows = sorted_numbers[begin:end] - self.numbering.bases[task]
            bounds = np.memmap(folder / "id-bounds", np.int64, "r")
            ids = np.memmap(folder / "ids", np.uint8, "r")
            for place, low, high in zip(
                order[begin:end].tolist(), bounds[rows].tolist(), bounds[rows + 1].tolist(), strict=True
            ):
                found[place] = ids[low:high].tobytes().decode("utf-8")
        return found


@functools.lru_cache(maxsize=4)
def task_directories(work: Path, phase: str, tasks: int) -> tuple[Path, ...]:
    """Where the results of all tasks of a phase lie. Each task of a later phase asks, so a process makes them once."""
    return tuple(task_directory(work, phase, number) for number in range(tasks))


@dataclass(frozen=True)
class Rewrite:
    """Writes a task's documents without those removed, and the task's part of the cluster table.

    `similarity` turns `REMOVAL` records into float64 numbers; `reason` is that of the dropped.
    """

    ids: IdReader
    reason: str
    similarity: Callable[[Records], Array[np.float64]]
    before: int = 0
    """How many folders of ids come before those of the tasks."""

    def run(self, task: Task, writer: DocumentWriter, batches: Iterable[pa.RecordBatch], removals: Records) -> None:
        """`removals`: those of this task's documents, sorted by `removed`; the first row is number `bases[index]`."""
        base, after = self.ids.numbering.bases[self.before + task.index :][:2]
        rows = removals["removed"].astype(np.int64) - base
        table = (
            pq.ParquetWriter(str(task.directory / _TABLE), CLUSTER_SCHEMA, compression="zstd") if rows.size else None
        )
        start = 0
        for batch in batches:
            begin, end = np.searchsorted(rows, (start, start + batch.num_rows)).tolist()
            start += batch.num_rows
            gone = np.zeros(batch.num_rows, dtype=np.bool_)
            gone[rows[begin:end] - (start - batch.num_rows)] = True
            task.count(seen=batch.num_rows)
            if table is not None and begin < end:
                dropped = batch.filter(pa.array(gone))
                self._drop(task, table, dropped, removals[begin:end])
            writer.write(batch.filter(pa.array(~gone)) if begin < end else batch)
            task.progress(documents=batch.num_rows, bytes=batch.column("text").nbytes)
        assert start == after - base, "the input changed while it was read"
        if table is not None:
            table.close()
        task.note("table", int(rows.size))

    def table(self, task: Task, removals: Records) -> None:
        """Write the task's part of the cluster table alone, without reading a document."""
        if removals.size:
            ids = [self.ids.id(int(number)) for number in removals["removed"]]
            with pq.ParquetWriter(str(task.directory / _TABLE), CLUSTER_SCHEMA, compression="zstd") as table:
                table.write_batch(self._rows(ids, removals))
        task.note("table", int(removals.size))

    def _drop(self, task: Task, table: pq.ParquetWriter, dropped: pa.RecordBatch, removals: Records) -> None:
        ids, texts = dropped.column("id").to_pylist(), dropped.column("text")
        for row, id in enumerate(ids):
            task.drop(id, self.reason, texts[row].as_py())
        table.write_batch(self._rows(ids, removals))

    def _rows(self, ids: list[str], removals: Records) -> pa.RecordBatch:
        columns = [
            pa.array(ids, pa.string()),
            pa.array([self.ids.id(int(number)) for number in removals["kept"]], pa.string()),
            pa.array(self.similarity(removals)),
            *(pa.array(np.ascontiguousarray(removals[name])) for name in ("shared", "removed_size", "kept_size")),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=CLUSTER_SCHEMA)


def removals_between(path: Path, low: int, high: int) -> Records:
    """The `REMOVAL`s with low <= removed < high of a file sorted by `removed`."""
    ((_, _, records),) = read_pieces([path], REMOVAL, low, high, 1 << 62)
    return records


def adopt_tables(commit: Commit, results: Sequence[TaskResult]) -> None:
    """Put the parts of the cluster table next to the output, in order; nothing where nothing was removed."""
    for number, result in enumerate(result for result in results if result.notes["table"]):
        commit.adopt(result.directory / _TABLE, f"{CLUSTERS}/{number:05d}.parquet")


def largest_clusters(ids: IdReader, notes: Iterable[Sequence[Sequence[int]]]) -> list[dict[str, Any]]:
    """The largest clusters of the run, from the `largest` of each task that decided: [{"kept": id, "removed": n}]."""
    found = sorted((pair for note in notes for pair in note), key=lambda pair: (-pair[1], pair[0]))[:LARGEST]
    return [{"kept": ids.id(number), "removed": removed} for number, removed in found]
