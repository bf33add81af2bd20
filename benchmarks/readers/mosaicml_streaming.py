"""mosaicml-streaming: MDS shards of arrays, read in their order.

It imports torchvision for images, which wants a CUDA build of torch; none of it is used here, so a stand-in is given.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from timing import BATCH, ROW, main

for name in ("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.transforms.functional"):
    sys.modules[name] = ModuleType(name)
    sys.modules[name].__spec__ = ModuleSpec(name, None)
    vars(sys.modules[name]).update(VisionDataset=object, to_tensor=None, __version__="0")
streaming = importlib.import_module("streaming")


def write(path: Path, rows: Any) -> None:
    with streaming.MDSWriter(out=str(path), columns={"tokens": f"ndarray:uint16:{ROW}"}) as writer:
        for row in rows:
            writer.write({"tokens": np.asarray(row)})


def read(path: Path) -> Iterator[Any]:
    rows = streaming.StreamingDataset(local=str(path), shuffle=False, batch_size=BATCH)
    batch: list[Any] = []
    for row in rows:
        batch.append(torch.from_numpy(row["tokens"].astype(np.int64)))
        if len(batch) == BATCH:
            yield torch.stack(batch)
            batch = []
    if batch:
        yield torch.stack(batch)


if __name__ == "__main__":
    main(write, read)
