"""BloomForCausalLM. It adds slope · position of the key to the scores, which is ours but for a constant of each row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trainer.huggingface.layout import GROUPED, Config, Layout, Part, head, linear, norm, whole
from trainer.models.shape import ModelShape


def _config(shape: ModelShape) -> dict[str, Any]:
    return {
        "attention_dropout": 0.0,
        "hidden_dropout": 0.0,
        "hidden_size": shape.d_model,
        "initializer_range": shape.initial_deviation,
        "layer_norm_epsilon": shape.norm_epsilon,
        "n_head": shape.heads,
        "n_layer": shape.layers,
        "seq_length": shape.sequence_length,
        "tie_word_embeddings": shape.tied,
        "vocab_size": shape.vocabulary,
    }


def _shape(config: Config) -> ModelShape:
    """Its sequence length is nowhere in the class: files hold `seq_length` as a remark."""
    width = config.get("hidden_size") or config["n_embed"]
    heads = config.get("n_head") or config["num_attention_heads"]
    return ModelShape(
        layers=config.get("n_layer") or config["num_hidden_layers"],
        d_model=width,
        heads=heads,
        n_kv_heads=heads,
        head_size=width // heads,
        feed_forward=4 * width,
        vocabulary=config["vocab_size"],
        sequence_length=config.get("seq_length", 2048),
        norm="layer-bias",
        norm_epsilon=config.get("layer_norm_epsilon", 1e-5),
        activation="gelu-tanh",
        gated=False,
        bias=True,
        tied=config.get("tie_word_embeddings", True),
        embedding_norm=True,
        positions="alibi",
    )


def _parts(shape: ModelShape) -> Iterator[Part]:
    yield whole("embedding", "transformer.word_embeddings.weight")
    yield from norm("embedding_norm", "transformer.word_embeddings_layernorm", shape)
    for layer in range(shape.layers):
        ours, theirs = f"blocks.{layer}", f"transformer.h.{layer}"
        yield from norm(f"{ours}.attention_norm", f"{theirs}.input_layernorm", shape)
        yield from linear(f"{ours}.attention.project", f"{theirs}.self_attention.query_key_value", shape, GROUPED)
        yield from linear(f"{ours}.attention.output", f"{theirs}.self_attention.dense", shape)
        yield from norm(f"{ours}.mlp_norm", f"{theirs}.post_attention_layernorm", shape)
        yield from linear(f"{ours}.mlp.project", f"{theirs}.mlp.dense_h_to_4h", shape)
        yield from linear(f"{ours}.mlp.output", f"{theirs}.mlp.dense_4h_to_h", shape)
    yield from norm("norm", "transformer.ln_f", shape)
    yield from head(shape)


BLOOM = Layout(
    "BloomForCausalLM",
    "bloom",
    _config,
    _shape,
    _parts,
    {"apply_residual_connection_post_layernorm": False},
    prefix="transformer.",
)
