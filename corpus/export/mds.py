"""MosaicML Streaming's shards (streaming/base/format/mds/writer.py), byte for byte those that `MDSWriter` writes.

A shard: the number of samples and the offsets of all and of the end (uint32), the columns as JSON, the samples. A sample:
the sizes of its values of variable size (uint32), then the values, columns in the order of their names. `index.json` lists
the shards. Columns of a packed set: `tokens`, `domain`, `document_lengths` (what the row holds of one document each, in
order; what is left is padding); of a token set: `id`, `tokens`. Tokens are int32, which PyTorch's embeddings take.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from corpus.errors import DataError
from corpus.export.folder import Folder
from corpus.export.sequences import Batch, Sequences

SHARD_BYTES = 1 << 26
"""MDSWriter's own default."""


def write(sequences: Sequences, folder: Folder) -> str:
    """Write shards and index. The result says how to read them."""
    if sequences.width is None:
        columns: dict[str, tuple[str, int | None]] = {"id": ("str", None), "tokens": ("ndarray:int32", None)}
        encode = _documents
    else:
        tokens = (f"ndarray:int32:{sequences.width}", 4 * sequences.width)
        columns = {"document_lengths": ("ndarray:uint32", None), "domain": ("str", None), "tokens": tokens}
        encode = _rows
    shards = _Shards(columns, folder)
    for shard in sequences.shards():
        for batch in shard:
            for sample in encode(batch):
                shards.add(sample)
    shards.close()
    return "StreamingDataset(local=folder, shuffle=False, batch_size=1)"


class _Shards:
    """Gathers samples until a shard is full, and writes it."""

    def __init__(self, columns: Mapping[str, tuple[str, int | None]], folder: Folder) -> None:
        self._folder = folder
        self._config: dict[str, Any] = {
            "column_encodings": [encoding for encoding, _ in columns.values()],
            "column_names": list(columns),
            "column_sizes": [size for _, size in columns.values()],
            "compression": None,
            "format": "mds",
            "hashes": [],
            "size_limit": SHARD_BYTES,
            "version": 2,
        }
        self._columns = _json(self._config)
        self._written: list[dict[str, Any]] = []
        self._samples: list[bytes] = []
        self._bytes = self._empty = 8 + len(self._columns)

    def add(self, sample: bytes) -> None:
        if self._samples and self._bytes + 4 + len(sample) > SHARD_BYTES:
            self._flush()
        self._samples.append(sample)
        self._bytes += 4 + len(sample)

    def _flush(self) -> None:
        if self._bytes >= 1 << 32:
            raise DataError("a document has more ids than a shard of MDS can hold: give --format megatron.")
        head = 4 * (len(self._samples) + 2) + len(self._columns)
        offsets = head + np.cumsum([0, *map(len, self._samples)])
        name = f"shard.{len(self._written):05d}.mds"
        with self._folder.create(name) as file:
            file.write(np.concatenate([[len(self._samples)], offsets]).astype(np.uint32).data)
            file.write(self._columns)
            file.write(b"".join(self._samples))
        raw = {"basename": name, "bytes": self._bytes, "hashes": {}}
        self._written.append(self._config | {"raw_data": raw, "samples": len(self._samples), "zip_data": None})
        self._samples, self._bytes = [], self._empty

    def close(self) -> None:
        self._flush()
        with self._folder.create("index.json") as file:
            file.write(_json({"shards": self._written, "version": 2}))


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _rows(batch: Batch) -> Iterator[bytes]:
    rows = batch.ids.reshape(len(batch.lengths), -1).astype(np.int32)
    ends = np.cumsum(batch.part_counts).tolist()
    lengths = batch.part_lengths.astype(np.uint32)
    for row, name, end, count in zip(rows, batch.names, ends, batch.part_counts.tolist(), strict=True):
        parts, domain = _array(lengths[end - count : end]), name.encode()
        yield np.array([len(parts), len(domain)], np.uint32).tobytes() + parts + domain + row.tobytes()


def _documents(batch: Batch) -> Iterator[bytes]:
    ids = batch.ids.astype(np.int32)
    ends = np.cumsum(batch.lengths).tolist()
    for name, end, count in zip(batch.names, ends, batch.lengths.tolist(), strict=True):
        key, values = name.encode(), _array(ids[end - count : end])
        yield np.array([len(key), len(values)], np.uint32).tobytes() + key + values


def _array(values: npt.NDArray[Any]) -> bytes:
    """A vector whose size is not in the columns: a byte for its one dimension and that dimension's width, then both."""
    width = next(width for width in range(3) if len(values) < 1 << (8 << width))
    return bytes([1 << 2 | width]) + len(values).to_bytes(1 << width, "little") + values.tobytes()
