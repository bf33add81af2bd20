"""Where the words of a generated text stand in the training rows of its run, and which document they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from corpus.data.packed import placed
from corpus.data.provenance import DocumentList
from trainer.data.validation_sets import PackedRows
from trainer.run.generate import LoadedModel
from trainer.science.memorization import seen_rows

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trail:
    """The longest stretch of a text that a run saw in one piece: its words, how often, and ids of documents with it, the
    shortest document first."""

    words: str
    times: int
    documents: tuple[str, ...]


def longest_stretch(tokens: Sequence[int], rows: Ints) -> tuple[int, int, Ints]:
    """The longest part of `tokens` within a row of `rows` [n, width]: its first token, its length, and the places
    [hits, 2] (row, position) where it stands."""
    width = rows.shape[1]
    flat = rows.reshape(-1)
    best, length, places = 0, 0, np.empty(0, np.int64)
    for first in range(len(tokens)):
        found = np.flatnonzero(flat == tokens[first])
        reached = 0
        while len(found) and first + reached < len(tokens):
            kept = found[found % width + reached < width]
            kept = kept[flat[kept + reached] == tokens[first + reached]]
            if not len(kept):
                break
            found, reached = kept, reached + 1
        if reached > length:
            best, length, places = first, reached, found
    return best, length, np.stack((places // width, places % width), axis=1)


def find_trail(loaded: LoadedModel, packed: Path, text: str) -> Trail:
    """The trail of a text that the model of a run wrote, in the rows that the run was trained on."""
    data = PackedRows(packed)
    numbers = np.concatenate([np.arange(part.start, part.stop) for part in seen_rows(loaded)])
    rows = np.concatenate([np.asarray(data[part.start : part.stop], np.int64) for part in seen_rows(loaded)])
    tokens = loaded.codec.encode(text)
    first, length, places = longest_stretch(tokens, rows)
    found = {_document_at(data, int(numbers[row]), int(position)) for row, position in places}
    listed = DocumentList(data.dataset).read(found)
    return Trail(
        loaded.codec.decode(tokens[first : first + length]).strip(),
        len(places),
        tuple(document.id for document in sorted(listed.values(), key=lambda one: (one.tokens, one.id))),
    )


def _document_at(data: PackedRows, row: int, position: int) -> int:
    """The number of the document that a token of a row is of."""
    segments = data.segments(slice(row, row + 1))[0]
    return next(span.document for start, span in placed(segments) if start <= position < start + span.length)
