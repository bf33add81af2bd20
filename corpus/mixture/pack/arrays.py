"""Arrays on disk that the phases of mixing leave for each other."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from corpus.engine.result import task_directory
from corpus.errors import DataError
from corpus.mixture.pack.layout import PlacedShard
from corpus.mixture.pack.order import Ints

LOOKED_UP = 8192
"""Values that are looked up before their pages are released."""


def shard_file(work: Path, shard: PlacedShard, name: str) -> Path:
    """The array `name` that the index phase left for a shard."""
    return task_directory(work, "index", shard.group) / f"{name}-{shard.member:05d}.npy"


def stretch(path: Path, dtype: npt.DTypeLike, begin: int, end: int) -> npt.NDArray[Any]:
    """The values [begin, end) of a file of bare values. The file is not kept open: there can be more than a process may
    have open. A `DataError` names one that is cut short."""
    found = np.fromfile(path, dtype, count=end - begin, offset=begin * np.dtype(dtype).itemsize)
    if len(found) < end - begin:
        raise DataError(f"{path} was cut short; run the command again with --overwrite.")
    return found


def look_up(path: Path, indices: Ints) -> Ints:
    """The int64 values at `indices` of a file of bare values. It is read from one end to the other, and never
    more than 32 MB of it are in this process's memory."""
    out = np.empty(len(indices), np.int64)
    if not len(indices):
        return out
    order = np.argsort(indices, kind="stable")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        for begin in range(0, len(order), LOOKED_UP):
            part = order[begin : begin + LOOKED_UP]
            values = np.frombuffer(pages, np.int64)
            out[part] = values[indices[part]]
            del values
            if hasattr(mmap, "MADV_DONTNEED"):
                pages.madvise(mmap.MADV_DONTNEED)
    return out
