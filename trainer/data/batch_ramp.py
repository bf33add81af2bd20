"""How many sequences each update has: constant, or growing at given steps or tokens.

PaLM (section 5) has 512, then 1,024, then 2,048.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from corpus.errors import UsageError
from corpus.quantity import parse_quantity

_UNIT = re.compile(r"[a-z]$", re.IGNORECASE)


@dataclass(frozen=True)
class BatchRamp:
    """Update k (from 1) has `rows[i]` sequences, i the last stage with `starts[i]` < k. Starts count updates, from 0 up."""

    starts: tuple[int, ...]
    rows: tuple[int, ...]

    def rows_at(self, step: int) -> int:
        """Sequences of update `step` (from 1)."""
        return self.rows[bisect_right(self.starts, step - 1) - 1]

    def rows_before(self, steps: int) -> int:
        """Sequences of the first `steps` updates together."""
        ends = (*self.starts[1:], steps)
        return sum(
            rows * max(0, min(end, steps) - start)
            for start, end, rows in zip(self.starts, ends, self.rows, strict=True)
        )

    def steps_in(self, rows: int) -> int:
        """How many whole updates `rows` sequences are enough for."""
        steps = 0
        for index, (start, size) in enumerate(zip(self.starts, self.rows, strict=True)):
            steps = start + (rows - self.rows_before(start)) // size
            if index + 1 == len(self.starts) or steps < self.starts[index + 1]:
                break
        return steps

    def steps_for(self, rows: int) -> int:
        """How many updates it takes to see at least `rows` sequences."""
        steps = self.steps_in(rows)
        return steps + (self.rows_before(steps) < rows)

    def __str__(self) -> str:
        return ", ".join(
            f"{rows:,} from step {start + 1:,}" for start, rows in zip(self.starts, self.rows, strict=True)
        )


def parse_ramp(text: str, batch_size: int, sequence_length: int) -> BatchRamp:
    """The ramp of `training.batch_ramp`: `START:SEQUENCES,…`, or `batch_size` throughout where the text is empty.

    START is a number of updates, or of tokens with K, M, B or T: then the size changes at the first update that
    begins after at least that many tokens. A UsageError says what is wrong with the text.
    """
    if not text:
        return BatchRamp((0,), (batch_size,))
    ramp = BatchRamp((), ())
    for stage in text.split(","):
        start, sequences, of_tokens = _parse_stage(stage)
        if of_tokens and ramp.starts:
            start = ramp.steps_for(-(-start // sequence_length))
        if (start != 0) if not ramp.starts else (start <= ramp.starts[-1]):
            raise UsageError(
                f"training.batch_ramp is {text}: its first stage must start at 0 and each later one after the one before."
            )
        if sequences < 1:
            raise UsageError(f"training.batch_ramp is {text}: give at least 1 sequence.")
        ramp = BatchRamp((*ramp.starts, start), (*ramp.rows, sequences))
    return ramp


def _parse_stage(stage: str) -> tuple[int, int, bool]:
    """Start, sequences, and whether the start is of tokens."""
    start, colon, sequences = (part.strip() for part in stage.partition(":"))
    try:
        first, size = parse_quantity(start), parse_quantity(sequences)
        if not colon or first < 0 or size < 0:
            raise ValueError
        return first, size, _UNIT.search(start) is not None
    except ValueError:
        raise UsageError(
            f"training.batch_ramp has the stage '{stage}': write START:SEQUENCES stages such as 0:512,50000:1024, "
            "START in updates, or in tokens with K, M, B or T."
        ) from None
