"""`corpus inspect`: documents, drops and quarantined records in the terminal."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from corpus.data.dataset import Dataset, read_batches, read_rows
from corpus.data.manifest import MANIFEST
from corpus.data.trail import dropped_files, quarantine_files, sample_files
from corpus.errors import DataError, UsageError
from corpus.option import nearest


def documents(dataset: Dataset, number: int) -> Iterator[dict[str, Any]]:
    """`number` rows spread evenly over the dataset."""
    total = dataset.manifest.rows
    wanted = {total * i // number for i in range(min(number, total))} if total > number else set(range(total))
    row = 0
    for file, shard in zip(dataset.shards(), dataset.manifest.shards, strict=True):
        if not wanted & set(range(row, row + shard.rows)):
            row += shard.rows
            continue
        for batch in read_batches(file):
            for index in sorted(wanted & set(range(row, row + batch.num_rows))):
                yield batch.slice(index - row, 1).to_pylist()[0]
            row += batch.num_rows


def document(dataset: Dataset, id: str) -> dict[str, Any]:
    """The row whose id is `id`; where it was dropped, a DataError says why."""
    if dataset.manifest.kind == "packed":
        raise UsageError(f"{dataset.path} holds packed rows, which have no ids: see what is in them with corpus trace.")
    for file in dataset.shards():
        for batch in read_batches(file):
            found = batch.filter(pc.equal(batch.column("id"), id))
            if found.num_rows:
                row: dict[str, Any] = found.to_pylist()[0]
                return row
    for entry in read_rows(dropped_files(dataset.path)):
        if entry["id"] == id:
            raise DataError(f"{id} was dropped by stage {dataset.manifest.stage}: {entry['reason']}.")
    raise UsageError(f"{dataset.path} has no document {id}: look at the ids with corpus inspect.")


def unfinished(path: Path) -> bool:
    """Whether `path` holds what a stage that did not finish dropped or set aside, which can be looked at all the same."""
    return not (path / MANIFEST).exists() and bool(quarantine_files(path) or sample_files(path))


def check_map(dataset: Dataset, map: str) -> None:
    """A UsageError unless `map` is empty or the name of one of the dataset's maps."""
    names = [entry["map"] for entry in dataset.manifest.extra.get("maps", ())]
    if map and map not in names:
        raise UsageError(f"{dataset.path} was not made by a map '{map}': {nearest(map, names)}")


def dropped(path: Path, number: int, map: str = "") -> Iterator[dict[str, Any]]:
    """Up to `number` dropped documents of each reason, with their text; of one `map` of the stage, where it is named."""
    seen: dict[str, int] = {}
    for row in read_rows(sample_files(path)):
        if map and row["map"] != map:
            continue
        seen[row["reason"]] = seen.get(row["reason"], 0) + 1
        if seen[row["reason"]] <= number:
            yield row


def removed_lines(dataset: Dataset, number: int) -> list[dict[str, Any]]:
    """The `number` lines that line dedup removed from most documents: line, documents (how many have it)."""
    report = dataset.path / "_report.json"
    value = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    if "lines" not in value:
        raise UsageError(f"{dataset.path} was not made by line dedup: its report names no lines; leave --lines out.")
    return list(value["lines"][:number])


def quarantined(path: Path, number: int) -> Iterator[dict[str, Any]]:
    """The first `number` records that could not be read."""
    return itertools.islice(read_rows(quarantine_files(path)), number)
