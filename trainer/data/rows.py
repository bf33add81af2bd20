"""Which rows a step trains on: a pure function of the next row, the batch size and the skip log.

Rows are taken in disk order. Rows that the skip log names are left out: they move the next row, never the step. Which of
a batch's rows a rank takes is a function of their number alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class RowRange:
    """Rows start … stop - 1."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def next_batch(next_row: int, batch_size: int, skipped: Sequence[RowRange] = ()) -> tuple[list[RowRange], int]:
    """The next `batch_size` rows from `next_row` on that no range of `skipped` holds, and the row after them."""
    taken: list[RowRange] = []
    missing = batch_size
    for hole in sorted(skipped):
        if not missing:
            break
        if hole.stop <= next_row:
            continue
        stop = min(next_row + missing, hole.start)
        if stop > next_row:
            taken.append(RowRange(next_row, stop))
            missing -= stop - next_row
            next_row = stop
        if missing:
            next_row = max(next_row, hole.stop)
    if missing:
        taken.append(RowRange(next_row, next_row + missing))
        next_row += missing
    return taken, next_row


def step_rows(rows_before: int, batch_size: int, skipped: Sequence[RowRange] = ()) -> list[RowRange]:
    """The rows of a step of `batch_size` rows that comes after `rows_before` rows of earlier steps."""
    _, begin = next_batch(0, rows_before, skipped) if rows_before else ([], 0)
    return next_batch(begin, batch_size, skipped)[0]


def rows_left(rows: int, next_row: int, skipped: Sequence[RowRange] = ()) -> int:
    """How many of the rows from `next_row` to `rows` `skipped` does not hold."""
    left = rows - next_row
    covered = next_row
    for hole in sorted(skipped):
        start, stop = max(hole.start, covered), min(hole.stop, rows)
        if stop > start:
            left -= stop - start
            covered = stop
    return left


def deal(ranges: Sequence[RowRange], micro_rows: int, rank: int = 0, size: int = 1) -> list[range]:
    """The rows of a global batch that are `rank`'s, by position in it, as micro-batches of at most `micro_rows` rows.

    All ranks get equally many micro-batches, because they meet in each; one that runs out of rows gets empty ones.
    """
    dealt = [_cut(ranges, micro_rows, each, size) for each in range(size)]
    empty = max(map(len, dealt)) - len(dealt[rank])
    return dealt[rank] + [range(0)] * empty


def _cut(ranges: Sequence[RowRange], micro_rows: int, rank: int, size: int) -> list[range]:
    total = sum(len(part) for part in ranges)
    begin, end = total * rank // size, total * (rank + 1) // size
    batches: list[range] = []
    position = 0
    for part in ranges:
        first, last = max(begin, position), min(end, position + len(part))
        rows = range(part.start + first - position, part.start + max(first, last) - position)
        batches += [rows[start : start + micro_rows] for start in range(0, len(rows), micro_rows)]
        position += len(part)
    return batches
