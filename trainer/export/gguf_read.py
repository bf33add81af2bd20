"""A GGUF file as a model again: what it says, and not what was meant to be written."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.export.gguf import ROPE_FACTORS, gguf_tensors
from trainer.models.model import LanguageModel
from trainer.models.positions.rope import frequencies
from trainer.models.shape import ModelShape

_FORMS: Mapping[str, Mapping[str, Any]] = {
    "llama": {},
    "gpt2": {"positions": "learned"},
    "starcoder": {"positions": "learned"},
    "gptneox": {"block": "parallel-two-norms"},
    "bloom": {"positions": "alibi", "embedding_norm": True},
    "falcon": {"block": "parallel", "bias": False},
    "mpt": {"positions": "alibi", "norm": "layer", "bias": False},
}
"""What llama.cpp computes of an architecture, as far as no key of the file says it."""
_GPT = {"norm": "layer-bias", "gated": False, "bias": True}


def read_model(path: Path, activation: str = "gelu-tanh") -> LanguageModel:
    """The model that llama.cpp would make of a file, but for the `activation` where it is no LLaMA: no key says it, and
    llama.cpp computes tanh GELU."""
    import gguf

    reader = gguf.GGUFReader(path)
    stored = {tensor.name: torch.from_numpy(np.array(tensor.data)) for tensor in reader.tensors}
    fields = {name: field.contents() for name, field in reader.fields.items()}
    model = LanguageModel(_shape(fields, stored, activation))
    _fill(fields["general.architecture"], model, stored)
    return model.eval()


def _shape(fields: Mapping[str, Any], stored: Mapping[str, Tensor], activation: str) -> ModelShape:
    architecture = fields["general.architecture"]
    value = {name.removeprefix(f"{architecture}."): content for name, content in fields.items()}
    form: dict[str, Any] = {} if architecture == "llama" else {**_GPT, "activation": activation}
    form |= _FORMS[architecture]
    if "blk.0.attn_norm_2.weight" in stored:
        form["block"] = "parallel-two-norms"
    if architecture == "gptneox" and not value["use_parallel_residual"]:
        form["block"] = "pre-norm"
    if "rope.dimension_count" in value:
        form["rope_share"] = value["rope.dimension_count"] / value["attention.key_length"]
        form["rope_base"] = value["rope.freq_base"]
    if value.get("rope.scaling.type") == "linear":
        form |= {"rope_scaling": "linear", "rope_factor": value["rope.scaling.factor"]}
    epsilon = "attention.layer_norm_rms_epsilon" if architecture == "llama" else "attention.layer_norm_epsilon"
    return ModelShape(
        layers=value["block_count"],
        d_model=value["embedding_length"],
        heads=value["attention.head_count"],
        n_kv_heads=value["attention.head_count_kv"],
        head_size=value["attention.key_length"],
        feed_forward=value["feed_forward_length"],
        vocabulary=value["vocab_size"],
        sequence_length=value["context_length"],
        norm_epsilon=value[epsilon],
        tied="output.weight" not in stored,
        **form,
    )


@torch.no_grad()
def _fill(architecture: str, model: LanguageModel, stored: Mapping[str, Tensor]) -> None:
    """Put the tensors where the writer takes them from, which is found by writing the index of each number in its place."""
    parameters = dict(model.named_parameters())
    bounds = list(accumulate((parameter.numel() for parameter in parameters.values()), initial=0))
    indices = {
        name: torch.arange(begin, begin + parameter.numel()).view(parameter.shape)
        for (name, parameter), begin in zip(parameters.items(), bounds[:-1], strict=True)
    }
    flat = torch.empty(bounds[-1])
    for name, places in gguf_tensors(architecture, model.shape, indices).items():
        flat[places.flatten()] = stored[name].flatten()
    for parameter, begin in zip(parameters.values(), bounds[:-1], strict=True):
        parameter.copy_(flat[begin : begin + parameter.numel()].view(parameter.shape))
    if ROPE_FACTORS in stored:
        angles = _angles(model.shape) / stored[ROPE_FACTORS]
        model.table.copy_(torch.stack((angles.cos(), angles.sin())))


def _angles(shape: ModelShape) -> Tensor:
    return torch.arange(shape.sequence_length, dtype=torch.float32)[:, None] * frequencies(shape)
