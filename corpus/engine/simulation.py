"""How long a phase takes on so many cores: its tasks, as long as measured, some of which fail and are done again.

The rules are those of `phase.py`: tasks begin in their order as cores become free; one that fails is noticed and waits for a
core behind all others; one that fails too often gives the phase up. A phase ends with its last task.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass

from corpus.engine.executors.base import RESUBMISSIONS

NOTICE_SECONDS = 1.0
"""How long it takes until a task that was lost is submitted again."""
QUANTILES = 21


@dataclass(frozen=True)
class Simulated:
    """What became of a phase: seconds until its end, tasks that were done again, and whether it was given up."""

    seconds: float
    repeated: int = 0
    given_up: bool = False


def simulate(durations: Sequence[float], cores: int, failing: float = 0.0, seed: int = 0) -> Simulated:
    """Run tasks of these durations (seconds) on `cores`; an attempt fails with the probability `failing`, at any moment of
    its time."""
    draw = random.Random(seed)
    ready = [(0.0, order, order) for order in range(len(durations))]
    free = [0.0] * min(cores, max(1, len(durations)))
    heapq.heapify(free)
    attempts = [0] * len(durations)
    end, repeated, order = 0.0, 0, len(durations)
    while ready:
        at, _, task = heapq.heappop(ready)
        begin = max(at, heapq.heappop(free))
        attempts[task] += 1
        if failing and draw.random() < failing:
            stop = begin + durations[task] * draw.random()
            if attempts[task] > RESUBMISSIONS:
                return Simulated(stop, repeated, given_up=True)
            repeated += 1
            heapq.heappush(ready, (stop + NOTICE_SECONDS, order, task))
            order += 1
        else:
            stop = begin + durations[task]
            end = max(end, stop)
        heapq.heappush(free, stop)
    return Simulated(end, repeated)


def quantiles(seconds: Sequence[float]) -> list[float]:
    """A distribution of durations by `QUANTILES` of its values, from the least to the greatest."""
    ordered = sorted(seconds)
    return [ordered[round(n * (len(ordered) - 1) / (QUANTILES - 1))] for n in range(QUANTILES)] if ordered else []


def drawn(shape: Sequence[float], tasks: int, total: float, seed: int = 0) -> list[float]:
    """Durations of `tasks` tasks that are distributed as `shape` (quantiles) and take `total` seconds together, in an order
    by chance."""
    values = []
    for task in range(tasks):
        position = (task + 0.5) / tasks * (len(shape) - 1) if shape else 0.0
        low = int(position)
        high = min(low + 1, len(shape) - 1)
        values.append(shape[low] + (shape[high] - shape[low]) * (position - low) if shape else 1.0)
    sum_of = sum(values)
    if sum_of <= 0:
        values, sum_of = [1.0] * tasks, float(tasks)
    random.Random(seed).shuffle(values)
    return [value * total / sum_of for value in values]
