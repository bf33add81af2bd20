"""The inputs of stages that read datasets, cut into the pieces that tasks read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from corpus.data.dataset import Dataset, read_batches, resolve
from corpus.data.stored import StoredFile
from corpus.engine.stage import InputRef

SAMPLE = "sample"
"""The key of a manifest's `extra` that says of which part of the raw records a dataset is made, where it is not all."""


@dataclass(frozen=True)
class Piece:
    """A part of an input shard that one task reads: its row groups `groups`.

    `dataset` and `shard` are the positions of the dataset among the inputs and of the shard in it; `task` is the task
    that first cut the shard, and that every stage passes on.
    """

    dataset: int
    shard: int
    file: StoredFile
    groups: range
    rows: int
    task: str

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows, a row group at a time."""
        return read_batches(self.file, columns, self.groups)


def input_pieces(datasets: Sequence[Dataset]) -> list[Piece]:
    """The pieces of all datasets, in order. They are the tasks of every stage that reads documents, so that neither
    what else is in a dataset nor what earlier stages dropped moves a document from one task to another."""
    found: list[Piece] = []
    for number, dataset in enumerate(datasets):
        for index, (entry, file) in enumerate(zip(dataset.manifest.shards, dataset.planned_shards(), strict=True)):
            first = 0
            task = f"{number}:{entry.task}" if len(datasets) > 1 else entry.task
            for groups, rows in entry.pieces:
                found.append(Piece(number, index, file, range(first, first + groups), rows, task))
                first += groups
    return found


def dataset_inputs(datasets: Sequence[Dataset]) -> tuple[InputRef, ...]:
    """The inputs of a stage that reads `datasets`: stage and domains that they are of, and the manifest's digest. A
    directory's name is not part of it, so that datasets can be moved and renamed."""
    return tuple(InputRef(_title(dataset), dataset.digest, dataset.digest) for dataset in datasets)


def _title(dataset: Dataset) -> str:
    extra = dataset.manifest.extra
    domains = extra.get("domains") or [extra.get("domain", "")]
    return " ".join([dataset.manifest.stage, *domains]).strip()


def open_inputs(paths: Sequence[str], kind: str = "documents") -> tuple[Dataset, ...]:
    """The input datasets of a stage, in order."""
    return tuple(resolve(paths, kind))


def text_bytes(datasets: Sequence[Dataset]) -> int:
    """Bytes of text in the inputs by their manifests."""
    return sum(dataset.manifest.totals.get("bytes", 0) for dataset in datasets)


def inherited_sample(datasets: Iterable[Dataset]) -> dict[str, Any]:
    """For the manifest: that a dataset is made from a sample of the raw records, and which; empty where it is not."""
    marks = [dataset.manifest.extra[SAMPLE] for dataset in datasets if SAMPLE in dataset.manifest.extra]
    return {SAMPLE: marks[0]} if marks else {}


def inherited_domains(datasets: Iterable[Dataset]) -> list[str]:
    """The domains that the manifests name, each once, in the order of the datasets."""
    return list(dict.fromkeys(domain for dataset in datasets for domain in dataset.manifest.extra.get("domains", [])))
