"""What is exported, of either kind: sequences of ids in the order of the set, a batch at a time.

A sequence is a row of a packed set, or a document of a token set. Its *parts* are what it holds of one document each, in
order; a last part may be padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus.data.buffers import numbers
from corpus.data.dataset import Dataset, read_batches
from corpus.data.packed import PackedRows, Tokens
from corpus.data.schema import NARROW_VOCABULARY
from corpus.data.stored import StoredFile
from corpus.errors import DataError, UsageError

Ints = npt.NDArray[np.int64]
BATCH_TOKENS = 1 << 20


@dataclass(frozen=True)
class Batch:
    """Some sequences, one after the other."""

    ids: Tokens
    """Of all: uint16 or uint32 [tokens]."""
    lengths: Ints
    """Ids of each sequence: [sequences]."""
    part_counts: Ints
    """Parts of each sequence without padding: [sequences]."""
    part_lengths: Ints
    """Ids of each of these parts: [parts]."""
    names: list[str]
    """The domain of each row, the id of each document."""

    @property
    def part_ends(self) -> Ints:
        """Where in `ids` parts end, padding counted as one: ascending, [parts and paddings]."""
        ends = np.cumsum(self.lengths)
        last = np.cumsum(self.part_counts)
        inside = np.cumsum(self.part_lengths)
        # padding before a sequence moves its parts
        filled = np.diff(np.concatenate([[0], inside])[np.concatenate([[0], last])])
        padding = np.cumsum(self.lengths - filled) - (self.lengths - filled)
        return np.union1d(inside + np.repeat(padding, self.part_counts), ends)


@dataclass(frozen=True)
class Vocabulary:
    """What the manifest of a set says of its ids."""

    tokenizer: str
    """The digest of the tokenizer's model."""
    size: int
    eod: int

    @property
    def wide(self) -> bool:
        """Whether ids have four bytes and not two."""
        return self.size > NARROW_VOCABULARY

    @classmethod
    def of(cls, dataset: Dataset) -> Vocabulary:
        """A DataError where the manifest lacks something."""
        try:
            found = dataset.manifest.extra["tokenizer"]
            return cls(str(found["digest"]), int(found["vocab_size"]), int(found["eod_id"]))
        except (KeyError, TypeError) as error:
            raise DataError(f"the manifest of {dataset.path} lacks {error}: {dataset.remedy}.") from None


class Sequences(Protocol):
    """A set to export."""

    dataset: Dataset
    vocabulary: Vocabulary
    count: int
    width: int | None
    """Ids of every sequence; None where they differ."""
    padded: bool

    def shards(self) -> Iterator[Iterator[Batch]]:
        """The batches of each shard, in order. What is read is checked: a DamagedFileError names a damaged shard."""


class PackedSequences:
    """The rows of a packed set, in training order."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.vocabulary = Vocabulary.of(dataset)
        self._rows = PackedRows(dataset.path)
        self.count = len(self._rows)
        self.width: int | None = self._rows.identity.sequence_length + 1
        self.padded = self._rows.padded

    def shards(self) -> Iterator[Iterator[Batch]]:
        begin = 0
        for shard in self._rows.shards:
            yield self._batches(begin, begin + shard.rows)
            begin += shard.rows

    def _batches(self, begin: int, end: int) -> Iterator[Batch]:
        assert self.width is not None
        step = max(1, BATCH_TOKENS // self.width)
        for first in range(begin, end, step):
            rows = slice(first, min(first + step, end))
            ids = self._rows[rows]
            lengths = np.full(len(ids), self.width, np.int64)
            yield Batch(ids.reshape(-1), lengths, *self._rows.segment_lengths(rows), self._rows.domains(rows))


class TokenSequences:
    """The documents of a token set, in its order, each ended by EOD."""

    width: int | None = None
    padded = False

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.vocabulary = Vocabulary.of(dataset)
        self.count = dataset.manifest.rows

    def shards(self) -> Iterator[Iterator[Batch]]:
        return map(self._batches, self.dataset.shards())

    @staticmethod
    def _batches(shard: StoredFile) -> Iterator[Batch]:
        for batch in read_batches(shard, ["id", "ids"]):
            if not batch.num_rows:
                continue
            column = batch.column("ids")
            lengths = np.diff(numbers(column.offsets, np.int32)).astype(np.int64)
            ids = numbers(column.flatten(), np.uint32 if column.type.value_type == pa.uint32() else np.uint16)
            yield Batch(ids, lengths, np.ones_like(lengths), lengths, batch.column("id").to_pylist())


def open_sequences(path: Path) -> Sequences:
    """The set at `path`; a UsageError where it is neither packed nor of tokens, a DataError where it is empty."""
    dataset = Dataset.open(path)
    kind = dataset.manifest.kind
    if kind not in ("packed", "tokens"):
        raise UsageError(f"{path} holds {kind}: give a packed set (corpus mix) or a token set (corpus tokenize).")
    if dataset.manifest.extra.get("trained"):
        raise UsageError(
            f"{path} says which tokens are trained on (conversations), which no format of export can: train on it with "
            "trainer fit."
        )
    if not dataset.manifest.rows:
        raise DataError(f"{path} holds no rows: there is nothing to export.")
    return PackedSequences(dataset) if kind == "packed" else TokenSequences(dataset)
