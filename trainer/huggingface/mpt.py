"""MptForCausalLM: ALiBi, norms with a scale alone, no biases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from corpus.errors import DataError
from trainer.huggingface.layout import Config, Layout, Part, head, linear, norm, whole
from trainer.models.shape import ModelShape

_ATTENTION = {
    "alibi": True,
    "alibi_bias_max": 8,
    "attn_type": "multihead_attention",
    "clip_qkv": None,
    "prefix_lm": False,
    "qk_ln": False,
    "softmax_scale": None,
}
"""Settings of its attention that we compute."""


def _config(shape: ModelShape) -> dict[str, Any]:
    return {
        "attn_config": {**_ATTENTION, "attn_pdrop": 0},
        "d_model": shape.d_model,
        "emb_pdrop": 0.0,
        "expansion_ratio": shape.feed_forward // shape.d_model,
        "initializer_range": shape.initial_deviation,
        "layer_norm_epsilon": shape.norm_epsilon,
        "max_seq_len": shape.sequence_length,
        "n_heads": shape.heads,
        "n_layers": shape.layers,
        "resid_pdrop": 0.0,
        "tie_word_embeddings": shape.tied,
        "vocab_size": shape.vocabulary,
    }


def _shape(config: Config) -> ModelShape:
    width, heads = config["d_model"], config["n_heads"]
    attention = config.get("attn_config") or {}
    for key, value in _ATTENTION.items():
        if attention.get(key, value) != value:
            raise DataError(
                f"config.json has attn_config.{key}: {attention[key]}, which the trainer does not compute (only {value})."
            )
    return ModelShape(
        layers=config["n_layers"],
        d_model=width,
        heads=heads,
        n_kv_heads=heads,
        head_size=width // heads,
        feed_forward=int(config.get("expansion_ratio", 4) * width),
        vocabulary=config["vocab_size"],
        sequence_length=config.get("max_seq_len", 2048),
        norm="layer",
        norm_epsilon=config.get("layer_norm_epsilon", 1e-5),
        activation="gelu",
        gated=False,
        tied=config.get("tie_word_embeddings", True),
        positions="alibi",
    )


def _parts(shape: ModelShape) -> Iterator[Part]:
    yield whole("embedding", "transformer.wte.weight")
    for layer in range(shape.layers):
        ours, theirs = f"blocks.{layer}", f"transformer.blocks.{layer}"
        yield from norm(f"{ours}.attention_norm", f"{theirs}.norm_1", shape)
        yield from linear(f"{ours}.attention.project", f"{theirs}.attn.Wqkv", shape)
        yield from linear(f"{ours}.attention.output", f"{theirs}.attn.out_proj", shape)
        yield from norm(f"{ours}.mlp_norm", f"{theirs}.norm_2", shape)
        yield from linear(f"{ours}.mlp.project", f"{theirs}.ffn.up_proj", shape)
        yield from linear(f"{ours}.mlp.output", f"{theirs}.ffn.down_proj", shape)
    yield from norm("norm", "transformer.norm_f", shape)
    yield from head(shape)


MPT = Layout(
    "MptForCausalLM",
    "mpt",
    _config,
    _shape,
    _parts,
    {"no_bias": True, "logit_scale": None},
    prefix="transformer.",
)
