"""Smaller models trained for longer, where many tokens will be generated: Sardana and Frankle 2024 (arXiv 2401.00448).

Of all trainings that reach the loss of the compute-optimal one, the one whose 6·N·D of training and 2·N·D of inference
are the least.
"""

from __future__ import annotations

import math

from trainer.science.allocation import Allocation, minimum
from trainer.science.chinchilla import ParametricLoss


def tokens_for(law: ParametricLoss, loss: float, parameters: float) -> float:
    """Training tokens with which a model reaches `loss`; infinite where it never does."""
    left = loss - law.irreducible - law.a / parameters**law.alpha
    return float((law.b / left) ** (1 / law.beta)) if left > 0 else math.inf


def least_total(law: ParametricLoss, compute: float, inference_tokens: float) -> Allocation:
    """The training of the loss that `compute` reaches at best, with the least FLOPs of training and inference together."""
    coefficient, exponent = law.optimum()
    largest = coefficient * compute**exponent
    loss = law(largest, compute / 6 / largest)

    def total(log_parameters: float) -> float:
        parameters = math.exp(log_parameters)
        tokens = tokens_for(law, loss, parameters)
        return 6 * parameters * tokens + 2 * parameters * inference_tokens

    # below the smallest size no number of tokens reaches the loss; above the optimum both costs grow
    smallest = (law.a / (loss - law.irreducible)) ** (1 / law.alpha)
    parameters = math.exp(minimum(total, math.log(smallest), math.log(largest)))
    return Allocation(parameters, tokens_for(law, loss, parameters))
