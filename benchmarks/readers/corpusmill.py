"""Our own packed sets, through the trainer's reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from timing import BATCH, ROW, main

from corpus.data.manifest import Manifest
from corpus.data.schema import packed_schema
from corpus.data.writer import ShardWriter
from trainer.data.validation_sets import PackedRows, read_tensor


def write(path: Path, rows: Any) -> None:
    path.mkdir()
    schema = packed_schema(ROW, False)
    writer = ShardWriter(path, schema, suffix=".arrow")
    for first in range(0, len(rows), 4096):
        part = np.ascontiguousarray(rows[first : first + 4096])
        size = len(part)
        segments = [[{"document": first + row, "epoch": 1, "start": 0, "length": ROW}] for row in range(size)]
        columns = [
            pa.FixedSizeListArray.from_arrays(pa.array(part.reshape(-1)), type=schema.field("tokens").type),
            pa.array(["web"] * size),
            pa.array([1] * size, pa.uint16()),
            pa.array(segments, schema.field("segments").type),
        ]
        writer.write(pa.RecordBatch.from_arrays(columns, schema=schema))
    shards = tuple(writer.close())
    tokenizer = {"digest": "0" * 32, "vocab_size": 32_000, "eod_id": 2}
    extra = {"sequence_length": ROW - 1, "vocab_size": 32_000, "tokenizer": tokenizer}
    Manifest("packed", "mix", {}, (), {}, {"tokens": rows.size}, shards, extra=extra).save(path)


def read(path: Path) -> Iterator[Any]:
    rows = PackedRows(path)
    batch = None
    for first in range(0, len(rows), BATCH):
        batch = read_tensor(rows, slice(first, first + BATCH), batch)
        yield batch


if __name__ == "__main__":
    main(write, read)
