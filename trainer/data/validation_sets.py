"""What the trainer reads: rows of packed sets as tensors, and the sets to validate on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from corpus.data.dataset import resolve
from corpus.data.packed import DataIdentity, PackedRows, Segment
from corpus.remote.url import is_remote
from trainer.data.remote_rows import CacheOptions, remote_sets

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "DataIdentity", "PackedRows", "Segment", "open_validation", "read_tensor", "training_shares", "validation_documents",
]  # fmt: skip
FEW_DOCUMENTS = 10
"""A figure on fewer documents is rough, where a set does not say how many it should have."""
_ROWS = 1024


def open_validation(path: str | Path, cache: CacheOptions | None = None) -> dict[str, PackedRows]:
    """The packed sets at `path` (or a URL), a packed set or a directory of them, by directory name."""
    if is_remote(str(path)):
        return remote_sets(str(path), cache or CacheOptions.of())
    return {dataset.path.name: PackedRows(dataset.path) for dataset in resolve([path], "packed")}


def training_shares(data: PackedRows) -> dict[str, float]:
    """The part of each domain in the tokens of a packed set, by its manifest; empty where that does not say."""
    rows = data.manifest.extra.get("domains", [])
    return {row["domain"]: row["realised_share"] for row in rows if "realised_share" in row}


def validation_documents(sets: Iterable[PackedRows]) -> tuple[dict[str, int], dict[str, int]]:
    """How many documents the rows of each domain are of, over all sets, and how many they should be at least."""
    documents: dict[str, int] = {}
    least: dict[str, int] = {}
    for data in sets:
        found: dict[str, set[int]] = {}
        for start in range(0, len(data), _ROWS):
            rows = slice(start, min(start + _ROWS, len(data)))
            for domain, segments in zip(data.domains(rows), data.segments(rows), strict=True):
                found.setdefault(domain, set()).update(segment.document for segment in segments)
        for domain, numbers in found.items():
            documents[domain] = documents.get(domain, 0) + len(numbers)
            least[domain] = max(least.get(domain, 0), data.manifest.extra.get("min_documents", FEW_DOCUMENTS))
    return documents, least


def read_tensor(data: PackedRows, rows: slice, out: Tensor | None = None) -> Tensor:
    """Rows a … b-1 as int64 [b - a, sequence_length + 1], copied once from the mapped file.

    With `out` (int64, contiguous, in memory) of that shape the copy goes there and nothing is allocated; of another
    shape it is left alone.
    """
    import torch

    start, stop, _ = rows.indices(len(data))
    shape = (max(0, stop - start), data.identity.sequence_length + 1)
    tensor = out if out is not None and out.shape == shape else torch.empty(shape, dtype=torch.int64)
    data.copy_into(rows, tensor.numpy())
    return tensor
