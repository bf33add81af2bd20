"""Differences of two ways to train over the same seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

_FEW = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)
"""The 0.975 quantiles of Student's t for 1 to 10 degrees of freedom."""


def student(degrees: int) -> float:
    """The 0.975 quantile of Student's t; above ten degrees of freedom by its expansion around the normal's."""
    if degrees <= len(_FEW):
        return _FEW[degrees - 1]
    z = NormalDist().inv_cdf(0.975)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


@dataclass(frozen=True)
class Difference:
    """A mean difference and half the width of its interval of 95 %; None with one pair."""

    mean: float
    half: float | None

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> Difference:
        """Of pairs, one of each seed."""
        differences = [one - other for one, other in zip(ours, theirs, strict=True)]
        if len(differences) < 2:
            return cls(differences[0], None)
        half = student(len(differences) - 1) * stdev(differences) / math.sqrt(len(differences))
        return cls(fmean(differences), half)

    @property
    def told(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.half is not None and abs(self.mean) > self.half
