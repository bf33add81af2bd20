"""The documents that a packed set was made from: its list `_documents/`, by number and by id.

`_documents/NNNNN.parquet` has a row per document of the inputs, in their order; a document's number is its row in all
of them. `_documents/ids-NNNNN.npy`, uint64 [2, n], has the documents' ids hashed (xxh3-64) and ascending, and their
numbers; each file has an equal partition of all hashes. A look-up reads one row group, and some pages of one such
file.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from corpus.data.dataset import Dataset, readable
from corpus.data.stored import StoredFile
from corpus.errors import DataError, UsageError
from corpus.option import nearest

FOLDER = "_documents"


class Occurrence(NamedTuple):
    """A row of the packed set that holds tokens of a document, and the epoch of the document there."""

    row: int
    epoch: int


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """A document of the inputs: its number among all, its id, its tokens (EOD counted), and the rows that hold any.

    `input` is the index of its token dataset among the inputs, `row` its row there.
    """

    number: int
    id: str
    tokens: int
    input: int
    row: int
    occurrences: tuple[Occurrence, ...]

    @property
    def source(self) -> dict[str, Any]:
        """File and record that an id names: `<domain>/<file>#<record>`."""
        name, _, record = self.id.rpartition("#")
        return {"file": name.partition("/")[2], "record": int(record) if record.isdecimal() else None}


class DocumentList:
    """The documents of a packed set. Opening reads the manifest only."""

    def __init__(self, packed: Dataset) -> None:
        self.packed = packed
        try:
            entries = [(str(entry["name"]), int(entry["rows"])) for entry in packed.manifest.extra["documents"]]
            self.inputs: list[dict[str, Any]] = list(packed.manifest.extra["sources"])
        except KeyError as error:
            raise DataError(
                f"the manifest of {packed.path} lacks {error}: make the packed set again with corpus mix."
            ) from None
        self._files = packed.files(FOLDER)
        self._names = [name for name, _ in entries]
        self._firsts = list(accumulate((rows for _, rows in entries), initial=0))
        self._bases = list(accumulate((int(entry["documents"]) for entry in self.inputs), initial=0))

    def __len__(self) -> int:
        return self._firsts[-1]

    def read(self, numbers: Iterable[int], occurrences: bool = False) -> dict[int, ListedDocument]:
        """The documents of these numbers; their occurrences only where asked for (a book has hundreds)."""
        wanted = sorted(set(numbers))
        if wanted and wanted[-1] >= len(self):
            raise DataError(f"{self.packed.path} lists no document {wanted[-1]}: make the packed set again.")
        found: dict[int, ListedDocument] = {}
        columns = ["id", "tokens", *(["rows"] if occurrences else [])]
        while wanted:
            file = bisect.bisect_right(self._firsts, wanted[0]) - 1
            inside = bisect.bisect_left(wanted, self._firsts[file + 1])
            for number, entry in self._rows(file, wanted[:inside], columns):
                found[number] = self._listed(number, entry)
            wanted = wanted[inside:]
        return found

    def _rows(self, file: int, numbers: Sequence[int], columns: list[str]) -> Iterable[tuple[int, dict[str, Any]]]:
        stored = self._files[self._names[file]]
        with stored.open() as source, readable(stored), pq.ParquetFile(source, pre_buffer=False) as table:
            first, done = self._firsts[file], 0
            for group in range(table.num_row_groups):
                last = first + table.metadata.row_group(group).num_rows
                end = bisect.bisect_left(numbers, last, done)
                if end > done:
                    # each group is decoded once for all documents in it
                    part = table.read_row_group(group, columns=columns, use_threads=False)
                    wanted = part.take(pa.array([number - first for number in numbers[done:end]]))
                    yield from zip(numbers[done:end], wanted.to_pylist(), strict=True)
                if end == len(numbers):
                    return
                first, done = last, end
        raise stored.damaged(f"it lists no document {numbers[done]}")

    def _listed(self, number: int, entry: dict[str, Any]) -> ListedDocument:
        index = bisect.bisect_right(self._bases, number) - 1
        occurrences = tuple(Occurrence(**item) for item in entry.get("rows") or ())
        return ListedDocument(number, entry["id"], entry["tokens"], index, number - self._bases[index], occurrences)

    def find(self, id: str) -> list[ListedDocument]:
        """The documents of this id with their occurrences: one, or as many as inputs that hold it; a UsageError where
        the set was made without it."""
        found = self.look(id)
        if not found:
            raise UsageError(f"{self.packed.path} was made without a document '{id}': {self._hint(id)}")
        return found

    def look(self, id: str) -> list[ListedDocument]:
        """The same, and none where there is none."""
        numbers = self._numbers(hash_id(id))
        return [document for document in self.read(numbers, True).values() if document.id == id]

    def _numbers(self, hashed: int) -> list[int]:
        files = int(self.packed.manifest.extra["id_files"])
        table = self._files[id_file(partition_of(hashed, files))].mapped()
        begin = int(np.searchsorted(table[0], np.uint64(hashed), side="left"))
        end = int(np.searchsorted(table[0], np.uint64(hashed), side="right"))
        return [int(number) for number in table[1, begin:end]]

    def _hint(self, id: str) -> str:
        """The nearest domain, or an example of an id."""
        domains = [str(entry["domain"]) for entry in self.inputs]
        domain = id.partition("/")[0]
        if domain not in domains:
            return f"'{domain}' is none of its domains ({nearest(domain, domains)})."
        first = self._bases[domains.index(domain)]
        if first >= len(self):
            return f"{domain} has no documents."
        example = self.read([first])[first].id
        return f"ids are like '{example}'; it may have been dropped before (see corpus inspect --id)."


def hash_id(id: str) -> int:
    """xxh3-64 of an id."""
    return xxhash.xxh3_64_intdigest(id.encode("utf-8", "surrogatepass"))


def partition_of(hashed: int, partitions: int) -> int:
    """The partition, of `partitions` equal ones of all hashes, that holds this one."""
    return hashed * partitions >> 64


def id_file(partition: int) -> str:
    """The name of a file of hashed ids."""
    return f"ids-{partition:05d}.npy"


def original(document: ListedDocument, packed: DocumentList, documents: Sequence[Dataset]) -> dict[str, Any] | None:
    """The row of a document in the datasets of documents it was tokenized from; None where `documents` lacks
    them. Tokenizing keeps order and drops only documents without text, so that the row is found by counting."""
    entry = packed.inputs[document.input]
    given = {dataset.digest: dataset for dataset in documents}
    chain = [given.get(digest) for digest in entry["inputs"]]
    if not chain or None in chain:
        return None
    slack = sum(dataset.manifest.rows for dataset in chain if dataset is not None) - int(entry["documents"])
    position = document.row
    for dataset in chain:
        assert dataset is not None
        row = _row_from(dataset, position, slack, document.id)
        if row is not None:
            return row
        position -= dataset.manifest.rows
        if position + slack < 0:
            break
    raise DataError(
        f"{packed.packed.path} was made with a document '{document.id}' that its documents do not hold: run their stages "
        "again."
    )


def _row_from(dataset: Dataset, position: int, slack: int, id: str) -> dict[str, Any] | None:
    """The row with this id among the rows `position` … `position + slack` of a dataset."""
    first = 0
    for file, shard in zip(dataset.shards(), dataset.manifest.shards, strict=True):
        if first > position + slack:
            break
        if first + shard.rows > position:
            found = _row_of_shard(file, max(0, position - first), position + slack - first, id)
            if found is not None:
                return found
        first += shard.rows
    return None


def _row_of_shard(shard: StoredFile, low: int, high: int, id: str) -> dict[str, Any] | None:
    with shard.open() as source, readable(shard), pq.ParquetFile(source, read_dictionary=[], pre_buffer=False) as file:
        first = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if first + rows > low and first <= high:
                ids = file.read_row_group(group, columns=["id"], use_threads=False).column("id")
                for row in range(max(0, low - first), min(rows, high - first + 1)):
                    if ids[row].as_py() == id:
                        table = file.read_row_group(group, columns=["text", "source"], use_threads=False)
                        entry: dict[str, Any] = table.slice(row, 1).to_pylist()[0]
                        return entry
            first += rows
    return None
