"""What the trainer reads: rows of packed sets as tensors, and the sets to validate on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from corpus.data.dataset import resolve
from corpus.data.packed import DataIdentity, PackedRows, Segment

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DataIdentity", "PackedRows", "Segment", "open_validation", "read_tensor"]


def open_validation(path: Path) -> dict[str, PackedRows]:
    """The packed sets at `path`, a packed set or a directory of them, by directory name."""
    return {dataset.path.name: PackedRows(dataset.path) for dataset in resolve([path], "packed")}


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
