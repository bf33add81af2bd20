"""Dropped documents: the id, map and reason of each, and of a hundred for each reason the text."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from corpus.data.dataset import read_rows
from corpus.data.files import sync_file
from corpus.data.schema import DROPPED_SAMPLE_SCHEMA, DROPPED_SCHEMA
from corpus.data.stored import StoredFile

SAMPLES_PER_REASON = 100
"""Dropped documents per reason whose text is kept: those with the smallest hash of id."""
_BUFFERED_ROWS = 10_000


class RowFile:
    """A Parquet file written in row groups of `_BUFFERED_ROWS` from single rows; nothing is written without rows."""

    def __init__(self, path: Path, schema: pa.Schema, limit: int = _BUFFERED_ROWS) -> None:
        self.path = path
        self.schema = schema
        self.limit = limit
        self._rows: list[dict[str, Any]] = []
        self._writer: pq.ParquetWriter | None = None

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= self.limit:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._writer is None:
            self._writer = pq.ParquetWriter(str(self.path), self.schema, compression="zstd")
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self.schema))
        self._rows = []

    def close(self) -> bool:
        """Finish; true if the file exists."""
        self._flush()
        if self._writer is not None:
            self._writer.close()
        return self._writer is not None


class Samples:
    """The dropped documents whose text is kept: of each reason those with the smallest hash of id."""

    def __init__(self) -> None:
        self._best: dict[str, list[tuple[int, str, str, str]]] = {}

    def add(self, id: str, map: str, reason: str, text: str) -> None:
        """Take a document, if it is among them."""
        heap = self._best.setdefault(reason, [])
        entry = (-sample_rank(id), id, map, text)
        if len(heap) < SAMPLES_PER_REASON:
            heapq.heappush(heap, entry)
        elif entry > heap[0]:
            heapq.heapreplace(heap, entry)

    def rows(self) -> Iterator[dict[str, str]]:
        """All of them, by reason and then by hash."""
        for reason in sorted(self._best):
            for _, id, map, text in sorted(self._best[reason], reverse=True):
                yield {"id": id, "map": map, "reason": reason, "text": text}


class Dropped:
    """What one task drops: a file of ids, maps and reasons, and one of samples."""

    def __init__(self, directory: Path) -> None:
        self._ids = RowFile(directory / "dropped", DROPPED_SCHEMA)
        self._samples = Samples()
        self._directory = directory

    def add(self, id: str, map: str, reason: str, text: str) -> None:
        """Record a document."""
        self._ids.add({"id": id, "map": map, "reason": reason})
        self._samples.add(id, map, reason, text)

    def close(self) -> bool:
        """Write both files; true if anything was dropped."""
        file = RowFile(self._directory / "samples", DROPPED_SAMPLE_SCHEMA, limit=64)
        for row in self._samples.rows():
            file.add(row)
        file.close()
        return self._ids.close()


def merge_samples(files: Sequence[StoredFile], target: Path) -> None:
    """Write the samples of all tasks to `target`; nothing where there are none."""
    samples = Samples()
    for row in read_rows(files):
        samples.add(row["id"], row["map"], row["reason"], row["text"])
    rows = list(samples.rows())
    if rows:
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=DROPPED_SAMPLE_SCHEMA), str(target), compression="zstd")
        sync_file(target)


def sample_rank(id: str) -> int:
    """The order in which dropped documents are chosen as samples: the xxh3-64 of their id."""
    return xxhash.xxh3_64_intdigest(id.encode("utf-8", "surrogatepass"))
