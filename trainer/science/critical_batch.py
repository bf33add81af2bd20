"""The critical batch of a run, from the gradient noise scale that its steps measured (McCandlish et al. 2018).

B_simple = tr Σ / |G|² in tokens. Both are noisy and can be negative in a step; each is averaged over the same steps, and the
means are divided. At a batch of B tokens a run takes 1 + B_simple/B times the least number of steps, and 1 + B/B_simple
times the least number of tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpus.errors import UsageError
from trainer.run.directory import Run
from trainer.run.metrics import MetricsLog

_PARTS = 8
"""Parts of a run, equal in measured steps, over which the estimates are averaged."""
_LEAST = 4
"""Measured steps of a part, at least."""


@dataclass(frozen=True)
class Part:
    """Some steps of a run: the last of them, the mean loss, tokens so far, and the noise scale in tokens (None where the mean
    of |G|² is not above 0: too few steps for their noise)."""

    step: int
    tokens: int
    loss: float
    noise_scale: float | None


@dataclass(frozen=True)
class CriticalBatch:
    """The noise scale over a run; B = coefficient · L^-exponent through its parts, both None with fewer than three; `batch` is
    the run's last batch and `sequence` its sequence length, in tokens."""

    parts: tuple[Part, ...]
    coefficient: float | None
    exponent: float | None
    batch: int
    sequence: int

    def ramp(self) -> str:
        """A batch ramp that follows the noise scale, in powers of two of sequences, as training.batch_ramp takes it."""
        starts, before, size = ["0"], 0, 0
        for part in self.parts:
            if part.noise_scale is not None:
                wanted = 1 << max(0, round(math.log2(part.noise_scale / self.sequence)))
                if not size:
                    starts, size = [f"0:{wanted}"], wanted
                elif wanted > size:
                    starts.append(f"{before}:{wanted}")
                    size = wanted
            before = part.step
        return ",".join(starts) if size else ""


def critical_batch(path: Path) -> CriticalBatch:
    """The noise scale of the run at `path`; a UsageError where it measured none."""
    run = Run(path)
    config = run.config()
    records = [record for record in MetricsLog(run.metrics).records() if "noise_trace" in record]
    if len(records) < _LEAST:
        raise UsageError(
            f"{path} has measured the noise scale in {len(records)} steps: train it with --noise-scale 10 and "
            "--micro-batch-size a part of its batch."
        )
    number = max(1, min(_PARTS, len(records) // _LEAST))
    parts = tuple(_part(list(each)) for each in np.array_split(np.array(records, object), number))
    known = [(part.loss, part.noise_scale) for part in parts if part.noise_scale is not None]
    coefficient = exponent = None
    if len({loss for loss, _ in known}) >= 3:
        logs = np.log(np.array(known, np.float64))
        slope, intercept = np.polyfit(logs[:, 0], logs[:, 1], 1)
        coefficient, exponent = float(np.exp(intercept)), float(-slope)
    length = config.data.sequence_length
    return CriticalBatch(parts, coefficient, exponent, config.ramp.rows_at(records[-1]["step"]) * length, length)


def _part(records: Sequence[dict[str, Any]]) -> Part:
    square, trace, loss = (
        float(np.mean([record[name] for record in records])) for name in ("noise_square", "noise_trace", "loss")
    )
    scale = trace / square if square > 0 and trace > 0 else None
    return Part(int(records[-1]["step"]), int(records[-1]["tokens"]), loss, scale)


def noise_lines(found: CriticalBatch) -> Iterator[str]:
    """The table, the law, and what follows for the batch."""
    yield f"{'to step':>9}  {'loss':>7}  noise scale in tokens (sequences)"
    for part in found.parts:
        scale = part.noise_scale
        shown = "too noisy: measure more steps" if scale is None else f"{scale:,.0f} ({scale / found.sequence:,.1f})"
        yield f"{part.step:>9,}  {part.loss:>7.4f}  {shown}"
    if found.coefficient is not None and found.exponent is not None:
        yield f"critical batch: {found.coefficient:.3g}·L^-{found.exponent:.2f} tokens"
    last = next((part.noise_scale for part in reversed(found.parts) if part.noise_scale is not None), None)
    if last is not None:
        yield (
            f"at the run's last batch of {found.batch:,} tokens it takes {1 + last / found.batch:.2f} times the least steps "
            f"and {1 + found.batch / last:.2f} times the least tokens"
        )
        yield f"a ramp that follows it: --set training.batch_ramp={found.ramp()}"


def noise_json(found: CriticalBatch) -> dict[str, Any]:
    """The same for programs."""
    return {
        "parts": [vars(part) for part in found.parts],
        "coefficient": found.coefficient,
        "exponent": found.exponent,
        "batch_tokens": found.batch,
        "batch_ramp": found.ramp(),
    }
