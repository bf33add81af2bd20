"""Megatron-LM's indexed dataset (megatron/core/datasets/indexed_dataset.py): `.bin` has the ids of all sequences, `.idx`
where each begins and which make a document.

`.idx`: the nine bytes `MMIDIDX\\0\\0`, version 1 (uint64), the code of the ids' type (uint8), the number of sequences
and of document indices (uint64 each); then the length of each sequence (int32), the byte at which each begins (int64),
and the sequences with which documents begin, with the number of all at the end (int64).

A sequence is a row of a packed set or a document of a token set, and a document of its own: Megatron's GPT datasets take
sequences for documents. Inside a row documents end with EOD, as `--reset-attention-mask` wants it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from corpus.export.folder import Folder
from corpus.export.sequences import Ints, Sequences

_UINT16, _INT32 = 8, 4
"""Codes of types. There is none for uint32; ids are less than 2^31."""
_HEADER = struct.Struct("<9sQBQQ")
_AT_A_TIME = 1 << 16


def write(sequences: Sequences, folder: Folder) -> str:
    """Write the two files. The result says how to read them."""
    extra = sequences.dataset.manifest.extra
    name = str(extra.get("split") or extra["domain"])
    wide = sequences.vocabulary.wide
    with folder.create(f"{name}.bin") as ids, folder.create(f"{name}.idx") as index:
        code = _INT32 if wide else _UINT16
        index.write(_HEADER.pack(b"MMIDIDX", 1, code, sequences.count, sequences.count + 1))
        for shard in sequences.shards():
            for batch in shard:
                ids.write(batch.ids.data)
                index.write(batch.lengths.astype(np.int32).data)
        begin = 0
        for lengths in _lengths(folder.path / f"{name}.idx", sequences.count):
            ends = np.cumsum(lengths) * (4 if wide else 2)
            index.write((begin + np.concatenate([[0], ends[:-1]])).data)
            begin += int(ends[-1])
        for first in range(0, sequences.count + 1, _AT_A_TIME):
            index.write(np.arange(first, min(first + _AT_A_TIME, sequences.count + 1), dtype=np.int64).data)
    return f"IndexedDataset('{name}')" + (f", {sequences.width} ids a sequence" if sequences.width is not None else "")


def _lengths(index: Path, count: int) -> Iterator[Ints]:
    """The lengths that were written, some at a time: they may be more than memory should hold."""
    with index.open("rb") as file:
        file.seek(_HEADER.size)
        for first in range(0, count, _AT_A_TIME):
            yield np.fromfile(file, np.int32, min(_AT_A_TIME, count - first)).astype(np.int64)
