"""What repeated data is worth (Muennighoff et al. 2023, arXiv 2305.16264, "Scaling data-constrained language models").

D' = U + U·R*·(1 − e^(−R/R*)) with R = D/U − 1 repetitions of U unique tokens; an excess of parameters over what U tokens
can use is discounted alike. The constants are those of the paper's repository, for C4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from trainer.science.allocation import FLOPS_PER_PAIR, Allocation, minimum
from trainer.science.chinchilla import ParametricLoss

C4 = ParametricLoss(math.exp(0.6254804), math.exp(6.255414), math.exp(7.3049974), 0.3526596, 0.3526596)
"""Fitted on C4 with α = β, in the logarithms that the paper's repository gives."""
R_TOKENS = 15.387756
R_PARAMETERS = 5.309743


def _discounted(unique: float, total: float, decay: float) -> float:
    if total <= unique:
        return total
    return unique + unique * decay * -math.expm1(-(total / unique - 1) / decay)


def effective_tokens(tokens: float, unique: float) -> float:
    """Fresh tokens that `tokens` read from `unique` ones are worth (equation 5)."""
    return _discounted(unique, tokens, R_TOKENS)


def usable_parameters(unique: float) -> float:
    """The compute-optimal size for `unique` tokens read once."""
    coefficient, exponent = C4.optimum()
    scale = (FLOPS_PER_PAIR * coefficient * unique) ** (1 / (1 - exponent))
    return float(coefficient * scale**exponent)


def effective_parameters(parameters: float, unique: float) -> float:
    """Parameters that `parameters` are worth where they exceed what `unique` tokens can use (equation 6)."""
    return _discounted(usable_parameters(unique), parameters, R_PARAMETERS)


def repeated_loss(parameters: float, tokens: float, unique: float) -> float:
    """Loss in nats a token (of C4) of N parameters after D tokens read from U unique ones (equation 7)."""
    unique = min(unique, tokens)
    return C4(effective_parameters(parameters, unique), effective_tokens(tokens, unique))


@dataclass(frozen=True)
class Repetition:
    """A training on `unique` tokens: how often they are read and what that costs."""

    allocation: Allocation
    unique: float

    @property
    def epochs(self) -> float:
        """Readings of the unique tokens."""
        return self.allocation.tokens / self.unique

    @property
    def effective(self) -> float:
        """Fresh tokens that the training is worth."""
        return effective_tokens(self.allocation.tokens, self.unique)

    @property
    def loss(self) -> float:
        """Loss by the law, on C4."""
        return repeated_loss(self.allocation.parameters, self.allocation.tokens, self.unique)

    @property
    def fresh_loss(self) -> float:
        """The loss if no token were read twice."""
        return C4(self.allocation.parameters, self.allocation.tokens)


def best_with(unique: float, compute: float) -> Repetition:
    """The least loss for a budget where there are only `unique` tokens: fewer parameters and more epochs share it."""

    def loss(log_parameters: float) -> float:
        parameters = math.exp(log_parameters)
        return repeated_loss(parameters, compute / FLOPS_PER_PAIR / parameters, unique)

    middle = math.log(math.sqrt(compute / FLOPS_PER_PAIR))
    parameters = math.exp(minimum(loss, middle - 8, middle + 8))
    return Repetition(Allocation(parameters, compute / FLOPS_PER_PAIR / parameters), unique)
