"""OPTForCausalLM: OPT and Galactica. Its table of positions has two rows in front that no position has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trainer.huggingface.layout import (
    FUNCTIONS,
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
from trainer.models.shape import ModelShape

_EPSILON = 1e-5
"""That of its norms, which no key changes."""


def _config(shape: ModelShape) -> dict[str, Any]:
    return {
        "activation_function": FUNCTIONS[shape.activation],
        "attention_dropout": 0.0,
        "do_layer_norm_before": shape.block == "pre-norm",
        "dropout": 0.0,
        "enable_bias": shape.bias,
        "ffn_dim": shape.feed_forward,
        "hidden_size": shape.d_model,
        "init_std": shape.initial_deviation,
        "layer_norm_elementwise_affine": shape.norm != "layer-unscaled",
        "layerdrop": 0.0,
        "max_position_embeddings": shape.sequence_length,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        # its default is 1, which is a token like any other here
        "pad_token_id": None,
        "tie_word_embeddings": shape.tied,
        "vocab_size": shape.vocabulary,
        "word_embed_proj_dim": shape.embedding_width,
    }


def _shape(config: Config) -> ModelShape:
    """Files of Galactica from before transformers 4.23 say `bias`."""
    width, heads = config["hidden_size"], config["num_attention_heads"]
    embedding = config.get("word_embed_proj_dim") or width
    affine = config.get("layer_norm_elementwise_affine", True)
    return ModelShape(
        layers=config["num_hidden_layers"],
        d_model=width,
        heads=heads,
        n_kv_heads=heads,
        head_size=width // heads,
        feed_forward=config["ffn_dim"],
        vocabulary=config["vocab_size"],
        sequence_length=config["max_position_embeddings"],
        block="pre-norm" if config.get("do_layer_norm_before", True) else "post-norm",
        norm="layer-bias" if affine else "layer-unscaled",
        norm_epsilon=_EPSILON,
        activation=activation(config.get("activation_function", "relu")),
        gated=False,
        bias=config.get("enable_bias", config.get("bias", True)),
        tied=config.get("tie_word_embeddings", True),
        embedding_size=0 if embedding == width else embedding,
        positions="learned",
        position_offset=2,
    )


def _parts(shape: ModelShape) -> Iterator[Part]:
    decoder = "model.decoder"
    yield whole("embedding", f"{decoder}.embed_tokens.weight")
    yield whole("positions.weight", f"{decoder}.embed_positions.weight")
    if shape.embedding_width != shape.d_model:
        yield whole("widen.weight", f"{decoder}.project_in.weight")
        yield whole("narrow.weight", f"{decoder}.project_out.weight")
    for layer in range(shape.layers):
        ours, theirs = f"blocks.{layer}", f"{decoder}.layers.{layer}"
        queries = [f"{theirs}.self_attn.{name}_proj" for name in "qkv"]
        yield from norm(f"{ours}.attention_norm", f"{theirs}.self_attn_layer_norm", shape)
        yield from linear(f"{ours}.attention.project", queries, shape, QUERY_KEY_VALUE)
        yield from linear(f"{ours}.attention.output", f"{theirs}.self_attn.out_proj", shape)
        yield from norm(f"{ours}.mlp_norm", f"{theirs}.final_layer_norm", shape)
        yield from linear(f"{ours}.mlp.project", f"{theirs}.fc1", shape)
        yield from linear(f"{ours}.mlp.output", f"{theirs}.fc2", shape)
    if shape.block == "pre-norm":
        yield from norm("norm", f"{decoder}.final_layer_norm", shape)
    yield from head(shape)


OPT = Layout("OPTForCausalLM", "opt", _config, _shape, _parts, {"_remove_final_layer_norm": False}, prefix="model.")
