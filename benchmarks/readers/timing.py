"""What all readers' scripts share: write or read by the arguments, sum the batches, print rate and first batch."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROW = 2049
BATCH = 32


def main(write: Callable[[Path, Any], None], read: Callable[[Path], Iterator[Any]]) -> None:
    """`write` makes the set at a path from a mapped array [rows, 2049]; `read` opens it and gives int64 tensors."""
    import numpy as np
    import torch

    step, path = sys.argv[1], Path(sys.argv[2])
    if step == "write":
        write(path, np.load(sys.argv[3], mmap_mode="r"))
        return
    torch.set_num_threads(1)
    torch.zeros(1, dtype=torch.int64).sum()
    began = time.perf_counter()
    total = tokens = 0
    first = 0.0
    for batch in read(path):
        assert batch.dtype == torch.int64
        total += int(batch.sum())
        tokens += batch.numel()
        first = first or time.perf_counter() - began
    seconds = time.perf_counter() - began
    rate = (tokens - BATCH * ROW) / (seconds - first)
    print(json.dumps({"rate": rate, "first": first, "sum": total}))
