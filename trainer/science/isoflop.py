"""IsoFLOP profiles (Hoffmann et al. 2022, section 3.2): at each budget a parabola of the loss in log N, whose minimum is
the best size; a power law through the minima."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainer.science.measurements import Measurement

CLOSE = 0.1
"""Runs whose compute differs by less than this share are of one budget."""


@dataclass(frozen=True)
class Profile:
    """One budget: its FLOPs, runs by size, and the parabola (coefficients of ln² N, ln N, 1); `best` is its minimum, None
    where that lies outside the runs or the parabola opens downwards."""

    compute: float
    runs: tuple[Measurement, ...]
    parabola: tuple[float, float, float]
    best: float | None


@dataclass(frozen=True)
class IsoFlop:
    """The profiles and N_opt = coefficient · C^exponent through their minima; both None with fewer than two of them."""

    profiles: tuple[Profile, ...]
    coefficient: float | None
    exponent: float | None


def isoflop(points: Sequence[Measurement]) -> IsoFlop:
    """The profiles of all budgets with three or more sizes."""
    groups: list[list[Measurement]] = []
    for point in sorted(points, key=lambda point: point.compute):
        if groups and point.compute <= groups[-1][0].compute * (1 + CLOSE):
            groups[-1].append(point)
        else:
            groups.append([point])
    profiles = [_profile(group) for group in groups if len({point.parameters for point in group}) >= 3]
    best = [(profile.compute, profile.best) for profile in profiles if profile.best is not None]
    if len(best) < 2:
        return IsoFlop(tuple(profiles), None, None)
    logs = np.log(np.array(best, np.float64))
    exponent, intercept = np.polyfit(logs[:, 0], logs[:, 1], 1)
    return IsoFlop(tuple(profiles), float(np.exp(intercept)), float(exponent))


def _profile(group: Sequence[Measurement]) -> Profile:
    runs = tuple(sorted(group, key=lambda point: point.parameters))
    sizes = np.log([point.parameters for point in runs])
    middle = sizes.mean()
    a, b, c = (float(v) for v in np.polyfit(sizes - middle, [point.loss for point in runs], 2))
    parabola = (a, b - 2 * a * middle, c - b * middle + a * middle**2)
    compute = math.exp(float(np.mean(np.log([point.compute for point in runs]))))
    best = float(middle - b / (2 * a)) if a > 0 else math.inf
    inside = sizes[0] <= best <= sizes[-1]
    return Profile(compute, runs, parabola, math.exp(best) if inside else None)
