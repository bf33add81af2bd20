"""Shards cut by the rows alone: the same rows give the same bytes, however they arrive in batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from corpus.data.files import sync_file
from corpus.data.manifest import ShardEntry
from corpus.data.stored import Digests

SHARD_BYTES = 256_000_000
"""Data bytes (before compression) after which a shard is closed."""
PIECE_BYTES = 32_000_000
"""Data bytes after which a piece of a shard ends; later stages read a piece in a task of its own."""
GROUP_BYTES = 8_000_000
"""Data bytes after which a row group is closed; with it a reader's memory is bounded."""
GROUP_ROWS = 8192
"""The most rows of a row group."""
# level 1 writes twice as fast as level 3 and takes 14 % more room; reading is no slower
_PARQUET = {"compression": "zstd", "compression_level": 1, "use_dictionary": ["domain"], "write_statistics": False}


class ShardWriter:
    """Writes rows to `00000.parquet`, `00001.parquet`, … (or `.arrow`) below `directory`.

    A row group ends after the first row with which it reaches `GROUP_BYTES` or `GROUP_ROWS`, a piece or a shard after
    the first row group with which it reaches `piece_bytes` or `shard_bytes`. All depend on the rows alone, so that
    neither the caller's batches nor memory changes a byte. Files are complete (closed and fsynced) only after `close()`.
    """

    def __init__(
        self,
        directory: Path,
        schema: pa.Schema,
        shard_bytes: int = SHARD_BYTES,
        suffix: str = ".parquet",
        piece_bytes: int = PIECE_BYTES,
    ) -> None:
        self.directory = directory
        self.schema = schema
        self.shard_bytes = shard_bytes
        self.suffix = suffix
        self.piece_bytes = piece_bytes
        self.rows = 0
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._pending_bytes = 0
        self._sink: pq.ParquetWriter | pa.ipc.RecordBatchFileWriter | None = None
        self._shard_bytes = 0
        self._piece_bytes = piece_bytes
        self._pieces: list[tuple[int, int]] = []
        self._entries: list[tuple[str, tuple[tuple[int, int], ...]]] = []

    def write(self, data: pa.RecordBatch | pa.Table) -> None:
        """Add rows; `data` has the writer's columns."""
        batches = data.to_batches() if isinstance(data, pa.Table) else [data]
        for batch in batches:
            self._write_batch(batch.select(self.schema.names).cast(self.schema))

    def _write_batch(self, batch: pa.RecordBatch) -> None:
        sizes = _row_bytes(batch)
        start = 0
        for row, size in enumerate(sizes):
            self._pending_bytes += size
            self._pending_rows += 1
            if self._pending_bytes >= GROUP_BYTES or self._pending_rows >= GROUP_ROWS:
                self._pending.append(batch.slice(start, row + 1 - start))
                start = row + 1
                self._flush()
        if start < batch.num_rows:
            rest = batch.slice(start)
            # a copy, so that a small rest does not keep a large batch alive
            self._pending.append(
                pa.RecordBatch.from_arrays([pa.concat_arrays([c]) for c in rest.columns], schema=self.schema)
            )

    def _flush(self) -> None:
        if not self._pending_rows:
            return
        group = pa.Table.from_batches(self._pending, self.schema).combine_chunks()
        self._open()
        if isinstance(self._sink, pq.ParquetWriter):
            self._sink.write_table(group, row_group_size=max(1, group.num_rows))
        else:
            assert self._sink is not None
            self._sink.write_table(group, max_chunksize=max(1, group.num_rows))
        self.rows += group.num_rows
        self._count_group(group.num_rows)
        self._shard_bytes += self._pending_bytes
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0
        if self._shard_bytes >= self.shard_bytes:
            self._close_shard()

    def _count_group(self, rows: int) -> None:
        if self._piece_bytes >= self.piece_bytes:
            self._pieces.append((0, 0))
            self._piece_bytes = 0
        groups, before = self._pieces[-1]
        self._pieces[-1] = (groups + 1, before + rows)
        self._piece_bytes += self._pending_bytes

    def _open(self) -> None:
        if self._sink is not None:
            return
        name = f"{len(self._entries):05d}{self.suffix}"
        path = str(self.directory / name)
        if self.suffix == ".parquet":
            self._sink = pq.ParquetWriter(path, self.schema, **_PARQUET)
        else:
            self._sink = pa.ipc.new_file(path, self.schema)
        self._shard_bytes = 0
        self._piece_bytes, self._pieces = self.piece_bytes, []

    def _close_shard(self) -> None:
        assert self._sink is not None
        self._sink.close()
        self._sink = None
        self._entries.append((f"{len(self._entries):05d}{self.suffix}", tuple(self._pieces)))

    def close(self) -> list[ShardEntry]:
        """Finish the last shard and describe all of them, in order. No rows, no shards."""
        self._flush()
        if self._sink is not None:
            self._close_shard()
        return [shard_entry(self.directory / name, pieces) for name, pieces in self._entries]


def shard_entry(path: Path, pieces: Sequence[tuple[int, int]], digests: Digests | None = None) -> ShardEntry:
    """Flush a finished shard, whose `pieces` are [row groups, rows], to the disk and describe it; it is read for its
    digests where they are not known."""
    sync_file(path)
    rows = sum(rows for _, rows in pieces)
    known = digests or Digests.of(path)
    return ShardEntry(path.name, rows, known.size, known.checksum, known.blocks, tuple(pieces))


def _row_bytes(batch: pa.RecordBatch) -> list[int]:
    """Data bytes of each row: the variable part of its strings and lists, and 64 for the rest."""
    import numpy as np
    import pyarrow.compute as pc

    sizes = np.full(batch.num_rows, 64, dtype=np.int64)
    for column in batch.columns:
        kind = column.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
            lengths = pc.fill_null(pc.binary_length(column), 0)
            sizes += np.asarray(lengths.cast(pa.int64()).to_numpy(zero_copy_only=False))
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            width = (
                max(1, getattr(kind.value_type, "bit_width", 64) if pa.types.is_primitive(kind.value_type) else 192)
                // 8
            )
            lengths = pc.fill_null(pc.list_value_length(column), 0)
            sizes += width * np.asarray(lengths.cast(pa.int64()).to_numpy(zero_copy_only=False))
        elif pa.types.is_fixed_size_list(kind):
            sizes += kind.list_size * kind.value_type.bit_width // 8
    return [int(size) for size in sizes]
