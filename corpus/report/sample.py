"""The documents that are left, or so many of them, spread evenly: languages, lengths, scores, licences, attributions.

Of a dataset with more rows than wanted every so manieth row group is read; the figures say so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.data.dataset import Dataset, group_rows, read_batches
from corpus.quality.distribution import CHARACTERS, Distribution, is_number, number_of
from corpus.report.run import CorpusRun

NO_LANGUAGE, NO_LICENCE = "not identified", "not stated"
_ATTRIBUTES = ("author", "title", "url")
_BARS = 40


@dataclass
class Sample:
    """What was counted in the documents of one domain that were read."""

    documents: int
    """Of the dataset."""
    read: int = 0
    languages: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    attributed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of each licence the documents that name an author, a title, an address."""
    sources: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of each licence that is stated the documents of each raw file."""
    numbers: dict[str, Distribution] = field(default_factory=dict)
    """Of `characters` and every column of numbers."""

    @property
    def said(self) -> str:
        """How much of the dataset it is, in words."""
        if self.read == self.documents:
            return f"all {self.documents:,} documents"
        return f"{self.read:,} of {self.documents:,} documents, spread evenly"


def sample_of(dataset: Dataset, wanted: int) -> Sample | None:
    """Count about `wanted` documents of a dataset; None where its rows were cleaned."""
    if dataset.cleaned:
        return None
    found = Sample(dataset.manifest.rows)
    for batch in _batches(dataset, wanted):
        _add(found, batch)
    return found


def samples_of(run: CorpusRun, wanted: int) -> dict[str, Sample]:
    """Of each domain a sample of the documents to train on."""
    found = {domain: sample_of(dataset, wanted) for domain, dataset in run.last.items()}
    return {domain: sample for domain, sample in found.items() if sample is not None}


def _batches(dataset: Dataset, wanted: int) -> Iterator[pa.RecordBatch]:
    """Every so manieth row group, so that about `wanted` rows are read; of a small dataset all."""
    every = max(1, math.ceil(dataset.manifest.rows / wanted))
    columns = ["text", "language", "language_score", "url", "source"]
    columns += [
        c.name for c in dataset.manifest.columns if c.name in ("author", "title", "licence") or _numeric(c.type)
    ]
    place = 0
    for shard in dataset.shards():
        for group in range(len(group_rows(shard))) if every > 1 else (None,):
            if place % every == 0:
                yield from read_batches(shard, columns, None if group is None else range(group, group + 1))
            place += group is not None


def _numeric(kind: str) -> bool:
    return kind.startswith(("int", "uint", "float", "double"))


def _add(found: Sample, batch: pa.RecordBatch) -> None:
    found.read += batch.num_rows
    for entry in batch.column("language").value_counts().to_pylist():
        found.languages[entry["values"] or NO_LANGUAGE] += entry["counts"]
    _add_number(found, CHARACTERS, pc.utf8_length(batch.column("text")))
    for name in batch.schema.names:
        if is_number(batch.schema.field(name).type):
            _add_number(found, name, batch.column(name))
    _add_licences(found, batch)


def _add_number(found: Sample, name: str, values: pa.Array) -> None:
    given: Any = values.cast(pa.float64()).fill_null(math.nan).to_numpy(zero_copy_only=False)
    found.numbers.setdefault(name, Distribution()).add(np.asarray(given, dtype=np.float64))


def _add_licences(found: Sample, batch: pa.RecordBatch) -> None:
    nothing = pa.nulls(batch.num_rows, pa.string())
    names = batch.schema.names
    columns = {name: batch.column(name) if name in names else nothing for name in ("licence", *_ATTRIBUTES)}
    licences = pc.fill_null(columns["licence"], NO_LICENCE)
    for entry in licences.value_counts().to_pylist():
        found.licences[entry["values"]] += entry["counts"]
    stated = columns["licence"].is_valid()
    pairs = zip(columns["licence"].filter(stated).to_pylist(), _files(batch.filter(stated)), strict=True)
    found.sources.update(pairs)
    for name in _ATTRIBUTES:
        named = licences.filter(pc.fill_null(pc.not_equal(columns[name], ""), False))
        for entry in named.value_counts().to_pylist():
            found.attributed[entry["values"], name] += entry["counts"]


def _files(batch: pa.RecordBatch) -> list[str]:
    files: list[str] = batch.column("source").field("file").to_pylist()
    return files


def log_bars(found: Distribution) -> list[tuple[float, float, int]]:
    """Bars between powers of two of positive numbers: begin, end, numbers."""
    counts = Counter[int]()
    for bin, count in found.bins.items():
        value = number_of(bin)
        if value > 0:
            counts[math.floor(math.log2(value))] += count
    if not counts:
        return []
    powers = range(min(counts), max(counts) + 1)
    return [(2.0**power, 2.0 ** (power + 1), counts[power]) for power in powers]


def undrawn(found: Distribution) -> int:
    """How many numbers no bar between powers of two has: zeros, and what is below."""
    return sum(count for bin, count in found.bins.items() if number_of(bin) <= 0)


def even_bars(found: Distribution, least: float, most: float) -> list[tuple[float, float, int]]:
    """Bars of equal width from `least` to `most`, which several distributions can have in common."""
    width = (most - least) / _BARS
    if not width > 0 or not math.isfinite(width):
        return [(least, most, found.number)] if found.number else []
    counts = [0] * _BARS
    for bin, count in found.bins.items():
        counts[min(max(int((number_of(bin) - least) / width), 0), _BARS - 1)] += count
    return [(least + bar * width, least + (bar + 1) * width, count) for bar, count in enumerate(counts)]
