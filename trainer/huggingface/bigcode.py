"""GPTBigCodeForCausalLM: SantaCoder and StarCoder, GPT-2 with one key head."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trainer.huggingface.gpt2 import REQUIRED, gpt_config, gpt_shape
from trainer.huggingface.layout import FUNCTIONS, GROUPED, Config, Layout, Part, head, linear, norm, whole
from trainer.models.shape import ModelShape


def _config(shape: ModelShape) -> dict[str, Any]:
    return gpt_config(shape) | {
        "activation_function": FUNCTIONS[shape.activation],
        "multi_query": shape.n_kv_heads == 1,
        "scale_attn_weights": True,
    }


def _shape(config: Config) -> ModelShape:
    return gpt_shape(config, 1 if config.get("multi_query", True) else config["n_head"], "gelu_pytorch_tanh")


def _parts(shape: ModelShape) -> Iterator[Part]:
    yield whole("embedding", "transformer.wte.weight")
    yield whole("positions.weight", "transformer.wpe.weight")
    for layer in range(shape.layers):
        ours, theirs = f"blocks.{layer}", f"transformer.h.{layer}"
        yield from norm(f"{ours}.attention_norm", f"{theirs}.ln_1", shape)
        yield from linear(f"{ours}.attention.project", f"{theirs}.attn.c_attn", shape, GROUPED)
        yield from linear(f"{ours}.attention.output", f"{theirs}.attn.c_proj", shape)
        yield from norm(f"{ours}.mlp_norm", f"{theirs}.ln_2", shape)
        yield from linear(f"{ours}.mlp.project", f"{theirs}.mlp.c_fc", shape)
        yield from linear(f"{ours}.mlp.output", f"{theirs}.mlp.c_proj", shape)
    yield from norm("norm", "transformer.ln_f", shape)
    yield from head(shape)


BIGCODE = Layout(
    "GPTBigCodeForCausalLM",
    "gpt_bigcode",
    _config,
    _shape,
    _parts,
    REQUIRED,
    ignored=("attn.bias", "attn.masked_bias"),
    prefix="transformer.",
)
