"""GPTNeoXForCausalLM: GPT-NeoX-20B and Pythia. A file has the output layer under another name than the class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trainer.huggingface.layout import FUNCTIONS, GROUPED, Config, Layout, Part, activation, head, linear, norm, whole
from trainer.huggingface.rotary import read_rotary, rotary_config
from trainer.models.shape import ModelShape

_HEAD = "embed_out.weight"


def _config(shape: ModelShape) -> dict[str, Any]:
    """`rotary_pct` and `rotary_emb_base` are for llama.cpp's converter."""
    return {
        "attention_bias": shape.bias,
        "attention_dropout": 0.0,
        "hidden_act": FUNCTIONS[shape.activation],
        "hidden_dropout": 0.0,
        "hidden_size": shape.d_model,
        "initializer_range": shape.initial_deviation,
        "intermediate_size": shape.feed_forward,
        "layer_norm_eps": shape.norm_epsilon,
        "max_position_embeddings": shape.sequence_length,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        **{key: value for key, value in rotary_config(shape).items() if key != "rope_theta"},
        "rotary_emb_base": shape.rope_base,
        "rotary_pct": shape.rope_share,
        "tie_word_embeddings": shape.tied,
        "use_parallel_residual": shape.block == "parallel-two-norms",
        "vocab_size": shape.vocabulary,
    }


def _shape(config: Config) -> ModelShape:
    width, heads = config["hidden_size"], config["num_attention_heads"]
    return ModelShape(
        layers=config["num_hidden_layers"],
        d_model=width,
        heads=heads,
        n_kv_heads=heads,
        head_size=width // heads,
        feed_forward=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        sequence_length=config.get("max_position_embeddings", 2048),
        block="parallel-two-norms" if config.get("use_parallel_residual", True) else "pre-norm",
        norm="layer-bias",
        norm_epsilon=config.get("layer_norm_eps", 1e-5),
        activation=activation(config.get("hidden_act", "gelu")),
        gated=False,
        bias=True,
        tied=config.get("tie_word_embeddings", False),
        **read_rotary(config, share=0.25),
    )


def _parts(shape: ModelShape) -> Iterator[Part]:
    yield whole("embedding", "gpt_neox.embed_in.weight")
    for layer in range(shape.layers):
        ours, theirs = f"blocks.{layer}", f"gpt_neox.layers.{layer}"
        yield from norm(f"{ours}.attention_norm", f"{theirs}.input_layernorm", shape)
        yield from linear(f"{ours}.attention.project", f"{theirs}.attention.query_key_value", shape, GROUPED)
        yield from linear(f"{ours}.attention.output", f"{theirs}.attention.dense", shape)
        yield from norm(f"{ours}.mlp_norm", f"{theirs}.post_attention_layernorm", shape)
        yield from linear(f"{ours}.mlp.project", f"{theirs}.mlp.dense_h_to_4h", shape)
        yield from linear(f"{ours}.mlp.output", f"{theirs}.mlp.dense_4h_to_h", shape)
    yield from norm("norm", "gpt_neox.final_layer_norm", shape)
    yield from head(shape, _HEAD)


NEOX = Layout(
    "GPTNeoXForCausalLM",
    "gpt_neox",
    _config,
    _shape,
    _parts,
    {"attention_bias": True},
    ignored=("attention.bias", "attention.masked_bias", "rotary_emb.inv_freq"),
    prefix="gpt_neox.",
    head=_HEAD,
    other_head="lm_head.weight",
)
