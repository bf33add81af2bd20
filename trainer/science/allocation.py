"""How compute is divided between parameters and tokens: what every law of compute-optimal training answers.

C is in FLOPs, N in parameters, D in tokens; C = 6·N·D throughout, as in the papers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

FLOPS_PER_PAIR = 6
"""Training FLOPs of one parameter and one token."""


@dataclass(frozen=True)
class Allocation:
    """A model of `parameters` trained on `tokens`."""

    parameters: float
    tokens: float

    @property
    def compute(self) -> float:
        """FLOPs of its training."""
        return FLOPS_PER_PAIR * self.parameters * self.tokens

    @property
    def ratio(self) -> float:
        """Tokens a parameter."""
        return self.tokens / self.parameters


@dataclass(frozen=True)
class AllocationLaw:
    """The optimum N = coefficient · C^exponent, D = C / 6N, of an approach, with its source.

    `loss` gives nats a token at (N, D) where the approach predicts one. It is that of the paper's data and tokenizer:
    differences between allocations carry over to other data better than the number itself.
    """

    name: str
    source: str
    coefficient: float
    exponent: float
    loss: Callable[[float, float], float] | None = None
    note: str = ""

    def at_compute(self, compute: float) -> Allocation:
        """The optimum of a budget."""
        parameters = self.coefficient * compute**self.exponent
        return Allocation(parameters, compute / FLOPS_PER_PAIR / parameters)

    def at_parameters(self, parameters: float) -> Allocation:
        """The optimum whose model has that size."""
        return self.at_compute((parameters / self.coefficient) ** (1 / self.exponent))

    def at_tokens(self, tokens: float) -> Allocation:
        """The optimum that reads as many tokens."""
        compute = (FLOPS_PER_PAIR * self.coefficient * tokens) ** (1 / (1 - self.exponent))
        return self.at_compute(compute)


def minimum(function: Callable[[float], float], low: float, high: float, steps: int = 200) -> float:
    """Where a function with one valley is least between `low` and `high`, by golden sections."""
    ratio = (5**0.5 - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(steps):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = function(right)
    return (low + high) / 2
