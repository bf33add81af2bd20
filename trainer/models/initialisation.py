"""The first weights of a model: a function of its shape and a seed alone, whatever holds them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from trainer.models.finetuning.adapt import own_parameters
from trainer.models.model import LanguageModel
from trainer.models.shape import ModelShape

_BRANCH_PARTS = ("mlp.project.weight", "mlp.output.weight", "attention.output.weight", "attention.project.weight")
"""What DeepNorm makes smaller; of the fused projection of attention the values only."""


def first_weights(model: LanguageModel, seed: int) -> Iterator[tuple[nn.Parameter, Tensor]]:
    """Each parameter of `model`, in their order, and its first value, whole and on the CPU.

    "gpt": N(0, σ²) with `initial_deviation` σ, projections back into the residual stream divided by sqrt(2·layers) (GPT-2;
    LLaMA's paper names none).
    "palm": kernels N(0, 1/fan-in), embeddings N(0, 1) (PaLM section 2).
    "small": N(0, 2/(5·d)), projections back 2/(layers·sqrt(d)) (GPT-NeoX-20B section 2.2).
    "deep-norm": Xavier's normal law, MLP, values and projections back divided by (8·layers)^¼ (DeepNorm, section 4).
    "glm": the same with (2·layers)^½ (GLM-130B section 2.1).
    Scales of norms are 1, biases and ReZero's factors 0.
    The matrices are made one after the other, so that sharded weights never need the memory of the whole model.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in own_parameters(model):
        if parameter.dim() == 1:
            value = 1.0 if name.endswith("scale") else 0.0
            yield parameter, torch.full(parameter.shape, value, device="cpu")
            continue
        whole = torch.empty(parameter.shape, device="cpu").normal_(
            0.0, _deviation(name, parameter, model.shape), generator=generator
        )
        if model.shape.initialisation in ("deep-norm", "glm"):
            _shrink(name, whole, model.shape)
        yield parameter, whole


def _deviation(name: str, parameter: nn.Parameter, shape: ModelShape) -> float:
    """The standard deviation of a matrix."""
    back = name.endswith("output.weight")
    if shape.initialisation == "palm":
        return 1.0 if name == "embedding" else parameter.shape[1] ** -0.5
    if shape.initialisation == "small":
        small = math.sqrt(2 / (5 * shape.d_model))
        return 2 / (shape.layers * math.sqrt(shape.d_model)) if back else small
    if shape.initialisation in ("deep-norm", "glm") and name.startswith("blocks."):
        rows = shape.feed_forward if name.endswith("mlp.project.weight") else parameter.shape[0]
        if name.endswith("attention.project.weight"):
            rows = shape.query_width
        return math.sqrt(2 / (rows + parameter.shape[1]))
    return shape.initial_deviation / math.sqrt(2 * shape.layers) if back else shape.initial_deviation


def _shrink(name: str, whole: Tensor, shape: ModelShape) -> None:
    """Make smaller what goes into the residual stream."""
    if not name.endswith(_BRANCH_PARTS):
        return
    gain = (8 * shape.layers) ** -0.25 if shape.initialisation == "deep-norm" else (2 * shape.layers) ** -0.5
    first = shape.query_width + shape.key_width if name.endswith("attention.project.weight") else 0
    whole[first:] *= gain


@torch.no_grad()
def initialise(model: LanguageModel, seed: int) -> None:
    """Give a model that is wholly here its first weights."""
    for parameter, whole in first_weights(model, seed):
        parameter.copy_(whole)
