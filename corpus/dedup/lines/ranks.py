"""Which document keeps a line that several have, by C4: the one whose URL has the least MD5.

C4's released code (TensorFlow Datasets, `c4_utils.py`) takes URLs as it normalises them, and so does not depend on any order of
pages. Here the first 64 bits count; documents without a URL go by their id.
"""

from __future__ import annotations

from hashlib import md5

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.data.buffers import Array
from corpus.dedup.url import c4_url


def url_rank(url: str | None, name: str) -> int:
    """The first 64 bits of the MD5 of a document's URL, or of its id."""
    return int.from_bytes(md5((c4_url(url) or name).encode(), usedforsecurity=False).digest()[:8], "big")


def line_ranks(batch: pa.RecordBatch, old: bool) -> Array[np.uint64]:
    """The rank of the document of each line (uint64[lines]); 0 for what stays as it is."""
    lines = pc.add(pc.fill_null(pc.count_substring(batch.column("text"), "\n"), 0), 1)
    if old:
        return np.zeros(pc.sum(lines).as_py() or 0, np.uint64)
    names = zip(batch.column("url").to_pylist(), batch.column("id").to_pylist(), strict=True)
    ranks = np.fromiter((url_rank(url, name) for url, name in names), np.uint64, batch.num_rows)
    return np.repeat(ranks, lines.to_numpy(zero_copy_only=False))
