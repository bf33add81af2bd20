"""Parts of tensors: what of a sharded one (FSDP2) is here. Tensors that are not sharded are wholly here."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor


def local(tensor: Tensor) -> Tensor:
    """This rank's part of a tensor: itself where it is not sharded."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def rows_here(tensor: Tensor) -> range:
    """Which rows (first dimension) of a tensor `local` holds."""
    rows = tensor.shape[0]
    if not isinstance(tensor, DTensor):
        return range(rows)
    mesh = tensor.device_mesh
    chunk = -(-rows // mesh.size())
    begin = min(rows, chunk * mesh.get_local_rank())
    return range(begin, min(rows, begin + chunk))


def summed_over_shards(tensor: Tensor, sums: Tensor) -> Tensor:
    """`sums`, computed from the local part of `tensor`, added over the ranks that hold its other parts."""
    if isinstance(tensor, DTensor):
        dist.all_reduce(sums, group=tensor.device_mesh.get_group())
    return sums
