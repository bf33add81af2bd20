"""The stream of one domain: its passes, its rows, and which documents fill a row.

The stream is pass 1, pass 2, … one after the other, each a permutation of the domain's documents. Row r is
stream[r N : r N + N + 1]; it belongs to the pass of its first token. The rows of a pass are permuted once more
(`row_order` shuffled), so that the neighbours of a long document do not follow each other in training.

Documents of a domain are numbered in the order of its inputs. All that is held per pass is the running sum of document
lengths in permuted order, memory-mapped: 8 bytes per document and pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import types

from corpus.kernel import kernel
from corpus.mixture.order import Ints, order_key, permuted, places

_INTS = types.Array(types.int64, 1, "C")
_INTS_IN = types.Array(types.int64, 1, "C", readonly=True)


@dataclass(frozen=True, slots=True)
class Segments:
    """Runs of documents in rows, int64[n] each, by row and then by place in the row: `row` (index into the rows asked
    for), `document` (of the domain), `epoch` (from 1), `start` in the document, `length`, `target` in the row."""

    row: Ints
    document: Ints
    epoch: Ints
    start: Ints
    length: Ints
    target: Ints

    def take(self, order: npt.NDArray[np.intp]) -> Segments:
        """The segments at `order`."""
        return Segments(
            self.row[order],
            self.document[order],
            self.epoch[order],
            self.start[order],
            self.length[order],
            self.target[order],
        )


@dataclass(frozen=True)
class DomainStream:
    """One domain. `documents` and `unique`: how many documents and tokens it has; `rows` of `length` + 1 tokens each;
    `sums(p)`: the running sums int64[documents + 1] of pass p (from 0); the last may end early."""

    domain: str
    documents: int
    unique: int
    rows: int
    passes: int
    length: int
    seed: int
    shuffled: bool
    sums: Callable[[int], Ints]

    def first_rows(self) -> Ints:
        """int64[passes + 1]: rows before each pass, and all rows."""
        starts = np.arange(self.passes + 1, dtype=np.int64) * self.unique
        bounds = np.minimum(-(-starts // self.length), self.rows)
        bounds[-1] = self.rows
        return bounds

    def rows_at(self, ranks: Ints) -> Ints:
        """Which row of the stream comes at each of the domain's training ranks `ranks`."""
        return self._reordered(ranks, inverse=False)

    def ranks_of(self, rows: Ints) -> Ints:
        """The inverse of `rows_at`."""
        return self._reordered(rows, inverse=True)

    def epochs_of(self, rows: Ints) -> Ints:
        """The epoch (from 1) of each row's first token."""
        return rows * self.length // self.unique + 1

    def _reordered(self, numbers: Ints, inverse: bool) -> Ints:
        if not self.shuffled:
            return numbers
        bounds = self.first_rows()
        passes = np.searchsorted(bounds, numbers, side="right") - 1
        out = np.empty(len(numbers), np.int64)
        for number in np.unique(passes):
            chosen = passes == number
            size = int(bounds[number + 1] - bounds[number])
            key = order_key(self.seed, "rows", self.domain, int(number))
            move = places if inverse else permuted
            out[chosen] = bounds[number] + move(numbers[chosen] - bounds[number], size, key)
        return out

    def document_key(self, number: int) -> np.uint64:
        """The key of the order of the documents in pass `number` (from 0)."""
        return order_key(self.seed, "documents", self.domain, number)

    def segments(self, rows: Ints) -> Segments:
        """What fills the rows `rows`: a row that goes on into the next pass takes from both."""
        row = np.arange(len(rows), dtype=np.int64)
        position = rows * self.length
        number = position // self.unique
        begin = position - number * self.unique
        need = np.full(len(rows), self.length + 1, np.int64)
        parts: list[Segments] = []
        while len(row):
            current = int(number.min())
            here = number == current
            parts.append(self._segments_of_pass(current, row[here], begin[here], need[here]))
            left = np.where(here, begin + need - self.unique, need)
            begin, number = np.where(here, 0, begin), np.where(here, current + 1, number)
            again = left > 0
            row, begin, need, number = row[again], begin[again], left[again], number[again]
        return joined(parts)

    def _segments_of_pass(self, number: int, row: Ints, begin: Ints, need: Ints) -> Segments:
        """`need` (int64[k]) tokens from place `begin` of the pass on, or as many as it has left, for each of `row`."""
        sums = self.sums(number)
        end = np.minimum(begin + need, self.unique)
        first = np.searchsorted(sums, begin, side="right") - 1
        counts = np.searchsorted(sums, end, side="left") - first
        out = np.empty((5, int(counts.sum())), np.int64)
        _cut(sums, row, begin, end, first, self.length + 1 - need, out[0], out[1], out[2], out[3], out[4])
        document = permuted(out[1], self.documents, self.document_key(number))
        epoch = np.full(len(document), number + 1, np.int64)
        return Segments(out[0], document, epoch, out[2], out[3], out[4])

    def occurrences(self, documents: Ints) -> tuple[Ints, Ints, Ints]:
        """Rows that hold tokens of `documents` (int64[k]): three int64[n], the index into `documents`, the row of the
        stream and the epoch (from 1) of the document, by document, then epoch, then row."""
        found: list[tuple[Ints, Ints, Ints]] = []
        for number in range(self.passes):
            at = places(documents, self.documents, self.document_key(number))
            sums = self.sums(number)
            base = number * self.unique
            first = np.maximum((sums[at] + base - 1) // self.length, 0)
            last = np.minimum((sums[at + 1] + base - 1) // self.length, self.rows - 1)
            counts = np.maximum(last - first + 1, 0)
            which = np.repeat(np.arange(len(documents), dtype=np.int64), counts)
            within = np.arange(len(which), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
            found.append((which, first[which] + within, np.full(len(which), number + 1, np.int64)))
        which, rows, epochs = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(which, kind="stable")
        return which[order], rows[order], epochs[order]


def joined(parts: list[Segments]) -> Segments:
    """Segments of several parts in one, by row; the parts of a row stay in the order given."""
    if len(parts) == 1:
        return parts[0]
    names = Segments.__dataclass_fields__
    everything = Segments(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
    return everything.take(np.argsort(everything.row, kind="stable"))


@kernel(
    types.void(_INTS_IN, _INTS_IN, _INTS_IN, _INTS_IN, _INTS_IN, _INTS_IN, _INTS, _INTS, _INTS, _INTS, _INTS),
)
def _cut(
    sums: Ints,
    row: Ints,
    begin: Ints,
    end: Ints,
    first: Ints,
    target: Ints,
    out_row: Ints,
    out_place: Ints,
    out_start: Ints,
    out_length: Ints,
    out_target: Ints,
) -> None:
    """Cut [begin, end) of a pass at the ends of its documents; `first` is the document place that holds `begin`."""
    n = 0
    for k in range(len(row)):
        place = first[k]
        at = begin[k]
        while at < end[k]:
            stop = min(sums[place + 1], end[k])
            out_row[n] = row[k]
            out_place[n] = place
            out_start[n] = at - sums[place]
            out_length[n] = stop - at
            out_target[n] = target[k] + at - begin[k]
            at = stop
            place += 1
            n += 1
