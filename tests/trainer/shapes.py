"""Small models of both families for the tests."""

from __future__ import annotations

import torch

from trainer.models.initialisation import initialise
from trainer.models.model import LanguageModel
from trainer.models.shape import ModelShape


def small(family: str, **changes: object) -> ModelShape:
    base: dict[str, object] = {
        "layers": 2,
        "d_model": 24,
        "heads": 3,
        "n_kv_heads": 3,
        "head_size": 8,
        "feed_forward": 40,
        "vocabulary": 50,
        "sequence_length": 16,
    }
    if family == "palm":
        base |= {
            "n_kv_heads": 1,
            "head_size": 10,
            "block": "parallel",
            "norm": "layer",
            "tied": True,
            "scaled_logits": True,
            "initialisation": "palm",
        }
    return ModelShape(**(base | changes))  # type: ignore[arg-type]


def build(shape: ModelShape, seed: int = 1) -> LanguageModel:
    model = LanguageModel(shape)
    initialise(model, seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:  # so that a forgotten scale, bias or factor shows
                parameter.add_(torch.linspace(-0.3, 0.3, parameter.numel()))
    return model
