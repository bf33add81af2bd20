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

    def draw(self, count: int, seed: int) -> Floats:
        """Different mixtures, [count, K]; the same seed gives the same ones. A UsageError where the bound leaves too few."""
        generator = np.random.default_rng(seed)
        base = self.prior**self.temperature
        base /= base.sum()
        top = np.minimum(1.0, self.most * self.prior)
        found: list[Floats] = []
        held = 0
        for _ in range(_OVER):
            logs = generator.uniform(np.log(self.weakest), np.log(self.strongest), count)
            gamma = generator.standard_gamma(np.exp(logs)[:, None] * base * len(base))
            sums = gamma.sum(1, keepdims=True)
            drawn = gamma[sums[:, 0] > 0] / sums[sums[:, 0] > 0]
            drawn[drawn < _FLOOR] = 0.0
            drawn /= drawn.sum(1, keepdims=True)
            part = drawn[(drawn <= top + 1e-12).all(1)]
            found.append(part)
            held += len(part)
            if held >= 2 * count:
                break
        different = np.concatenate(found)
        _, first = np.unique(different.round(9), axis=0, return_index=True)
        chosen = different[np.sort(first)[:count]]
        if len(chosen) < count:
            raise UsageError(
                f"only {len(chosen)} mixtures in {_OVER * count} draws keep every domain below {self.most:g} times its part of the "
                "tokens: give a larger --most or --weakest."
            )
        return np.asarray(chosen)
