"""DoReMi's weights of domains (Xie et al. 2023, arXiv 2305.10429, Algorithm 1): group distributionally robust optimization."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class GroupWeights:
    """The weights α of k domains, moved at each step towards those in which the proxy's loss exceeds the reference's.

    α starts uniform; the result is the mean of the weights after each step. A domain without tokens in a batch keeps its
    last excess (the paper does not say; its author's code does so, but begins at ln(vocabulary), which is no excess).
    """

    def __init__(self, domains: int, step_size: float = 1.0, smoothing: float = 1e-3) -> None:
        self.step_size = step_size
        self.smoothing = smoothing
        self.weights: Floats = np.full(domains, 1.0 / domains)
        self.excess: Floats = np.zeros(domains)
        self._sum: Floats = np.zeros(domains)
        self._steps = 0

    def update(self, excess_sums: Floats, tokens: npt.NDArray[np.int64]) -> Floats:
        """Move the weights by the sums of max(proxy loss − reference loss, 0) over the `tokens` of each domain [k]; gives
        the new weights, which the proxy's step uses."""
        there = tokens > 0
        self.excess = np.where(there, excess_sums / np.maximum(tokens, 1), self.excess)
        # the largest exponent is taken out, so that none overflows
        raised = self.weights * np.exp(self.step_size * (self.excess - self.excess.max()))
        self.weights = (1 - self.smoothing) * raised / raised.sum() + self.smoothing / len(raised)
        self._sum += self.weights
        self._steps += 1
        return self.weights

    @property
    def mean(self) -> Floats:
        """The mean of the weights over the steps so far."""
        return self._sum / self._steps if self._steps else self.weights
