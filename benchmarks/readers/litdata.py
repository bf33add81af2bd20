"""litdata: tokens in its optimised chunks, read as blocks."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import BATCH, ROW, main

sys.path.remove(str(Path(__file__).parent))  # this script has the library's name
sys.modules.pop("litdata", None)
library = importlib.import_module("litdata")
streaming = importlib.import_module("litdata.streaming")


def write(path: Path, rows: Any) -> None:
    import os

    os.environ["DATA_OPTIMIZER_NUM_WORKERS"] = "1"
    writer = streaming.Cache(str(path), chunk_bytes=64_000_000, item_loader=library.TokensLoader(block_size=ROW))
    for number in range(0, len(rows)):
        writer[number] = torch.from_numpy(np.asarray(rows[number]).copy())
    writer.done()
    writer.merge()


def read(path: Path) -> Iterator[Any]:
    rows = library.StreamingDataset(
        str(path), item_loader=library.TokensLoader(block_size=ROW), shuffle=False, drop_last=False
    )
    batch: list[Any] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield torch.stack(batch).to(torch.int64)
            batch = []
    if batch:
        yield torch.stack(batch).to(torch.int64)


if __name__ == "__main__":
    main(write, read)
