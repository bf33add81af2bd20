"""Parquet alone in a folder, `data/`: a path that datasets, pyarrow, pandas and polars take as it is, DuckDB with `/*.parquet`.
They open every file of a folder that they are given, and a dataset's has a card and a manifest besides its shards."""

from __future__ import annotations

import pyarrow.parquet as pq

from corpus.data.dataset import Dataset, read_batches, read_schema
from corpus.data.stored import StoredFile
from corpus.export.folder import Folder

_BLOCK = 8 << 20


def write(dataset: Dataset, folder: Folder) -> str:
    """Write each shard: documents as they are, tokens and packed rows with their columns. The result says how to read it."""
    for number, shard in enumerate(dataset.shards()):
        _write(shard, folder, f"data/{number:05d}.parquet")
    return "polars.scan_parquet('data'), pandas.read_parquet('data'), datasets.load_dataset('data')"


def _write(shard: StoredFile, folder: Folder, name: str) -> None:
    with folder.create(name) as file:
        if shard.path.suffix == ".parquet":
            with shard.open() as source:
                while block := source.read(_BLOCK):
                    file.write(block)
            return
        with pq.ParquetWriter(file, read_schema(shard), compression="zstd", write_page_checksum=True) as writer:
            for batch in read_batches(shard):
                writer.write_batch(batch)
