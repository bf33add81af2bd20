"""FalconForCausalLM with rotary positions: 7B's form (one norm, one key head), 40B's (two norms, groups of heads) and
Falcon2-11B's (one norm, groups)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trainer.huggingface.layout import FUNCTIONS, GROUPED, Config, Layout, Part, activation, head, linear, norm, whole
from trainer.huggingface.rotary import read_rotary, rotary_config
from trainer.models.shape import ModelShape


def _config(shape: ModelShape) -> dict[str, Any]:
    two = shape.block == "parallel-two-norms"
    grouped = two or (shape.block == "parallel" and 1 < shape.n_kv_heads < shape.heads)
    return {
        "activation": FUNCTIONS[shape.activation],
        "alibi": False,
        "attention_dropout": 0.0,
        "bias": shape.bias,
        "ffn_hidden_size": shape.feed_forward,
        "hidden_dropout": 0.0,
        "hidden_size": shape.d_model,
        "initializer_range": shape.initial_deviation,
        "layer_norm_epsilon": shape.norm_epsilon,
        "max_position_embeddings": shape.sequence_length,
        "multi_query": shape.n_kv_heads == 1,
        "new_decoder_architecture": grouped,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_kv_heads": shape.n_kv_heads,
        "num_ln_in_parallel_attn": (2 if two else 1) if grouped else None,
        "parallel_attn": shape.block != "pre-norm",
        **rotary_config(shape),
        "tie_word_embeddings": shape.tied,
        "vocab_size": shape.vocabulary,
    }


def _shape(config: Config) -> ModelShape:
    width, heads = config["hidden_size"], config.get("num_attention_heads") or config["n_head"]
    grouped = config.get("new_decoder_architecture", False)
    block = "parallel" if config.get("parallel_attn", True) else "pre-norm"
    if grouped:
        block = "parallel" if config.get("num_ln_in_parallel_attn") == 1 else "parallel-two-norms"
    kv_heads = (config.get("num_kv_heads") or heads) if grouped else (1 if config.get("multi_query", True) else heads)
    return ModelShape(
        layers=config.get("num_hidden_layers") or config["n_layer"],
        d_model=width,
        heads=heads,
        n_kv_heads=kv_heads,
        head_size=width // heads,
        feed_forward=config.get("ffn_hidden_size") or 4 * width,
        vocabulary=config["vocab_size"],
        sequence_length=config.get("max_position_embeddings", 2048),
        block=block,
        norm="layer-bias",
        norm_epsilon=config.get("layer_norm_epsilon", 1e-5),
        activation=activation(config.get("activation", "gelu")),
        gated=False,
        bias=config.get("bias", False),
        tied=config.get("tie_word_embeddings", True),
        **read_rotary(config),
    )


def _parts(shape: ModelShape) -> Iterator[Part]:
    yield whole("embedding", "transformer.word_embeddings.weight")
    for layer in range(shape.layers):
        ours, theirs = f"blocks.{layer}", f"transformer.h.{layer}"
        if shape.block == "parallel":
            yield from norm(f"{ours}.norm", f"{theirs}.input_layernorm", shape)
        else:
            two = shape.block == "parallel-two-norms"
            names = ("ln_attn", "ln_mlp") if two else ("input_layernorm", "post_attention_layernorm")
            yield from norm(f"{ours}.attention_norm", f"{theirs}.{names[0]}", shape)
            yield from norm(f"{ours}.mlp_norm", f"{theirs}.{names[1]}", shape)
        yield from linear(f"{ours}.attention.project", f"{theirs}.self_attention.query_key_value", shape, GROUPED)
        yield from linear(f"{ours}.attention.output", f"{theirs}.self_attention.dense", shape)
        yield from linear(f"{ours}.mlp.project", f"{theirs}.mlp.dense_h_to_4h", shape)
        yield from linear(f"{ours}.mlp.output", f"{theirs}.mlp.dense_4h_to_h", shape)
    yield from norm("norm", "transformer.ln_f", shape)
    yield from head(shape)


FALCON = Layout(
    "FalconForCausalLM",
    "falcon",
    _config,
    _shape,
    _parts,
    {"alibi": False},
    ignored=("rotary_emb.inv_freq",),
    prefix="transformer.",
)
