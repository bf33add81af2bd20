"""Distributions of the columns of documents, and what each rule would drop: for the choice of thresholds.

Numbers are counted in bins of the leading 22 bits of a float64 (sign, exponent, ten bits of the fraction), so that whole
numbers up to 2,048 are exact and others at most 0.1 % too near to zero, whatever their range. Counts of parts are added,
and sums are added exactly, so that no number of workers changes anything.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from corpus.data.buffers import Array
from corpus.data.dataset import read_batches
from corpus.data.stored import StoredFile

CHARACTERS = "characters"
"""The length of the text, which every document has."""
QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
REASON = "_reason"
_SHIFT = np.uint64(42)
_SIGN = np.uint64(1 << 63)
_BARS = 20
Group = tuple[str | None, ...]


def bins_of(values: Array[np.float64]) -> Array[np.int64]:
    """int64[n]: the bins of some numbers, in the order of the numbers."""
    bits = (values + 0.0).view(np.uint64)  # no minus zero
    ordered = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return np.asarray(ordered >> _SHIFT, dtype=np.int64)


def number_of(bin: int) -> float:
    """The number nearest to zero in a bin."""
    ordered = np.uint64(bin << 42)
    bits = ordered ^ _SIGN if ordered & _SIGN else ~ordered & ~np.uint64((1 << 42) - 1)
    return float(np.array([bits], dtype=np.uint64).view(np.float64)[0])


@dataclass
class Distribution:
    """Of one column in one group: how many numbers are in each bin, and what is known exactly."""

    bins: Counter[int] = field(default_factory=Counter)
    missing: int = 0
    least: float = math.inf
    most: float = -math.inf
    total: Fraction = Fraction(0)

    def add(self, values: Array[np.float64]) -> None:
        """Count some numbers; what is not finite is missing."""
        known = values[np.isfinite(values)]
        self.missing += len(values) - len(known)
        if not len(known):
            return
        numbers, counts = np.unique(bins_of(known), return_counts=True)
        self.bins.update(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
        self.least, self.most = min(self.least, float(known.min())), max(self.most, float(known.max()))
        try:
            self.total += Fraction(math.fsum(known.tolist()))
        except OverflowError:
            self.total += sum(map(Fraction, known.tolist()))

    def merge(self, other: Distribution) -> None:
        """Add what another part of the documents has."""
        self.bins.update(other.bins)
        self.missing += other.missing
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)
        self.total += other.total

    @property
    def number(self) -> int:
        """Numbers that are not missing."""
        return sum(self.bins.values())

    @property
    def mean(self) -> float:
        """Their mean."""
        return float(self.total / self.number) if self.number else math.nan

    def quantiles(self) -> list[float]:
        """Of each of `QUANTILES` the smallest number with at least that share of the numbers up to it."""
        wanted = [max(1, math.ceil(Fraction(str(share)) * self.number)) for share in QUANTILES]
        found: list[float] = []
        seen = 0
        for bin, count in sorted(self.bins.items()):
            seen += count
            while len(found) < len(wanted) and seen >= wanted[len(found)]:
                found.append(min(max(number_of(bin), self.least), self.most))
        return found

    def histogram(self) -> list[tuple[float, float, int]]:
        """Bars of equal width from the least to the most: begin, end, numbers from begin to below end (the last: to end)."""
        if not self.number:
            return []
        if self.least == self.most:
            return [(self.least, self.most, self.number)]
        least, width = (
            self.least / _BARS,
            self.most / _BARS - self.least / _BARS,
        )  # the difference itself can be infinite
        ends = [(least + width * (bar / _BARS)) * _BARS for bar in range(_BARS)] + [self.most]
        counts = [0] * _BARS
        for bin, count in self.bins.items():
            counts[bisect.bisect_right(ends, min(max(number_of(bin), self.least), self.most), 1, _BARS) - 1] += count
        return [(ends[bar], ends[bar + 1], counts[bar]) for bar in range(_BARS)]

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        if not self.number:
            return {"number": 0, "missing": self.missing}
        return {
            "number": self.number,
            "missing": self.missing,
            "mean": self.mean,
            "min": self.least,
            "max": self.most,
            "quantiles": {f"{share:g}": n for share, n in zip(QUANTILES, self.quantiles(), strict=True)},
            "histogram": [list(bar) for bar in self.histogram()],
        }


@dataclass
class GroupStats:
    """Of one group of documents."""

    documents: int = 0
    columns: dict[str, Distribution] = field(default_factory=dict)
    reasons: Counter[tuple[str | None, ...]] = field(default_factory=Counter)
    """How many documents have which reasons, one for each rule, in order."""

    def merge(self, other: GroupStats) -> None:
        """Add what another part of the documents has."""
        self.documents += other.documents
        for name, found in other.columns.items():
            self.columns.setdefault(name, Distribution()).merge(found)
        self.reasons.update(other.reasons)


@dataclass(frozen=True)
class Query:
    """What is asked for: the columns that groups have in common, columns of numbers, and of reasons."""

    by: tuple[str, ...]
    numbers: tuple[str, ...]
    reasons: tuple[str, ...]

    def of(self, shard: StoredFile) -> dict[Group, GroupStats]:
        """The groups of one shard."""
        found: dict[Group, GroupStats] = {}
        for batch in read_batches(shard):
            for group, rows in _groups(batch, self.by):
                self._add(found.setdefault(group, GroupStats()), batch, rows)
        return found

    def _add(self, stats: GroupStats, batch: pa.RecordBatch, rows: Array[np.int64]) -> None:
        stats.documents += len(rows)
        for name in self.numbers:
            stats.columns.setdefault(name, Distribution()).add(_numbers(batch, name)[rows])
        if self.reasons:
            columns = [
                batch.column(name).take(pa.array(rows)).to_pylist()
                if name in batch.schema.names
                else [None] * len(rows)
                for name in self.reasons
            ]
            stats.reasons.update(zip(*columns, strict=True))


def _groups(batch: pa.RecordBatch, by: Sequence[str]) -> Iterator[tuple[Group, Array[np.int64]]]:
    """The groups of a batch and their rows."""
    rows: dict[Group, list[int]] = {}
    labels = [
        batch.column(name).cast(pa.string()).to_pylist() if name in batch.schema.names else [None] * batch.num_rows
        for name in by
    ]
    for row, group in enumerate(zip(*labels, strict=True) if by else [()] * batch.num_rows):
        rows.setdefault(group, []).append(row)
    for group, found in rows.items():
        yield group, np.array(found, dtype=np.int64)


def _numbers(batch: pa.RecordBatch, name: str) -> Array[np.float64]:
    """A column as float64[rows]; NaN for null and where there is no such column."""
    if name == CHARACTERS:
        values = pc.utf8_length(batch.column("text"))
    elif name in batch.schema.names:
        values = batch.column(name)
    else:
        return np.full(batch.num_rows, np.nan)
    given: Any = values.cast(pa.float64()).fill_null(math.nan).to_numpy(zero_copy_only=False)
    return np.asarray(given, dtype=np.float64)


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type has a distribution."""
    return bool(pt.is_integer(kind) or pt.is_floating(kind))


def merged(parts: Iterable[Mapping[Group, GroupStats]]) -> dict[Group, GroupStats]:
    """The groups of all parts, in the order of their names."""
    found: dict[Group, GroupStats] = {}
    for part in parts:
        for group, stats in part.items():
            found.setdefault(group, GroupStats()).merge(stats)
    return dict(sorted(found.items(), key=lambda item: tuple((label is not None, label or "") for label in item[0])))


def rule_table(query: Query, reasons: Mapping[tuple[str | None, ...], int]) -> list[dict[str, Any]]:
    """Of each rule, in order, how many documents it drops by itself (`alone`), of those that the rules before it leave
    (`in_order`), and that no other rule drops (`only`); and the same alone for each of its reasons."""
    table = []
    for at, name in enumerate(query.reasons):
        row: dict[str, Any] = {"rule": name.removesuffix(REASON), "alone": 0, "in_order": 0, "only": 0}
        each: Counter[str] = Counter()
        for verdicts, number in reasons.items():
            why = verdicts[at]
            if why is None:
                continue
            row["alone"] += number
            row["in_order"] += number if not any(verdicts[:at]) else 0
            row["only"] += number if sum(verdict is not None for verdict in verdicts) == 1 else 0
            each[why] += number
        table.append(row | {"reasons": dict(sorted(each.items(), key=lambda item: (-item[1], item[0])))})
    return table
