"""A tiny shape of each class of transformers, and models of both sides with the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
import transformers
from torch import Tensor

from trainer.config.families.registry import PRESETS
from trainer.huggingface.layout import Layout, to_theirs
from trainer.huggingface.registry import layout_named, layout_of
from trainer.models.model import LanguageModel
from trainer.models.shape import ModelShape


def _tiny(name: str, **changes: Any) -> ModelShape:
    sizes = {"layers": 2, "vocabulary": 211, "sequence_length": 40, "d_model": 48, "feed_forward": 192, "head_size": 12}
    return replace(PRESETS[name].shape, **sizes | changes)


_FALCON: dict[str, Any] = {"rope_share": 1.0, "bias": False, "tied": True, "activation": "gelu"}

SHAPES: Mapping[str, ModelShape] = {
    "llama": _tiny("llama-tiny", head_size=16, feed_forward=80),
    "llama2-70b": _tiny("llama3-tiny", rope_base=700.0, norm_epsilon=1e-3),
    "llama3": _tiny(
        "llama3-tiny", rope_scaling="llama3", rope_factor=8.0, rope_original_length=24, rope_base=50.0, tied=True
    ),
    "llama-linear": _tiny("llama-tiny", rope_scaling="linear", rope_factor=3.0, bias=True),
    "gpt3": _tiny("gpt3-tiny"),
    "gpt2-wide": _tiny("gpt3-tiny", feed_forward=100, activation="relu", tied=False),
    "neox": _tiny("pythia-tiny", rope_share=0.5),
    "pythia-exact": _tiny("pythia-tiny", rope_share=0.5, activation="gelu", block="pre-norm"),
    "opt": _tiny("opt-tiny"),
    "opt-350m": _tiny("opt-tiny", block="post-norm", embedding_size=20),
    "galactica": _tiny("galactica-tiny"),
    "bloom": _tiny("bloom-tiny"),
    "bloom-176b": _tiny("bloom-tiny", heads=6, n_kv_heads=6, head_size=8),
    "starcoder": _tiny("starcoder-tiny"),
    "nanochat": _tiny("nanochat-tiny", n_kv_heads=2, logit_cap=0.4),
    "falcon-7b": _tiny("pythia-tiny", **_FALCON, block="parallel", n_kv_heads=1),
    "falcon2-11b": _tiny("pythia-tiny", **_FALCON, block="parallel", n_kv_heads=2),
    "falcon-40b": _tiny("pythia-tiny", **_FALCON, n_kv_heads=2),
    "mpt": _tiny("bloom-tiny", norm="layer", activation="gelu", bias=False, embedding_norm=False),
    "bigcode-many-heads": _tiny("starcoder-tiny", n_kv_heads=4),
}


def theirs(name: str, seed: int = 1) -> tuple[Layout, Any]:
    """The layout of a shape and transformers' model of it, with weights that leave nothing at 0 or 1."""
    layout, shape = named_layout(name), SHAPES[name]
    kind = getattr(transformers, layout.architecture)
    special = {"bos_token_id": 2, "eos_token_id": 2, "pad_token_id": None}
    model = kind(kind.config_class(**layout.to_config(shape) | special)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.empty(parameter.shape).normal_(0.0, 0.1, generator=generator))
    return layout, model


def named_layout(name: str) -> Layout:
    """BigCode computes with all key heads what GPT-2 does, whose layout comes first."""
    return layout_named("GPTBigCodeForCausalLM") if name == "bigcode-many-heads" else layout_of(SHAPES[name])


def their_weights(model: Any, layout: Layout, shape: ModelShape) -> dict[str, Tensor]:
    """The learned tensors by the names that a file has."""
    tensors = {name: parameter.detach() for name, parameter in model.named_parameters()}
    if layout.other_head in tensors:
        tensors[layout.head] = tensors.pop(layout.other_head)
    return tensors


def ours(shape: ModelShape, layout: Layout, tensors: Mapping[str, Tensor]) -> LanguageModel:
    """Our model with the weights of theirs."""
    model = LanguageModel(shape)
    model.load_state_dict(
        {
            part.ours: part.arrangement.join([tensors[name] for name in part.theirs], shape)
            for part in layout.parts(shape)
        }
    )
    return model


def back(model: LanguageModel, layout: Layout) -> dict[str, Tensor]:
    """Our weights by their names."""
    return to_theirs(layout, model.shape, {name: value.detach() for name, value in model.named_parameters()})
