"""Hugging Face datasets: a saved set of fixed lists, read in NumPy's format."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from timing import BATCH, ROW, main

sys.path.remove(str(Path(__file__).parent))  # this script has the library's name
sys.modules.pop("datasets", None)
library = importlib.import_module("datasets")


def write(path: Path, rows: Any) -> None:
    tokens = pa.FixedSizeListArray.from_arrays(pa.array(np.asarray(rows).reshape(-1)), ROW)
    library.Dataset(library.table.InMemoryTable.from_arrays([tokens], ["tokens"])).save_to_disk(str(path))


def read(path: Path) -> Iterator[Any]:
    rows = library.load_from_disk(str(path)).with_format("numpy")
    for first in range(0, len(rows), BATCH):
        yield torch.from_numpy(rows[first : first + BATCH]["tokens"].astype(np.int64))


if __name__ == "__main__":
    main(write, read)
