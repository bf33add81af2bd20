"""What levels `book` and `near` share: candidates through an inverted index, each compared exactly, no chains.

Seven phases. `sketch`: each task writes the keys of its documents as sorted runs. `vote`: for each range of keys, the
pairs of documents that share them. `pairs`: for each range of documents, the pairs with votes enough. `shingles`: each
task writes the full shingle sets of its documents that are in a pair. `compare`: for each range of documents, the pairs
that are similar by their full sets. `choose`: who goes, and because of whom (`choose_kept`). `rewrite`: each task writes
its documents without those, and its part of the cluster table. `choose` holds about 100 bytes for every pair found
similar and 120 more for every removed document; everything else is spilled. Work grows with the input and with the pairs compared, of which a key brings at most
`MOST_BEFORE` per document.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from corpus.data.buffers import Array
from corpus.dedup.config import MAX_DROP
from corpus.dedup.report import removed_share, write_report
from corpus.dedup.similar.clusters import (
    EDGE,
    IdReader,
    IdWriter,
    Numbering,
    Rewrite,
    adopt_tables,
    choose_kept,
    largest,
    largest_clusters,
    removals_between,
    task_directories,
)
from corpus.dedup.similar.pairs import ENTRY, PAIR, add_votes, check_documents, firsts_of, seconds_of, sum_votes, vote
from corpus.dedup.similar.removing import RemovingStage
from corpus.dedup.similar.shingles import SetReader, SetWriter, count_shared, shingle_sets
from corpus.dedup.spill import Records, Spill, part_bounds, partitions_for, read_pieces, run_paths
from corpus.engine.commit import Commit
from corpus.engine.result import task_directory
from corpus.engine.stage import Estimate, Phase
from corpus.engine.task import Task

SKETCH = np.dtype([("size", np.uint64), ("keys", np.uint64), ("limit", np.uint64)])
"""A document's distinct shingles, its keys, and the bound below which all hashes of its shingles are keys."""
_WANTED = np.dtype([("document", np.uint64)])
_SPREAD = np.uint64(0x9E3779B185EBCA87)
_CHUNK = 1 << 16


@dataclass(frozen=True)
class SimilarDedupStage(RemovingStage):
    """Removes documents that are similar to one that stays, by the shingles they share."""

    name: ClassVar[str] = "dedup"
    default_max_drop: ClassVar[float] = MAX_DROP

    width: ClassVar[int]
    """Words of a shingle."""
    reason: ClassVar[str]
    """Why documents are dropped."""

    @abstractmethod
    def sketch(self, shingles: Array[np.uint64]) -> tuple[Array[np.uint64], int]:
        """The keys of a document, distinct, from its shingle set; and the bound of `SKETCH`."""

    @abstractmethod
    def entries(self) -> int:
        """About how many keys all documents have, from the manifests alone."""

    @abstractmethod
    def plausible(self, pairs: Records, sketches: SketchReader) -> Array[np.bool_]:
        """Which of some `PAIR`s have votes enough to be compared."""

    @abstractmethod
    def similarity(self, shared: Any, left: Any, right: Any) -> Any:
        """How similar two sets are, 0 to 1, from the number of shingles they share and those of each (arrays too)."""

    @abstractmethod
    def similar(self, similarity: float) -> bool:
        """Whether that is enough."""

    def work_phases(self) -> tuple[Phase, ...]:
        tasks, parts = len(self.pieces), self._parts
        names = {"sketch": tasks, "vote": parts, "pairs": parts, "shingles": tasks, "compare": parts, "choose": 1}
        return (*(Phase(name, number) for name, number in names.items()), Phase("rewrite", tasks))

    def work(self, phase: str, index: int, task: Task) -> None:
        {
            "sketch": self._sketch,
            "vote": self._vote,
            "pairs": self._pairs,
            "shingles": self._shingles,
            "compare": self._compare,
            "choose": self._choose,
            "rewrite": self.write_piece,
        }[phase](index, task)

    def finish(self, commit: Commit) -> None:
        super().finish(commit)
        adopt_tables(commit, commit.results["rewrite"])
        ids = IdReader(self._numbering, [result.directory for result in commit.results["sketch"]])
        clusters = largest_clusters(ids, [commit.results["choose"][0].notes["largest"]])
        write_report(commit, self.settings, self.written_bytes(), {"clusters": clusters})

    def removed_share(self, output: Path) -> float:
        return removed_share(output)

    def estimate(self) -> Estimate:
        size = self.input_bytes()
        # not counted: the pairs in phase `choose`, of which nothing is known before
        return Estimate(memory=256_000_000, disk=2 * size + 40 * self.entries())

    @cached_property
    def threshold(self) -> float:
        """The similarity that makes duplicates."""
        value = self.settings.resolved.threshold
        assert value is not None, "these levels have a threshold"
        return value

    def by_size(self) -> bool:
        """Whether the larger document is preferred, not the earlier."""
        return self.settings.resolved.keep == "longest"

    @cached_property
    def _parts(self) -> int:
        return partitions_for(self.entries())

    @cached_property
    def _numbering(self) -> Numbering:
        return Numbering.of(piece.rows for piece in self.pieces)

    def _runs(self, task: Task, phase: str, tasks: int) -> list[Path]:
        results = task.results(phase, tasks)
        return [path for result in results for path in run_paths(result.directory, result.notes["runs"])]

    def _sketch(self, index: int, task: Task) -> None:
        numbering = self._numbering
        check_documents(numbering.documents)
        number = numbering.bases[index]
        runs, ids = Spill(task.directory, ENTRY, task.memory // 2), IdWriter(task.directory)
        with (task.directory / "sketches").open("wb") as file:
            for batch in self.pieces[index].batches(["id", "text"]):
                ids.write(batch.column("id"))
                sketches, entries = self._sketch_batch(batch.column("text"), number)
                file.write(sketches.data)
                runs.add(entries)
                number += batch.num_rows
                task.progress(documents=batch.num_rows, bytes=batch.column("text").nbytes)
        ids.close()
        task.note("runs", runs.close())

    def _sketch_batch(self, text: pa.Array, number: int) -> tuple[Records, Records]:
        """The `SKETCH`es and the `ENTRY`s of a batch whose first document is `number`."""
        sketches = np.empty(len(text), SKETCH)
        found = []
        for row, shingles in enumerate(shingle_sets(text, self.width)):
            keys, limit = self.sketch(shingles)
            sketches[row] = shingles.size, keys.size, limit
            found.append(keys)
        entries = np.empty(sum(keys.size for keys in found), ENTRY)
        entries["key"] = np.concatenate([np.empty(0, np.uint64), *found]) * _SPREAD
        counts = sketches["keys"].astype(np.int64)
        entries["document"] = np.repeat(np.arange(number, number + len(text), dtype=np.uint64), counts)
        larger_first = self.by_size() and number >= self.protected
        order = np.uint64(1 << 63) - sketches["size"] if larger_first else np.zeros(len(text), np.uint64)
        entries["order"] = np.repeat(order, counts)
        return sketches, entries

    def _vote(self, index: int, task: Task) -> None:
        paths = self._runs(task, "sketch", len(self.pieces))
        spill = Spill(task.directory, PAIR, task.memory // 3, sum_votes)
        vote(paths, *part_bounds(index, self._parts), spill, task.memory // 3)
        task.note("runs", spill.close())

    def _pairs(self, index: int, task: Task) -> None:
        parts, numbering = self._parts, self._numbering
        paths = self._runs(task, "vote", parts)
        sketches = SketchReader(numbering, task_directories(task.work, "sketch", len(self.pieces)))
        wanted = Spill(task.directory, _WANTED, task.memory // 4, _distinct)
        low, high = part_bounds(index, parts, numbering.documents)
        with (task.directory / "pairs").open("wb") as file:
            for records in add_votes(paths, low, high, task.memory // 3):
                records = records[seconds_of(records["pair"]) >= self.protected]
                pairs = np.ascontiguousarray(records["pair"][self.plausible(records, sketches)])
                file.write(pairs.data)
                for documents in (seconds_of(pairs), firsts_of(pairs)):
                    wanted.add(np.unique(documents).astype(np.uint64).view(_WANTED))
        task.note("runs", wanted.close())

    def _shingles(self, index: int, task: Task) -> None:
        low, high = self._numbering.bases[index : index + 2]
        wanted = np.zeros(high - low, dtype=np.bool_)
        paths = self._runs(task, "pairs", self._parts)
        for _, _, records in read_pieces(paths, _WANTED, low, high, task.memory // 2):
            wanted[records["document"].astype(np.int64) - low] = True
        sets = SetWriter(task.directory, wanted.size)
        row = 0
        for batch in self.pieces[index].batches(["text"]) if wanted.any() else ():
            rows = np.flatnonzero(wanted[row : row + batch.num_rows])
            for at, shingles in zip(rows, shingle_sets(batch.column("text").take(rows), self.width), strict=True):
                sets.write(row + int(at), shingles)
            row += batch.num_rows
            task.progress(bytes=batch.nbytes)
        sets.close()

    def _compare(self, index: int, task: Task) -> None:
        numbering = self._numbering
        tasks = len(self.pieces)
        sets = SetReader(numbering, task_directories(task.work, "shingles", tasks), task.memory // 2)
        source = task_directory(task.work, "pairs", index) / "pairs"
        with source.open("rb") as pairs, (task.directory / "edges").open("wb") as edges:
            while chunk := pairs.read(8 * _CHUNK):
                found = [self._edge(sets, pair) for pair in np.frombuffer(chunk, np.uint64).tolist()]
                edges.write(np.array([edge for edge in found if edge is not None], EDGE).data)

    def _edge(self, sets: SetReader, pair: int) -> tuple[int, int, int, int, int, float] | None:
        """The `EDGE` of a pair, or None if its documents are not similar."""
        second, first = pair >> 32, pair & 0xFFFFFFFF
        left, right = sets.size(second), sets.size(first)
        if not self.similar(self.similarity(min(left, right), left, right)):
            return None
        shared = count_shared(sets.read(second), sets.read(first))
        similarity = float(self.similarity(shared, left, right))
        return (second, first, shared, left, right, similarity) if self.similar(similarity) else None

    def _choose(self, index: int, task: Task) -> None:
        folders = task_directories(task.work, "compare", self._parts)
        edges = np.concatenate([np.fromfile(folder / "edges", EDGE) for folder in folders])
        removals = choose_kept(edges, self.by_size(), self.protected)
        removals.tofile(task.directory / "removals")
        task.note("largest", largest(removals))

    @property
    def reason_of_drops(self) -> str:
        return self.reason

    def removals(self, index: int, task: Task) -> Records:
        path = task_directory(task.work, "choose", 0) / "removals"
        return removals_between(path, *self._numbering.bases[index : index + 2])

    def rewrite(self, task: Task) -> Rewrite:
        ids = IdReader(self._numbering, task_directories(task.work, "sketch", len(self.pieces)))
        return Rewrite(ids, self.reason, self._similarities)

    def _similarities(self, removals: Records) -> Array[np.float64]:
        sizes = [removals[name].astype(np.float64) for name in ("shared", "removed_size", "kept_size")]
        return np.asarray(self.similarity(*sizes), dtype=np.float64)


@dataclass(frozen=True)
class SketchReader:
    """Looks up the `SKETCH`es that tasks left in `folders`."""

    numbering: Numbering
    folders: Sequence[Path]

    def read(self, numbers: Array[np.int64]) -> Records:
        """Those of some documents."""
        distinct, back = np.unique(numbers, return_inverse=True)
        found = np.empty(distinct.size, SKETCH)
        tasks = np.searchsorted(self.numbering.bases, distinct, side="right") - 1
        for task in np.unique(tasks).tolist():
            mine = tasks == task
            rows = distinct[mine] - self.numbering.bases[task]
            first, last = int(rows[0]), int(rows[-1])
            path = self.folders[task] / "sketches"
            part = np.fromfile(path, SKETCH, count=last + 1 - first, offset=first * SKETCH.itemsize)
            found[mine] = part[rows - first]
        return found[back]


def _distinct(records: Records) -> Records:
    return np.unique(records)
