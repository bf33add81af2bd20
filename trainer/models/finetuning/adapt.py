"""A model made ready for fine-tuning: what is trained of it, and its first values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from trainer.models.finetuning.config import FineTuningConfig
from trainer.models.finetuning.lora import adapter_weights, add_adapters, is_adapter
from trainer.models.finetuning.soft_prompt import NAME as SOFT_PROMPT
from trainer.models.finetuning.soft_prompt import prompt_weights

Values = Iterator[tuple[nn.Parameter, Tensor]]
"""Parameters with their values, whole."""


def adapt(model: Any, config: FineTuningConfig) -> None:
    """Freeze a `LanguageModel` and give it adapters or a soft prompt, without values yet; for `full` nothing changes."""
    if config.method == "lora":
        add_adapters(model, config)
    elif config.method == "prompt":
        model.requires_grad_(False)
        empty = torch.empty(config.prompt_tokens, model.shape.d_model, device=model.embedding.device)
        model.register_parameter(SOFT_PROMPT, nn.Parameter(empty))


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def own_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """A model's own weights by name, without what was added to them."""
    for name, parameter in model.named_parameters():
        if not is_adapter(name) and name != SOFT_PROMPT:
            yield name, parameter


def first_values(model: Any, own: Callable[[Any], Values], seed: int) -> Values:
    """First values of a model: of its own weights by `own`, and then of what was added to them."""
    embedding = None
    prompt = getattr(model, SOFT_PROMPT)
    for parameter, whole in own(model):
        if prompt is not None and parameter is model.embedding:
            embedding = whole
        yield parameter, whole
    yield from adapter_weights(model, seed)
    if prompt is not None:
        assert embedding is not None
        yield prompt, prompt_weights(prompt, embedding, seed)
