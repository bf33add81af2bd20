"""Whole documents with the same text: the first one stays."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpus.dedup.buffers import text_buffers
from corpus.dedup.normalize import Array, hash_texts
from corpus.dedup.rewrite import DUPLICATE
from corpus.stage.task import DocumentWriter, Task

DUPLICATE_DOCUMENT = "duplicate document"


def document_keys(text: pa.Array) -> Array[np.uint64]:
    """The uint64 key of each text, byte for byte."""
    data, offsets = text_buffers(text)
    keys = np.empty(len(offsets) - 1, dtype=np.uint64)
    hash_texts(data, offsets, keys)
    return keys


def write_documents(task: Task, writer: DocumentWriter, batch: pa.RecordBatch, state: Array[np.uint8]) -> None:
    """Write the documents of `batch` that are no duplicates by `state` (uint8[rows]) and drop the others."""
    gone = state == DUPLICATE
    task.count(seen=len(gone), kept=int(len(gone) - gone.sum()))
    for row in np.flatnonzero(gone).tolist():
        task.drop(batch.column("id")[row].as_py(), DUPLICATE_DOCUMENT, batch.column("text")[row].as_py() or "")
    writer.write(batch.filter(pa.array(~gone)) if gone.any() else batch)
