"""The gradient noise scale of a step, from the gradients of its micro-batches (McCandlish et al. 2018, arXiv 1812.06162,
appendix A): no second pass, and the same weights to the last bit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from corpus.errors import UsageError
from trainer.config.config import RunConfig


@dataclass(frozen=True)
class Noise:
    """Unbiased estimates of one step: |G|² of the true gradient, and tr Σ, the variance of one token's gradient. Each alone
    can be negative; their ratio, the noise scale in tokens, is that of smoothed sums."""

    square: float
    trace: float

    @classmethod
    def of(cls, small: float, whole: float, parts: int, tokens: float) -> Noise:
        """From m = `small`, the mean |g|² of the mean gradients of `parts` equal batches of `tokens` each, and |G|² = `whole`
        of their mean: |G|² ≈ (parts·|G|² − m) / (parts − 1), tr Σ ≈ (m − |G|²)·tokens·parts / (parts − 1)."""
        assert parts > 1
        return cls((parts * whole - small) / (parts - 1), (small - whole) * tokens * parts / (parts - 1))


def check_noise_scale(every: int, config: RunConfig, ranks: int) -> None:
    """A UsageError where the steps of a run have no equal micro-batches whose gradients are apart."""
    if not every:
        return
    if ranks > 1:
        raise UsageError("--noise-scale is measured from the micro-batches of one process: leave torchrun out.")
    micro = config.training.micro_rows
    if not any(rows > micro and rows % micro == 0 for rows in config.ramp.rows):
        raise UsageError(
            f"--noise-scale needs two or more equal micro-batches in a step of {max(config.ramp.rows)} sequences: give "
            "--micro-batch-size, such as a half of the batch."
        )


class MicroGradients:
    """The gradients of a step's micro-batches, taken one by one and added as autograd would add them."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self._parameters = list(parameters)
        self._sums: list[Tensor | None] = [None] * len(self._parameters)
        self._squares: list[Tensor] = []

    def take(self) -> None:
        """Note the norm of what a backward pass left in `.grad`, and take it out."""
        gradients = [parameter.grad for parameter in self._parameters]
        there = [gradient for gradient in gradients if gradient is not None]
        self._squares.append(torch.stack(torch._foreach_norm(there)).double().square().sum())
        for index, (parameter, gradient) in enumerate(zip(self._parameters, gradients, strict=True)):
            known = self._sums[index]
            if known is None:
                self._sums[index] = gradient
            elif gradient is not None:
                known.add_(gradient)
            parameter.grad = None

    def put_back(self) -> None:
        """Put the sums into `.grad`."""
        for parameter, gradient in zip(self._parameters, self._sums, strict=True):
            parameter.grad = gradient

    def noise(self, gradient_norm: float, tokens: int) -> Noise:
        """The estimates of the step: `gradient_norm` is that of the sum, before clipping, `tokens` those of all."""
        parts = len(self._squares)
        # each gradient is the part's sum over the tokens of all: times the parts it is the part's mean
        small = parts * float(torch.stack(self._squares).sum())
        return Noise.of(small, gradient_norm**2, parts, tokens / parts)
