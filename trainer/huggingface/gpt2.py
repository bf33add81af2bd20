"""GPT2LMHeadModel: GPT-2, and GPT-3's shapes. Its matrices have their inputs first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trainer.huggingface.layout import FUNCTIONS, TURNED, Config, Layout, Part, activation, head, linear, norm, whole
from trainer.models.shape import ModelShape

REQUIRED = {
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}


def gpt_config(shape: ModelShape) -> dict[str, Any]:
    """The keys that GPT-2 and BigCode have in common; `n_ctx` is for llama.cpp's converter."""
    return {
        "activation_function": "gelu_new" if shape.activation == "gelu-tanh" else FUNCTIONS[shape.activation],
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "initializer_range": shape.initial_deviation,
        "layer_norm_epsilon": shape.norm_epsilon,
        "n_ctx": shape.sequence_length,
        "n_embd": shape.d_model,
        "n_head": shape.heads,
        "n_inner": shape.feed_forward,
        "n_layer": shape.layers,
        "n_positions": shape.sequence_length,
        "resid_pdrop": 0.0,
        "tie_word_embeddings": shape.tied,
        "vocab_size": shape.vocabulary,
    }


def gpt_shape(config: Config, n_kv_heads: int, function: str) -> ModelShape:
    """The shape of a GPT-2 or BigCode; `function` is the activation where none is named."""
    width, heads = config["n_embd"], config["n_head"]
    return ModelShape(
        layers=config["n_layer"],
        d_model=width,
        heads=heads,
        n_kv_heads=n_kv_heads,
        head_size=width // heads,
        feed_forward=config.get("n_inner") or 4 * width,
        vocabulary=config["vocab_size"],
        sequence_length=config["n_positions"],
        norm="layer-bias",
        norm_epsilon=config.get("layer_norm_epsilon", 1e-5),
        activation=activation(config.get("activation_function", function)),
        gated=False,
        bias=True,
        tied=config.get("tie_word_embeddings", True),
        positions="learned",
    )


def _shape(config: Config) -> ModelShape:
    return gpt_shape(config, config["n_head"], "gelu_new")


def _parts(shape: ModelShape) -> Iterator[Part]:
    yield whole("embedding", "transformer.wte.weight")
    yield whole("positions.weight", "transformer.wpe.weight")
    for layer in range(shape.layers):
        ours, theirs = f"blocks.{layer}", f"transformer.h.{layer}"
        yield from norm(f"{ours}.attention_norm", f"{theirs}.ln_1", shape)
        yield from linear(f"{ours}.attention.project", f"{theirs}.attn.c_attn", shape, TURNED)
        yield from linear(f"{ours}.attention.output", f"{theirs}.attn.c_proj", shape, TURNED)
        yield from norm(f"{ours}.mlp_norm", f"{theirs}.ln_2", shape)
        yield from linear(f"{ours}.mlp.project", f"{theirs}.mlp.c_fc", shape, TURNED)
        yield from linear(f"{ours}.mlp.output", f"{theirs}.mlp.c_proj", shape, TURNED)
    yield from norm("norm", "transformer.ln_f", shape)
    yield from head(shape)


GPT2 = Layout(
    "GPT2LMHeadModel",
    "gpt2",
    gpt_config,
    _shape,
    _parts,
    REQUIRED,
    ignored=("attn.bias", "attn.masked_bias"),
    prefix="transformer.",
)
