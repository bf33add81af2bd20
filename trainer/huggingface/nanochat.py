"""NanoChatForCausalLM. It turns the other way than we do: the signs of each head's second half, of queries and keys, make up
for that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from trainer.huggingface.layout import (
    FUNCTIONS,
    Arrangement,
    Config,
    Layout,
    Part,
    activation,
    head,
    linear,
    split_rows,
    stack_rows,
    whole,
)
from trainer.huggingface.rotary import read_rotary, rotary_config
from trainer.models.shape import ModelShape


def _config(shape: ModelShape) -> dict[str, Any]:
    return {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "final_logit_softcapping": shape.logit_cap or None,
        "hidden_act": FUNCTIONS[shape.activation],
        "hidden_size": shape.d_model,
        "initializer_range": shape.initial_deviation,
        "intermediate_size": shape.feed_forward,
        "max_position_embeddings": shape.sequence_length,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.n_kv_heads,
        # its default is 1, which is a token like any other here
        "pad_token_id": None,
        "rms_norm_eps": shape.norm_epsilon,
        **rotary_config(shape),
        "tie_word_embeddings": shape.tied,
        "vocab_size": shape.vocabulary,
    }


def _shape(config: Config) -> ModelShape:
    width, heads = config["hidden_size"], config["num_attention_heads"]
    return ModelShape(
        layers=config["num_hidden_layers"],
        d_model=width,
        heads=heads,
        n_kv_heads=config.get("num_key_value_heads") or heads,
        head_size=width // heads,
        feed_forward=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        sequence_length=config.get("max_position_embeddings", 2048),
        norm="rms-unscaled",
        norm_epsilon=config.get("rms_norm_eps", 1e-6),
        activation=activation(config.get("hidden_act", "relu2")),
        gated=False,
        tied=config.get("tie_word_embeddings", False),
        embedding_norm=True,
        logit_cap=config.get("final_logit_softcapping", 15.0) or 0.0,
        qk_norm=True,
        **read_rotary(config),
    )


def _turned_back(tensor: Tensor, heads: int) -> Tensor:
    """Rows of each head with the signs of its second half changed."""
    signed = tensor.clone().view(heads, 2, -1, tensor.shape[1])
    signed[:, 1] *= -1
    return signed.view(tensor.shape)


def _split(tensor: Tensor, shape: ModelShape) -> Sequence[Tensor]:
    query, key, value = split_rows(tensor, shape)
    return _turned_back(query, shape.heads), _turned_back(key, shape.n_kv_heads), value


def _join(tensors: Sequence[Tensor], shape: ModelShape) -> Tensor:
    query, key, value = tensors
    return stack_rows((_turned_back(query, shape.heads), _turned_back(key, shape.n_kv_heads), value), shape)


def _parts(shape: ModelShape) -> Iterator[Part]:
    yield whole("embedding", "model.embed_tokens.weight")
    for layer in range(shape.layers):
        ours, theirs = f"blocks.{layer}", f"model.layers.{layer}"
        queries = tuple(f"{theirs}.self_attn.{name}_proj.weight" for name in "qkv")
        yield Part(f"{ours}.attention.project.weight", queries, Arrangement(_split, _join))
        yield from linear(f"{ours}.attention.output", f"{theirs}.self_attn.o_proj", shape)
        yield from linear(f"{ours}.mlp.project", f"{theirs}.mlp.fc1", shape)
        yield from linear(f"{ours}.mlp.output", f"{theirs}.mlp.fc2", shape)
    yield from head(shape)


NANOCHAT = Layout(
    "NanoChatForCausalLM", "nanochat", _config, _shape, _parts, {"attention_bias": False}, prefix="model."
)
