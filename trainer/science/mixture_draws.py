"""Mixtures at random, as RegMix draws them (Liu et al. 2024, arXiv 2407.01492; its code, regmix b004d3a)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corpus.errors import UsageError

Floats = npt.NDArray[np.float64]
_FLOOR = 2e-4
"""A smaller share is none."""
_OVER = 100
"""Draws for each mixture that is wanted."""


@dataclass(frozen=True)
class MixtureDraws:
    """Dirichlet draws around the tempered `prior` (shares [K]), of strengths that are log-uniform, in which no domain has more
    than `most` times its prior."""

    prior: Floats
    temperature: float
    weakest: float
    strongest: float
    most: float

    def draw(self, count: int, seed: int, repeats: bool = False) -> Floats:
        """Mixtures [count, K], all different unless `repeats`; the same seed gives the same ones. A UsageError where the bound
        leaves too few."""
        generator = np.random.default_rng(seed)
        base = self.prior**self.temperature
        base /= base.sum()
        top = np.minimum(1.0, self.most * self.prior)
        found = np.empty((0, len(base)))
        drawings = 0
        for _ in range(_OVER):
            logs = generator.uniform(np.log(self.weakest), np.log(self.strongest), count)
            gamma = generator.standard_gamma(np.exp(logs)[:, None] * base * len(base))
            sums = gamma.sum(1, keepdims=True)
            drawn = gamma[sums[:, 0] > 0] / sums[sums[:, 0] > 0]
            drawn[drawn < _FLOOR] = 0.0
            drawn /= drawn.sum(1, keepdims=True)
            drawings += count
            found = np.concatenate([found, drawn[(drawn <= top + 1e-12).all(1)]])
            if not repeats:
                _, first = np.unique(found.round(9), axis=0, return_index=True)
                found = found[np.sort(first)]
            if len(found) >= count:
                return found[:count]
        kind = "" if repeats else "different "
        raise UsageError(
            f"only {len(found)} {kind}mixtures in {drawings} draws keep every domain below {self.most:g} times its part of the "
            "tokens: give a larger --most or --weakest."
        )
