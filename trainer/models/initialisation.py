"""The first weights of a model: a function of its shape and a seed alone, whatever holds them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from trainer.models.model import LanguageModel

GPT_DEVIATION = 0.02
"""Standard deviation of the first weights under `initialisation = "gpt"` (GPT-2; LLaMA's paper names none)."""


def first_weights(model: LanguageModel, seed: int) -> Iterator[tuple[nn.Parameter, Tensor]]:
    """Each parameter of `model`, in their order, and its first value, whole and on the CPU.

    "gpt": N(0, 0.02²), projections back into the residual stream divided by sqrt(2·layers) (GPT-2).
    "palm": kernels N(0, 1/fan-in), embeddings N(0, 1) (PaLM section 2). Norm scales are 1.
    The matrices are made one after the other, so that sharded weights never need the memory of the whole model.
    """
    generator = torch.Generator().manual_seed(seed)
    palm = model.shape.initialisation == "palm"
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            yield parameter, torch.ones(parameter.shape, device="cpu")
            continue
        deviation = GPT_DEVIATION
        if palm:
            deviation = 1.0 if name == "embedding" else parameter.shape[1] ** -0.5
        elif name.endswith("output.weight"):
            deviation /= math.sqrt(2 * model.shape.layers)
        yield parameter, torch.empty(parameter.shape, device="cpu").normal_(0.0, deviation, generator=generator)


@torch.no_grad()
def initialise(model: LanguageModel, seed: int) -> None:
    """Give a model that is wholly here its first weights."""
    for parameter, whole in first_weights(model, seed):
        parameter.copy_(whole)
