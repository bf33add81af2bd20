"""From rows of a packed set to their documents and back, by stored positions, without a search."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from corpus.data.dataset import Dataset
from corpus.data.manifest import MANIFEST
from corpus.data.packed import PackedRows, Segment, Tokens, placed
from corpus.data.provenance import DocumentList, ListedDocument, original
from corpus.errors import DataError, UsageError

_ROWS_AT_A_TIME = 256
"""Rows whose documents are looked up at a time."""


class Surface(Protocol):
    """The text of tokens (`tokenizer.surface.Surface`)."""

    def text(self, ids: Sequence[int], first: bool) -> str:
        """The text of a run of ids."""

    def encode(self, text: str) -> tuple[list[int], npt.NDArray[np.int64] | None]:
        """The ids of a document, and the bytes of its text at which they begin."""


class Trace:
    """A packed set with its list of documents; with the `surface` of its tokenizer, text too, and with the datasets
    `documents` that it was made from, the offsets in their texts."""

    def __init__(self, packed: PackedRows, documents: Sequence[Dataset] = (), surface: Surface | None = None) -> None:
        self.packed = packed
        self.list = DocumentList(packed.dataset)
        self.documents = documents
        self.surface = surface
        # the same document fills many rows that are asked for together
        self._original = lru_cache(maxsize=64)(self._find_original)

    def rows(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """Rows first … last - 1, each as one JSON object: `row`, `domain`, `epoch`, `tokens`, `padding`, `segments`.

        A segment: `position` and `length` in the row, `document` (its id), `epoch`, `start` (the first of these tokens
        in the document) `of` its tokens, `source` (file and record), and where they are known `bytes` (begin and end in
        the document's text) and `text`.
        """
        total = len(self.packed)
        if not 0 <= first < last <= total:
            asked = f"row {first} is" if last == first + 1 else f"rows {first}:{last} are"
            raise UsageError(f"{self.packed.directory} has the rows 0 to {total - 1}: {asked} not among them.")
        for begin in range(first, last, _ROWS_AT_A_TIME):
            chunk = slice(begin, min(begin + _ROWS_AT_A_TIME, last))
            segments = self.packed.segments(chunk)
            listed = self.list.read({segment.document for row in segments for segment in row})
            columns = zip(self.packed.domains(chunk), self.packed.epochs(chunk), self.packed[chunk], strict=True)
            for row, (spans, (domain, epoch, tokens)) in enumerate(zip(segments, columns, strict=True), begin):
                yield {
                    "row": row,
                    "domain": domain,
                    "epoch": epoch,
                    "tokens": len(tokens),
                    "padding": len(tokens) - sum(span.length for span in spans),
                    "segments": [
                        {"position": position, "length": span.length, "document": listed[span.document].id}
                        | self._part(span, listed[span.document], tokens[position : position + span.length])
                        for position, span in placed(spans)
                    ],
                }

    def _part(self, span: Segment, document: ListedDocument, tokens: Tokens) -> dict[str, Any]:
        found = self._original(document)
        entry: dict[str, Any] = {"epoch": span.epoch, "start": span.start, "of": document.tokens}
        entry["source"] = found[0] if found is not None else document.source
        if found is not None:
            ids, starts = found[1]
            end = span.start + span.length
            if ids[span.start : end] != tokens.tolist():
                raise DataError(
                    f"the text of {document.id} gives other tokens than {self.packed.directory} has of it: verify the set "
                    "and its documents with corpus verify."
                )
            if starts is not None:
                entry["bytes"] = [int(starts[span.start]), int(starts[end])]
        if self.surface is not None:
            entry["text"] = self.surface.text(tokens.tolist(), span.start == 0)
        return entry

    def _find_original(self, document: ListedDocument) -> tuple[dict[str, Any], Any] | None:
        """Source of a document, and its ids and their offsets in its text; None without its dataset or a tokenizer."""
        row = original(document, self.list, self.documents) if self.surface is not None else None
        if row is None or self.surface is None:
            return None
        return row["source"], self.surface.encode(row["text"])

    def document(self, id: str) -> Iterator[dict[str, Any]]:
        """Every document of this id (usually one) as one JSON object: `document`, `domain`, `tokens`, `source`, and
        `rows`: of each row that holds tokens of it, by epoch and then by offset in the document, `row`, `epoch`,
        `position` in the row, `start` in the document and `length`."""
        for document in self.list.find(id):
            row = original(document, self.list, self.documents)
            yield {
                "document": document.id,
                "domain": self.list.inputs[document.input]["domain"],
                "tokens": document.tokens,
                "source": row["source"] if row is not None else document.source,
                "rows": list(self._occurrences(document)),
            }

    def _occurrences(self, document: ListedDocument) -> Iterator[dict[str, int]]:
        for row, epoch in document.occurrences:
            (spans,) = self.packed.segments(slice(row, row + 1))
            for position, span in placed(spans):
                if span.document == document.number and span.epoch == epoch:
                    where = {"row": row, "epoch": epoch, "position": position}
                    yield where | {"start": span.start, "length": span.length}


def made_from(packed: DocumentList, paths: Sequence[str]) -> list[Dataset]:
    """The datasets of documents at `paths` that a packed set was made from: each path is one, or a folder that holds
    some within two levels. A UsageError names a path that leads to none."""
    wanted = _wanted(packed)
    found: dict[str, Dataset] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise UsageError(f"{path} does not exist: give the datasets of documents that were tokenized.")
        candidates = [Dataset.open(candidate) for candidate in _datasets(path)]
        ours = [dataset for dataset in candidates if dataset.digest in wanted]
        if not ours:
            raise UsageError(
                f"{path} is not what {packed.packed.path} was made from (another digest): give the datasets of documents "
                "that were tokenized for it."
            )
        found |= {dataset.digest: dataset for dataset in ours}
    return list(found.values())


def documents_of_run(packed: DocumentList) -> tuple[list[Dataset], list[str]]:
    """The documents of a packed set in the layout of `corpus run`: OUT/documents next to OUT/packed or
    OUT/validation/*, none where that does not exist; and for each dataset there that cannot be read, the reason."""
    wanted = _wanted(packed)
    path = Path(os.path.abspath(packed.packed.path))
    found: dict[str, Dataset] = {}
    unread: list[str] = []
    root = next((root for root in (path.parent, path.parent.parent) if (root / "documents").is_dir()), None)
    for candidate in _datasets(root / "documents") if root is not None else ():
        try:
            dataset = Dataset.open(candidate)
        except DataError as error:
            unread.append(error.message)
            continue
        if dataset.digest in wanted:
            found[dataset.digest] = dataset
    return list(found.values()), unread


def _wanted(packed: DocumentList) -> set[str]:
    """The digests of the datasets of documents that a set was made from."""
    return {digest for entry in packed.inputs for digest in entry["inputs"]}


def _datasets(path: Path) -> list[Path]:
    found = [path, *sorted(path.glob("*")), *sorted(path.glob("*/*"))]
    return [candidate for candidate in found if (candidate / MANIFEST).exists()]
