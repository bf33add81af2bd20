"""A LLaMA-shaped model under the names that transformers gives its parts."""

from __future__ import annotations

import torch
from torch import Tensor

from corpus.errors import UsageError
from trainer.models.model import LanguageModel
from trainer.models.shape import ModelShape


def refuse_other_shapes(shape: ModelShape) -> None:
    """A UsageError unless other programs' LLaMA computes what a model of this shape does."""
    if shape.block != "pre-norm" or shape.norm != "rms" or shape.scaled_logits:
        raise UsageError(
            "only LLaMA shapes can be exported, and this model is none (PaLM's parallel blocks, LayerNorm or scaled logits "
            "have no counterpart in LlamaForCausalLM): use trainer generate and trainer eval on the run itself."
        )


def llama_tensors(model: LanguageModel) -> dict[str, Tensor]:
    """The weights by transformers' names, fused matrices taken apart: views of the model's own."""
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    shape = model.shape
    tensors = {"model.embed_tokens.weight": weights["embedding"]}
    for layer in range(shape.layers):
        ours, theirs = f"blocks.{layer}", f"model.layers.{layer}"
        attention = [shape.query_width, shape.key_width, shape.key_width]
        query, key, value = torch.split(weights[f"{ours}.attention.project.weight"], attention)
        gate, up = torch.split(weights[f"{ours}.mlp.project.weight"], shape.feed_forward)
        tensors |= {
            f"{theirs}.input_layernorm.weight": weights[f"{ours}.attention_norm.scale"],
            f"{theirs}.self_attn.q_proj.weight": query,
            f"{theirs}.self_attn.k_proj.weight": key,
            f"{theirs}.self_attn.v_proj.weight": value,
            f"{theirs}.self_attn.o_proj.weight": weights[f"{ours}.attention.output.weight"],
            f"{theirs}.post_attention_layernorm.weight": weights[f"{ours}.mlp_norm.scale"],
            f"{theirs}.mlp.gate_proj.weight": gate,
            f"{theirs}.mlp.up_proj.weight": up,
            f"{theirs}.mlp.down_proj.weight": weights[f"{ours}.mlp.output.weight"],
        }
    tensors["model.norm.weight"] = weights["norm.scale"]
    if not shape.tied:
        tensors["lm_head.weight"] = weights["head"]
    return tensors
