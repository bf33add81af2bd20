"""Level `document`: whole documents with the same text, or the same URL by C4's rules; one of them stays.

Three phases. `keys`: each task writes a sorted run of the keys of its documents. `match`: for each range of keys of a
scope, who goes and who stays. `rewrite`: each task writes its documents without those, and its part of the cluster
table. Everything goes by the order of datasets, shards and rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import xxhash

from corpus.data.buffers import Array, text_buffers
from corpus.dedup.config import LEAST_MEMORY, MAX_DROP
from corpus.dedup.kept import RUN
from corpus.dedup.report import false_merges, removed_share, write_report
from corpus.dedup.scope import ScopedTask, scope_bounds, scoped_tasks
from corpus.dedup.similar.clusters import (
    ID_FILES,
    LARGEST,
    REMOVAL,
    IdReader,
    IdWriter,
    Numbering,
    Rewrite,
    adopt_tables,
    largest,
    largest_clusters,
    task_directories,
)
from corpus.dedup.similar.removing import RemovingStage
from corpus.dedup.spill import Records, Spill, part_bounds, partitions_for, read_pieces, run_paths
from corpus.dedup.url import c4_url
from corpus.engine.commit import Commit
from corpus.engine.stage import Estimate, Phase
from corpus.engine.task import Task

KEYED = np.dtype([("key", np.uint64), ("low", np.uint64), ("document", np.uint64), ("size", np.uint64)])
"""A document: its 128-bit key as `key` and `low`, its number, its size in bytes of UTF-8."""
DUPLICATE = {"text": "duplicate document", "url": "duplicate url"}
"""Why documents are dropped, by key."""


@dataclass(frozen=True)
class DocumentDedupStage(RemovingStage):
    """Removes documents that equal another one in text or URL: the first or the longest stays."""

    name: ClassVar[str] = "dedup"
    default_max_drop: ClassVar[float] = MAX_DROP
    kept_files: ClassVar[tuple[str, ...]] = ID_FILES
    """The files of a range of kept keys besides the keys."""

    def work_phases(self) -> tuple[Phase, ...]:
        tasks = len(self._tasks)
        return Phase("keys", tasks), Phase("match", self._scopes * self.partitions), Phase("rewrite", tasks)

    def work(self, phase: str, index: int, task: Task) -> None:
        {"keys": self._keys, "match": self._match, "rewrite": self.write_piece}[phase](index, task)

    def finish(self, commit: Commit) -> None:
        super().finish(commit)
        adopt_tables(commit, commit.results["rewrite"])
        ids = self._ids([result.directory for result in commit.results["keys"]])
        clusters = largest_clusters(ids, [result.notes["largest"] for result in commit.results["match"]])
        keys = false_merges(self._numbering.documents, "documents", self.settings.key_bits)
        write_report(commit, self.settings, self.written_bytes(), {"clusters": clusters} | keys)

    def removed_share(self, output: Path) -> float:
        return removed_share(output)

    def estimate(self) -> Estimate:
        return Estimate(memory=LEAST_MEMORY, disk=self.input_bytes() + 150 * self.input_rows)

    @cached_property
    def _tasks(self) -> list[ScopedTask]:
        return scoped_tasks(self.pieces, self.datasets, self.settings.resolved.scope or "all")

    @cached_property
    def _bounds(self) -> list[int]:
        return scope_bounds(self._tasks)

    @property
    def _scopes(self) -> int:
        return len(self._bounds) - 1

    @cached_property
    def _numbering(self) -> Numbering:
        kept = [rows for keys in self.kept for rows in keys.rows]
        return Numbering.of([*kept, *(piece.rows for piece in self.pieces)])

    @cached_property
    def _kept_folders(self) -> list[Path]:
        """The folder of each range of kept keys; their documents come before all others."""
        return [folder for keys in self.kept for folder in keys.folders()]

    def _first(self, index: int) -> int:
        """The number of the first document of a piece."""
        return self._numbering.bases[sum(len(keys.rows) for keys in self.kept) + index]

    def _ids(self, folders: Sequence[Path]) -> IdReader:
        """The ids of all documents; those of the pieces lie in `folders`."""
        return IdReader(self._numbering, [*self._kept_folders, *folders])

    @cached_property
    def partitions(self) -> int:
        """Into how many ranges keys are cut."""
        return partitions_for(self._numbering.documents // max(1, self._scopes))

    def _keys(self, index: int, task: Task) -> None:
        settings = self.settings.resolved
        runs = Spill(task.directory, KEYED, task.memory)
        ids = IdWriter(task.directory)
        number = self._first(index)
        for batch in self.pieces[index].batches(["id", "text", "url"]):
            ids.write(batch.column("id"))
            values = batch.column("url") if settings.key == "url" else None
            runs.add(document_records(batch.column("text"), values, number, settings.key_bits))
            number += batch.num_rows
            task.progress(documents=batch.num_rows, bytes=batch.column("text").nbytes)
        ids.close()
        task.note("runs", runs.close())

    def _match(self, index: int, task: Task) -> None:
        scope, partition = divmod(index, self.partitions)
        results = task.results("keys", range(*self._bounds[scope : scope + 2]))
        paths = [path for result in results for path in run_paths(result.directory, result.notes["runs"])]
        found = Spill(task.directory, REMOVAL, task.memory // 4)
        best: list[list[int]] = []
        kept = [folder / RUN for folder in self._kept_folders]
        bounds = part_bounds(partition, self.partitions)
        for _, _, records in read_pieces([*kept, *paths], KEYED, *bounds, task.memory // 2, self._numbered):
            removals = equal_documents(records, self.settings.resolved.keep == "longest", self.protected)
            best += largest(removals)
            found.add(removals)
        task.note("runs", found.close())
        task.note("largest", sorted(best, key=lambda pair: (-pair[1], pair[0]))[:LARGEST])

    def _numbered(self, run: int, records: Records) -> Records:
        """Kept keys have the rows of their range for numbers."""
        if run < len(self._kept_folders):
            records["document"] += np.uint64(self._numbering.bases[run])
        return records

    def merge_keys(self, partition: int, task: Task) -> int:
        """Put the first document of each key of a range and their ids into files (`corpus.dedup.kept`); how many there are."""
        results = task.results("keys", range(len(self._tasks)))
        paths = [path for result in results for path in run_paths(result.directory, result.notes["runs"])]
        ids = IdReader(self._numbering, [result.directory for result in results])
        written, kept = 0, IdWriter(task.directory)
        with (task.directory / RUN).open("wb") as file:
            for _, _, records in read_pieces(paths, KEYED, *part_bounds(partition, self.partitions), task.memory // 2):
                records = records[np.lexsort((records["document"], records["low"], records["key"]))]
                records = records[_first_of_each(records)]
                kept.write(pa.array(ids.several(records["document"]), pa.string()))
                records["document"] = np.arange(written, written + records.size, dtype=np.uint64)
                file.write(np.ascontiguousarray(records).data)
                written += records.size
        kept.close()
        return written

    @property
    def reason_of_drops(self) -> str:
        return DUPLICATE[self.settings.resolved.key or "text"]

    def removals(self, index: int, task: Task) -> Records:
        first = self._tasks[index].scope * self.partitions
        results = task.results("match", range(first, first + self.partitions))
        paths = [path for result in results for path in run_paths(result.directory, result.notes["runs"])]
        low, high = self._first(index), self._first(index + 1)
        return np.concatenate([piece for _, _, piece in read_pieces(paths, REMOVAL, low, high, 1 << 62)])

    def rewrite(self, task: Task) -> Rewrite:
        ids = self._ids(task_directories(task.work, "keys", len(self._tasks)))
        before = len(self._kept_folders)
        return Rewrite(ids, self.reason_of_drops, lambda records: np.ones(records.size), before)


def document_records(text: pa.Array, urls: pa.Array | None, number: int, key_bits: int) -> Records:
    """The `KEYED` records of a batch whose first document is `number`: XXH3 of the text, byte for byte, or of the
    normalised URL where `urls` are given; a document without one has no record. Of 64-bit keys `low` is 0."""
    data, bounds = text_buffers(text)
    ends = bounds.tolist()
    view = data.data
    digest = xxhash.xxh3_128_digest if key_bits == 128 else xxhash.xxh3_64_digest
    rows = list(range(len(text)))
    if urls is None:
        keys = [digest(view[a:b]) for a, b in pairwise(ends)]
    else:
        named = [c4_url(url).encode("utf-8") for url in urls.to_pylist()]
        rows = [row for row in rows if named[row]]
        keys = [digest(named[row]) for row in rows]
    records = np.zeros(len(rows), KEYED)
    words = np.frombuffer(b"".join(keys), dtype=">u8").reshape(len(rows), key_bits // 64)
    records["key"] = words[:, 0]
    if key_bits == 128:
        records["low"] = words[:, 1]
    records["document"] = np.array(rows, dtype=np.uint64) + np.uint64(number)
    records["size"] = np.diff(bounds)[rows] if rows else 0
    return records


def _first_of_each(records: Records) -> Array[np.bool_]:
    """Which of sorted `KEYED` records are the first of their key: bool [records]."""
    first = np.ones(records.size, dtype=np.bool_)
    first[1:] = (records["key"][1:] != records["key"][:-1]) | (records["low"][1:] != records["low"][:-1])
    return first


def equal_documents(records: Records, longest: bool, protected: int = 0) -> Records:
    """`REMOVAL`s, by `removed`: of `KEYED` documents with equal keys the first stays, or the longest, the first among
    equally long ones. Those with a number below `protected` all stay, and the others go for the first of them."""
    sizes = -records["size"].astype(np.int64) if longest else np.zeros(records.size, np.int64)
    sizes[records["document"] < protected] = np.iinfo(np.int64).min
    records = records[np.lexsort((records["document"], sizes, records["low"], records["key"]))]
    first = _first_of_each(records)
    goes = ~first & (records["document"] >= protected)
    kept = records[np.maximum.accumulate(np.where(first, np.arange(records.size), 0))][goes]
    gone = records[goes]
    removals = np.empty(gone.size, REMOVAL)
    removals["removed"], removals["kept"] = gone["document"], kept["document"]
    removals["removed_size"], removals["kept_size"] = gone["size"], kept["size"]
    removals["shared"] = np.where(gone["size"] == kept["size"], gone["size"], 0)
    removals.sort(order="removed")
    return removals
