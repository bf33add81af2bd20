"""Which documents two datasets of a domain have in common: by their ids, and whether the text of an id is the same.

In memory are 16 bytes for each document. Hashes of 64 bits stand for ids: among a hundred million of them fewer than one
in a thousand runs has two that are equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from corpus.data.dataset import Dataset, read_batches
from corpus.data.trail import dropped_files
from corpus.report.run import CorpusRun, is_validation

Hashes = npt.NDArray[np.uint64]
NEVER_READ = "not among its raw records, or merged into another"
VALIDATION = "held out for validation"


@dataclass(frozen=True)
class Texts:
    """Of a dataset the hashes of ids, ascending, and of their texts in the same order."""

    ids: Hashes
    texts: Hashes

    @classmethod
    def of(cls, dataset: Dataset) -> Texts:
        """Read all ids and texts of a dataset; a DataError where its rows were cleaned."""
        ids, texts = [_EMPTY], [_EMPTY]
        for batch in dataset.batches(["id", "text"]):
            ids.append(hashed(batch.column("id")))
            texts.append(hashed(batch.column("text")))
        known, order = np.concatenate(ids), np.argsort(np.concatenate(ids), kind="stable")
        return cls(known[order], np.concatenate(texts)[order])


_EMPTY: Hashes = np.empty(0, np.uint64)


def hashed(column: pa.Array) -> Hashes:
    """uint64[n]: the xxh3-64 of each string."""
    texts = column.cast(pa.large_binary()).to_pylist()
    return np.fromiter(map(xxhash.xxh3_64_intdigest, texts), np.uint64, len(texts))


@dataclass(frozen=True)
class Overlap:
    """What two datasets have: hashes of the ids that only the one has, only the other, and both with other texts."""

    only_first: Hashes
    only_second: Hashes
    changed: Hashes
    equal: int

    @classmethod
    def of(cls, first: Dataset, second: Dataset) -> Overlap:
        """Compare them; equal datasets are not read."""
        if first.digest == second.digest:
            return cls(_EMPTY, _EMPTY, _EMPTY, first.manifest.rows)
        one, two = Texts.of(first), Texts.of(second)
        both, at, other = np.intersect1d(one.ids, two.ids, assume_unique=True, return_indices=True)
        differs = one.texts[at] != two.texts[other]
        return cls(
            np.setdiff1d(one.ids, both, assume_unique=True),
            np.setdiff1d(two.ids, both, assume_unique=True),
            both[differs],
            int(len(both) - differs.sum()),
        )


def places(hashes: Hashes, wanted: Hashes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which of some hashes are among the `wanted`, which ascend: their places in the one and in the other."""
    if not len(wanted):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    at = np.minimum(np.searchsorted(wanted, hashes), len(wanted) - 1)
    met = np.flatnonzero(wanted[at] == hashes)
    return met, at[met]


def rows_of(dataset: Dataset, wanted: Hashes, number: int) -> Iterator[dict[str, Any]]:
    """The rows whose ids have the `number` smallest of these hashes, in the order of the dataset."""
    chosen = wanted[:number]
    left = len(chosen)
    for shard in dataset.shards() if left else ():
        for group, batch in enumerate(read_batches(shard, ["id"])):
            met, _ = places(hashed(batch.column("id")), chosen)
            if len(met):
                (whole,) = read_batches(shard, groups=range(group, group + 1))
                yield from whole.take(pa.array(met)).to_pylist()
                left -= len(met)
            if left == 0:
                return


@dataclass
class Reasons:
    """Why a run has not the documents with the `wanted` hashes of ids."""

    wanted: Hashes
    names: list[str] = field(default_factory=lambda: [NEVER_READ])
    codes: npt.NDArray[np.int32] = field(init=False)
    """Of each of them the number of its reason among `names`."""

    def __post_init__(self) -> None:
        self.codes = np.zeros(len(self.wanted), np.int32)

    @classmethod
    def of(cls, run: CorpusRun, domain: str, wanted: Hashes) -> Reasons:
        """From the lists of what was dropped, and the validation sides."""
        found = cls(wanted)
        for dataset in run.chains.get(domain, ()):
            for file in dropped_files(dataset.path):
                for batch in read_batches(file, ["id", "map", "reason"]):
                    met, at = places(hashed(batch.column("id")), wanted)
                    rows = batch.take(pa.array(met)).to_pylist()
                    found.note(at, [_said(dataset, row["map"], row["reason"]) for row in rows])
            if is_validation(dataset) and not dataset.cleaned:
                for batch in dataset.batches(["id"]):
                    _, at = places(hashed(batch.column("id")), wanted)
                    found.note(at, [VALIDATION] * len(at))
        return found

    def note(self, places: npt.NDArray[np.int64], reasons: list[str]) -> None:
        """Set the reasons of some that have none yet."""
        for place, reason in zip(places.tolist(), reasons, strict=True):
            if self.codes[place] == 0:
                if reason not in self.names:
                    self.names.append(reason)
                self.codes[place] = self.names.index(reason)

    def counts(self) -> list[tuple[str, int]]:
        """The reasons with how many have them, the most frequent first."""
        numbers = np.bincount(self.codes, minlength=len(self.names)).tolist()
        pairs = [(name, number) for name, number in zip(self.names, numbers, strict=True) if number]
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))

    def reason(self, id: str) -> str:
        """That of one of them."""
        _, at = places(hashed(pa.array([id])), self.wanted)
        return self.names[int(self.codes[int(at[0])])]


def _said(dataset: Dataset, map: str, reason: str) -> str:
    by = map or dataset.manifest.stage
    return reason if reason.startswith(by) else f"{by}: {reason}"
