"""How far work is and how long the rest of it will take, by the rate that was measured. Of one phase, and of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Clock = Callable[[], float]
"""Seconds that go on steadily."""
_NEARLY = 0.99
"""A task that has not ended is never taken for done."""
_EVIDENCE = 0.05
"""The part of the work below which a rate says nothing yet."""


@dataclass
class PhasePace:
    """The pace of one phase: `tasks` of `weights` (bytes of data that each goes through; empty where that is unknown, and
    they count alike)."""

    tasks: int
    weights: Sequence[float] = ()
    clock: Clock = time.monotonic
    _begun: float = field(init=False)
    _before: float | None = field(default=None, init=False)
    _first: frozenset[int] = field(default=frozenset(), init=False)

    def __post_init__(self) -> None:
        self._begun = self.clock()
        if len(self.weights) != self.tasks or not all(weight > 0 for weight in self.weights):
            self.weights = ()

    def share(self, done: Mapping[int, int], live: Mapping[int, int]) -> float:
        """The part of the phase that is done: of ended and of running tasks the bytes that they have gone through. 0
        where nothing tells how much of a running task is done."""
        known = bool(self.weights)
        weights = self.weights if known else [1.0] * self.tasks
        ended = sum(weights[index] for index in done)
        gone = sum(done.values())
        # bytes are counted in one way or another: those of ended tasks say how many a weight is
        unit = gone / ended if ended and gone else 1.0 if known else 0.0
        running = sum(
            min(size / (unit * weights[index]), _NEARLY) * weights[index]
            for index, size in live.items()
            if unit and index not in done and index < self.tasks
        )
        share = (ended + running) / (sum(weights) or 1.0)
        if self._before is None:
            self._before, self._first = ended / (sum(weights) or 1.0), frozenset(done)
        return min(share, 1.0)

    def seconds_left(
        self, share: float, seconds: Mapping[int, float] | None = None, waiting: bool = False
    ) -> float | None:
        """Seconds until the phase ends; None while too little is done to tell. What an earlier run had done is no
        measure. Of the ended tasks' own `seconds` the mean is the least that is left where a task has not begun
        (`waiting`): workers that have nothing left to do do not help it."""
        elapsed, before = self.clock() - self._begun, self._before or 0.0
        if elapsed <= 0 or share <= before or share - before < _EVIDENCE * (1 - before):
            return None
        left = elapsed * (1 - share) / (share - before)
        own = [taken for index, taken in (seconds or {}).items() if index not in self._first]
        return max(left, sum(own) / len(own)) if waiting and own else left

    @property
    def elapsed(self) -> float:
        """Seconds since the phase began."""
        return self.clock() - self._begun


@dataclass
class RunPace:
    """The pace of a run of stages, which are `expected` to take so many seconds each: only how these compare counts, as
    what they took so far gives the measure."""

    expected: Sequence[float]
    clock: Clock = time.monotonic
    number: int = 0
    """The stage at work, from 1; 0 before the first."""
    _begun: float = field(init=False)
    _worked: set[int] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._begun = self.clock()

    def begin(self, number: int) -> None:
        """Go on to a stage, from 1."""
        self.number = number

    def work(self) -> None:
        """The stage that was begun has work to do; one without is found done, and is no measure."""
        self._worked.add(self.number)

    def share(self, stage_share: float) -> float:
        """The part of the run that is done, with so much of its stage."""
        done = sum(self.expected[: max(self.number - 1, 0)]) + self._current() * stage_share
        return done / (sum(self.expected) or 1.0)

    def seconds_left(self, stage_share: float) -> float | None:
        """Seconds until the run ends; None while too little is done to tell."""
        worked = sum(self.expected[number - 1] for number in self._worked if 0 < number < self.number)
        worked += self._current() * stage_share if self.number in self._worked else 0.0
        left = self._current() * (1 - stage_share) + sum(self.expected[self.number :])
        if worked < _EVIDENCE * (worked + left):
            return None
        return self.elapsed * left / worked

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self.clock() - self._begun

    def _current(self) -> float:
        return self.expected[self.number - 1] if self.number else 0.0
