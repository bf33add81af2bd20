"""`corpus inspect`: documents, drops and quarantined records in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.data.dataset import Dataset, read_batches
from corpus.errors import DataError, UsageError
from corpus.option import nearest


def documents(dataset: Dataset, number: int) -> Iterator[dict[str, Any]]:
    """`number` rows spread evenly over the dataset."""
    total = dataset.manifest.rows
    wanted = {total * i // number for i in range(min(number, total))} if total > number else set(range(total))
    row = 0
    for path, shard in zip(dataset.shard_paths(), dataset.manifest.shards, strict=True):
        if not wanted & set(range(row, row + shard.rows)):
            row += shard.rows
            continue
        for batch in read_batches(path):
            for index in sorted(wanted & set(range(row, row + batch.num_rows))):
                yield batch.slice(index - row, 1).to_pylist()[0]
            row += batch.num_rows


def document(dataset: Dataset, id: str) -> dict[str, Any]:
    """The row whose id is `id`; where it was dropped, a DataError says why."""
    if dataset.manifest.kind == "packed":
        raise UsageError(f"{dataset.path} holds packed rows, which have no ids: see what is in them with corpus trace.")
    for path in dataset.shard_paths():
        for batch in read_batches(path):
            found = batch.filter(pc.equal(batch.column("id"), id))
            if found.num_rows:
                row: dict[str, Any] = found.to_pylist()[0]
                return row
    for entry in _rows(sorted((dataset.path / "_dropped").glob("*.ids"))):
        if entry["id"] == id:
            raise DataError(f"{id} was dropped by stage {dataset.manifest.stage}: {entry['reason']}.")
    raise UsageError(f"{dataset.path} has no document {id}: look at the ids with corpus inspect.")


def dropped(dataset: Dataset, number: int, map: str = "") -> Iterator[dict[str, Any]]:
    """Up to `number` dropped documents of each reason, with their text; of one `map` of the stage, where it is named."""
    names = [entry["map"] for entry in dataset.manifest.extra.get("maps", ())]
    if map and map not in names:
        raise UsageError(f"{dataset.path} was not made by a map '{map}': {nearest(map, names)}")
    seen: dict[str, int] = {}
    path = dataset.path / "_dropped" / "samples"
    for row in _rows([path] if path.exists() else []):
        if map and row["map"] != map:
            continue
        seen[row["reason"]] = seen.get(row["reason"], 0) + 1
        if seen[row["reason"]] <= number:
            yield row


def quarantined(dataset: Dataset, number: int) -> Iterator[dict[str, Any]]:
    """The first `number` records that could not be read."""
    for index, row in enumerate(_rows(sorted((dataset.path / "_quarantine").glob("*.records")))):
        if index >= number:
            return
        yield row


def _rows(paths: list[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    yield from pa.Table.to_pylist(file.read_row_group(group))
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{path} cannot be read ({str(error).splitlines()[0]}): make the dataset again.") from None
