"""Spans of training or validation text at random: some tokens of one document in one row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corpus.data.packed import placed
from corpus.errors import UsageError
from trainer.data.rows import RowRange
from trainer.data.validation_sets import PackedRows

Ints = npt.NDArray[np.int64]
_TRIES = 100
"""Positions that are looked at for each span that is wanted, before what was found has to do."""


@dataclass(frozen=True)
class Spans:
    """Spans of one length: `tokens` [n, length], the row, the position in it, the document and the domain of each."""

    tokens: Ints
    rows: Ints
    positions: Ints
    documents: Ints
    domains: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, chosen: Ints) -> Spans:
        """Some of them."""
        domains = tuple(self.domains[int(number)] for number in chosen)
        return Spans(self.tokens[chosen], self.rows[chosen], self.positions[chosen], self.documents[chosen], domains)


def draw_spans(data: PackedRows, ranges: Sequence[RowRange], length: int, number: int, seed: int) -> Spans:
    """At most `number` different spans, every position of these rows at which one fits being as likely.

    A UsageError where no document has `length` tokens in one row.
    """
    width = data.identity.sequence_length + 1
    total = sum(len(part) for part in ranges)
    generator = np.random.default_rng(seed)
    taken: dict[tuple[int, int], tuple[int, str]] = {}
    looked = 0
    if length <= width:
        while len(taken) < number and looked < _TRIES * number:
            batch = 2 * (number - len(taken)) + 64
            looked += batch
            # positions and rows are drawn together, so that no row is preferred for having few places
            rows = _nth_rows(ranges, generator.integers(0, total, batch))
            positions = generator.integers(0, width - length + 1, batch)
            _keep(data, rows, positions, length, number, taken)
    if not taken:
        raise UsageError(
            f"{data.directory} has no document with {length} tokens in one sequence of {width - 1}: give a shorter --prompt "
            "or --continue."
        )
    places = np.array(list(taken), np.int64)
    tokens = np.empty((len(places), length), np.int64)
    for index, (row, position) in enumerate(places):
        tokens[index] = data[slice(int(row), int(row) + 1)][0][position : position + length]
    documents = np.array([document for document, _ in taken.values()], np.int64)
    return Spans(tokens, places[:, 0], places[:, 1], documents, tuple(domain for _, domain in taken.values()))


def _nth_rows(ranges: Sequence[RowRange], numbers: Ints) -> Ints:
    starts = np.cumsum([0, *(len(part) for part in ranges)])
    part = np.searchsorted(starts, numbers, side="right") - 1
    return np.array([ranges[p].start + n - starts[p] for p, n in zip(part, numbers, strict=True)], np.int64)


def _keep(
    data: PackedRows,
    rows: Ints,
    positions: Ints,
    length: int,
    number: int,
    taken: dict[tuple[int, int], tuple[int, str]],
) -> None:
    """Add the positions at which a document goes on for the whole span, until there are enough."""
    for row, position in zip(rows.tolist(), positions.tolist(), strict=True):
        if len(taken) == number:
            return
        where = slice(row, row + 1)
        for begin, segment in placed(data.segments(where)[0]):
            if begin <= position and position + length <= begin + segment.length:
                taken.setdefault((row, position), (segment.document, data.domains(where)[0]))
                break
