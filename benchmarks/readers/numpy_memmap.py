"""A raw file of ids, as many trainers read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import BATCH, ROW, main


def write(path: Path, rows: Any) -> None:
    rows.tofile(path)


def read(path: Path) -> Iterator[Any]:
    rows = np.memmap(path, dtype=np.uint16, mode="r").reshape(-1, ROW)
    for first in range(0, len(rows), BATCH):
        yield torch.from_numpy(rows[first : first + BATCH].astype(np.int64))


if __name__ == "__main__":
    main(write, read)
