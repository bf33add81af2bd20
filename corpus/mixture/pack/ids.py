"""The index from a document's id to its number in `_documents/`: hashed ids in order, cut into equal parts of all hashes.

A task of the documents phase leaves the hashes of its documents sorted; a task of the ids phase takes its part out of
every one of them. The number of parts follows from the number of documents, so that a part fits into memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from corpus.data.provenance import bucket_of, hash_id

PART_DOCUMENTS = 1 << 22
"""Documents of a part, on average: 64 MB."""
HASHES = "hashes.npy"

Hashes = npt.NDArray[np.uint64]


def parts_of(documents: int) -> int:
    """Into how many parts the ids of so many documents are cut."""
    return max(1, -(-documents // PART_DOCUMENTS))


def hash_ids(ids: Iterable[str]) -> Hashes:
    """The hash of each id."""
    return np.fromiter((hash_id(id) for id in ids), np.uint64)


def save_hashed(directory: Path, hashes: Hashes, first: int) -> None:
    """Leave the `hashes` of consecutive documents' ids, the first of which is document `first`: uint64 [2, n], hashes
    ascending and numbers."""
    order = np.argsort(hashes, kind="stable")
    np.save(directory / HASHES, np.stack([hashes[order], order.astype(np.uint64) + np.uint64(first)]))


def merge_part(directories: Iterable[Path], part: int, parts: int) -> Hashes:
    """Part `part` of the hashes that tasks left in `directories`, in the order of their documents."""
    low, high = (-((-number << 64) // parts) for number in (part, part + 1))
    assert bucket_of(low, parts) == part
    taken = [np.empty((2, 0), np.uint64)]
    for directory in directories:
        table = np.load(directory / HASHES, mmap_mode="r")
        begin = int(np.searchsorted(table[0], np.uint64(low)))
        end = table.shape[1] if high == 1 << 64 else int(np.searchsorted(table[0], np.uint64(high)))
        taken.append(np.array(table[:, begin:end]))  # a view would keep the file open
    found = np.concatenate(taken, axis=1)
    return np.ascontiguousarray(found[:, np.argsort(found[0], kind="stable")])
