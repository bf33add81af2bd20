"""Sharded tensors in torch's distributed checkpoint format (DCP), in a folder of their own inside a checkpoint.

DCP alone has no checksums and no atomic publication: those come from the checkpoint around it.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from trainer.checkpoints.tensors import Groups

_SEPARATOR = ":"


def _flat(groups: Groups) -> dict[str, Tensor]:
    return {f"{group}{_SEPARATOR}{name}": t for group, tensors in groups.items() for name, t in tensors.items()}


def save_shards(path: Path, groups: Groups, process_group: dist.ProcessGroup | None) -> None:
    """Write every rank's part into the folder `path`; all ranks call it. OSError and CheckpointException where a disk fails.

    `process_group` must be a gloo group that nothing else uses while this runs.
    """
    save(
        dict(_flat(groups)),
        storage_writer=FileSystemWriter(path, sync_files=True, overwrite=True),
        process_group=process_group,
    )


def load_shards(path: Path, groups: Groups, process_group: dist.ProcessGroup | None) -> None:
    """Fill the tensors of `groups`, each rank its own part, whatever the number of ranks that wrote them."""
    load(dict(_flat(groups)), storage_reader=FileSystemReader(path), process_group=process_group)


def shard_names(path: Path, group: str) -> set[str]:
    """The names of the tensors of a group."""
    names = FileSystemReader(path).read_metadata().state_dict_metadata
    return {name.partition(_SEPARATOR)[2] for name in names if name.partition(_SEPARATOR)[0] == group}


def whole_tensors(path: Path, group: str) -> dict[str, Tensor]:
    """The tensors of a group, whole, in this one process."""
    reader = FileSystemReader(path)
    empty = {
        name: torch.empty(entry.size, dtype=entry.properties.dtype)
        for name, entry in reader.read_metadata().state_dict_metadata.items()
        if isinstance(entry, TensorStorageMetadata) and name.partition(_SEPARATOR)[0] == group
    }
    with warnings.catch_warnings():
        # that one process reads is what is wanted, and nothing to warn of
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        load(dict(empty), storage_reader=reader, no_dist=True)
    return {name.partition(_SEPARATOR)[2]: tensor for name, tensor in empty.items()}
