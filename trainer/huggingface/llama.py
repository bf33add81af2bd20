"""LlamaForCausalLM: LLaMA, Llama 2 and 3. Queries and keys have the order of our rotary pairs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trainer.huggingface.layout import (
    FUNCTIONS,
    GATE_UP,
    QUERY_KEY_VALUE,
    Config,
    Layout,
    Part,
    activation,
    head,
    linear,
    norm,
    whole,
)
from trainer.huggingface.rotary import read_rotary, rotary_config
from trainer.models.shape import ModelShape


def _config(shape: ModelShape) -> dict[str, Any]:
    return {
        "attention_bias": shape.bias,
        "attention_dropout": 0.0,
        "head_dim": shape.head_size,
        "hidden_act": FUNCTIONS[shape.activation],
        "hidden_size": shape.d_model,
        "initializer_range": shape.initial_deviation,
        "intermediate_size": shape.feed_forward,
        "max_position_embeddings": shape.sequence_length,
        "mlp_bias": shape.bias,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.n_kv_heads,
        "rms_norm_eps": shape.norm_epsilon,
        **rotary_config(shape),
        "tie_word_embeddings": shape.tied,
        "vocab_size": shape.vocabulary,
    }


def _shape(config: Config) -> ModelShape:
    heads = config["num_attention_heads"]
    return ModelShape(
        layers=config["num_hidden_layers"],
        d_model=config["hidden_size"],
        heads=heads,
        n_kv_heads=config.get("num_key_value_heads") or heads,
        head_size=config.get("head_dim") or config["hidden_size"] // heads,
        feed_forward=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        sequence_length=config.get("max_position_embeddings", 2048),
        norm_epsilon=config.get("rms_norm_eps", 1e-6),
        activation=activation(config.get("hidden_act", "silu")),
        bias=config.get("attention_bias", False),
        tied=config.get("tie_word_embeddings", False),
        **read_rotary(config),
    )


def _parts(shape: ModelShape) -> Iterator[Part]:
    yield whole("embedding", "model.embed_tokens.weight")
    for layer in range(shape.layers):
        ours, theirs = f"blocks.{layer}", f"model.layers.{layer}"
        attention, mlp = f"{theirs}.self_attn", f"{theirs}.mlp"
        yield from norm(f"{ours}.attention_norm", f"{theirs}.input_layernorm", shape)
        queries = [f"{attention}.{name}_proj" for name in "qkv"]
        yield from linear(f"{ours}.attention.project", queries, shape, QUERY_KEY_VALUE)
        yield from linear(f"{ours}.attention.output", f"{attention}.o_proj", shape)
        yield from norm(f"{ours}.mlp_norm", f"{theirs}.post_attention_layernorm", shape)
        yield from linear(f"{ours}.mlp.project", (f"{mlp}.gate_proj", f"{mlp}.up_proj"), shape, GATE_UP)
        yield from linear(f"{ours}.mlp.output", f"{mlp}.down_proj", shape)
    yield from norm("norm", "model.norm", shape)
    yield from head(shape)


LLAMA = Layout("LlamaForCausalLM", "llama", _config, _shape, _parts, ignored=("rotary_emb.inv_freq",), prefix="model.")
