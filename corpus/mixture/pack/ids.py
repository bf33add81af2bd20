"""The index from a document's id to its number in `_documents/`: hashed ids in order, in equal partitions of all
hashes.

A task of the distribute phase leaves the hashes of its documents sorted; a task of the ids phase takes its partition
out of every one of them. The number of partitions follows from the number of documents, so that each fits into
memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from corpus.data.provenance import hash_id, partition_of

PARTITION_DOCUMENTS = 1 << 22
"""Documents of a partition, on average: 64 MB."""
HASHES = "hashes.npy"

Hashes = npt.NDArray[np.uint64]


def partitions_of(documents: int) -> int:
    """The number of partitions for the ids of `documents`."""
    return max(1, -(-documents // PARTITION_DOCUMENTS))


def hash_ids(ids: Iterable[str]) -> Hashes:
    """The hash of each id."""
    return np.fromiter((hash_id(id) for id in ids), np.uint64)


def save_hashed(directory: Path, hashes: Hashes, first: int) -> None:
    """Leave the `hashes` of consecutive documents' ids, the first of which is document `first`: uint64 [2, n], hashes
    ascending and numbers."""
    order = np.argsort(hashes, kind="stable")
    np.save(directory / HASHES, np.stack([hashes[order], order.astype(np.uint64) + np.uint64(first)]))


def merge_partition(directories: Iterable[Path], partition: int, partitions: int) -> Hashes:
    """One of the `partitions` of the hashes that tasks left in `directories`, in the order of their documents."""
    low, high = (-((-number << 64) // partitions) for number in (partition, partition + 1))
    assert partition_of(low, partitions) == partition
    taken = [np.empty((2, 0), np.uint64)]
    for directory in directories:
        table = np.load(directory / HASHES, mmap_mode="r")
        begin = int(np.searchsorted(table[0], np.uint64(low)))
        end = table.shape[1] if high == 1 << 64 else int(np.searchsorted(table[0], np.uint64(high)))
        taken.append(np.array(table[:, begin:end]))  # a view would keep the file open
    found = np.concatenate(taken, axis=1)
    return np.ascontiguousarray(found[:, np.argsort(found[0], kind="stable")])
