"""Hoffmann et al. 2022 (arXiv 2203.15556): three approaches to compute-optimal training, with their corrections.

Approaches 1 and 2 are the power laws through the paper's own projections (Tables 3 and A3), whose constants it does not
print: each gives all tokens of its column within their rounding, but for the row "67 Billion", whose tokens and FLOPs are
no point of any power law through the others. Approach 3 is the loss L(N, D) = E + A/N^α + B/D^β. The printed constants
are rounded so far that they give 93 tokens a parameter at Chinchilla's own budget where the unrounded ones of the paper's
TeX source give 59; Besiroglu et al. 2024 (arXiv 2404.10102) fitted the paper's own data again and got 18: the first fit
had stopped early.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from trainer.science.allocation import FLOPS_PER_PAIR, AllocationLaw


@dataclass(frozen=True)
class ParametricLoss:
    """L(N, D) = E + A/N^α + B/D^β, in nats a token (section 3.3, equation 2)."""

    irreducible: float
    a: float
    b: float
    alpha: float
    beta: float

    def __call__(self, parameters: float, tokens: float) -> float:
        """The loss of a model of that many parameters after that many tokens."""
        return float(self.irreducible + self.a / parameters**self.alpha + self.b / tokens**self.beta)

    def optimum(self) -> tuple[float, float]:
        """Coefficient and exponent of the optimal N as a power of C (equation 4)."""
        both = self.alpha + self.beta
        scale = (self.alpha * self.a / (self.beta * self.b)) ** (1 / both)
        exponent = self.beta / both
        return scale / FLOPS_PER_PAIR**exponent, exponent

    def compute_for(self, loss: float) -> float:
        """The least FLOPs that reach `loss`; infinite where nothing does."""
        coefficient, exponent = self.optimum()
        low, high = 0.0, 40.0  # decades of FLOPs

        def reached(decades: float) -> float:
            parameters = coefficient * 10 ** (decades * exponent)
            return self(parameters, 10**decades / FLOPS_PER_PAIR / parameters)

        if loss <= self.irreducible or reached(high) > loss:
            return math.inf
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if reached(middle) > loss else (low, middle)
        return float(10**high)


PRINTED = ParametricLoss(1.69, 406.4, 410.7, 0.34, 0.28)
UNROUNDED = ParametricLoss(1.69337, 406.401, 410.723, 0.33917, 0.28491)
CORRECTED = ParametricLoss(1.8172, 482.01, 2085.43, 0.3478, 0.3658)

_HOFFMANN = "Hoffmann et al. 2022"


def _parametric(name: str, source: str, loss: ParametricLoss, note: str = "") -> AllocationLaw:
    coefficient, exponent = loss.optimum()
    return AllocationLaw(name, source, coefficient, exponent, loss, note)


def _tabulated(name: str, source: str, factor: float, power: float) -> AllocationLaw:
    """The law whose optimum has D = factor · N^power."""
    exponent = 1 / (1 + power)
    return AllocationLaw(name, source, (FLOPS_PER_PAIR * factor) ** -exponent, exponent)


TWENTY = _tabulated("20 tokens a parameter", f"{_HOFFMANN}, as the rule of thumb", 20.0, 1.0)
APPROACH_1 = _tabulated("approach 1", f"{_HOFFMANN}, Table 3 (envelope of training curves)", 17.21, 1.00762)
APPROACH_2 = _tabulated("approach 2", f"{_HOFFMANN}, Table A3 (IsoFLOP profiles)", 8.4786, 1.04131)
APPROACH_3_PRINTED = _parametric(
    "approach 3, printed", f"{_HOFFMANN}, section 3.3 as printed", PRINTED, "rounded too far to extrapolate"
)
APPROACH_3_UNROUNDED = _parametric("approach 3, unrounded", f"{_HOFFMANN}, the TeX source", UNROUNDED)
APPROACH_3_CORRECTED = _parametric("approach 3, corrected", "Besiroglu et al. 2024", CORRECTED)
