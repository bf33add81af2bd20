"""One file that llama.cpp loads: weights in float32, hyperparameters and the tokenizer's pieces (GGUF, version 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import Tensor

from corpus.errors import DataError, UsageError
from tokenizer import proto
from trainer.export.gguf_tokenizer import add_tokenizer, differences
from trainer.export.request import ExportRequest
from trainer.huggingface.registry import layout_of
from trainer.models.model import LanguageModel
from trainer.models.positions.rope import frequencies
from trainer.models.shape import ModelShape

FILE = "model.gguf"
_ARCHITECTURES = {
    "LlamaForCausalLM": "llama",
    "GPT2LMHeadModel": "gpt2",
    "GPTBigCodeForCausalLM": "starcoder",
    "GPTNeoXForCausalLM": "gptneox",
    "BloomForCausalLM": "bloom",
    "FalconForCausalLM": "falcon",
    "MptForCausalLM": "mpt",
}
"""llama.cpp's names of what classes of transformers compute."""
_MODULES = {
    "embedding": "token_embd",
    "positions": "position_embd",
    "embedding_norm": "token_embd_norm",
    "norm": "output_norm",
    "head": "output",
    "attention_norm": "attn_norm",
    "attention.project": "attn_qkv",
    "attention.output": "attn_output",
    "mlp_norm": "ffn_norm",
    "mlp.project": "ffn_up",
    "mlp.output": "ffn_down",
}
"""llama.cpp's names of our modules; its query, key and value are one matrix in our order, but for LLaMA's."""
_FALCON_NORMS = {"attention_norm": "attn_norm_2", "mlp_norm": "attn_norm"}
ROPE_FACTORS = "rope_freqs.weight"
"""What llama.cpp divides the rotary frequencies by, one number a pair."""


def architecture_of(shape: ModelShape) -> str:
    """llama.cpp's name of the architecture that computes what a model of this shape does; a UsageError where none does."""
    layout = layout_of(shape)
    name = _ARCHITECTURES.get(layout.architecture, "")
    why = "" if name else f"llama.cpp has none that computes a {layout.architecture}"
    if name == "llama" and (shape.bias or shape.activation != "silu"):
        why = "llama.cpp's LLaMA is written without biases and with SwiGLU"
    if name not in ("", "llama") and shape.activation not in ("gelu", "gelu-tanh"):
        why = f"llama.cpp's {name} computes GELU, and not {shape.activation}"
    if name in ("gptneox", "falcon") and shape.rope_scaling == "llama3":
        why = f"llama.cpp's {name} has no rule of Llama 3 for rotary positions"
    if name == "falcon" and (shape.bias or shape.block == "pre-norm"):
        why = "llama.cpp's falcon has parallel blocks without biases"
    if why:
        raise UsageError(f"this model cannot be written as GGUF, since {why}: give --format hf.")
    return name


def gguf_tensors(architecture: str, shape: ModelShape, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a shape by the names of one of llama.cpp's architectures."""
    named = [pair for name, tensor in weights.items() for pair in _named(architecture, shape, name, tensor)]
    if architecture == "gptneox" and shape.tied:  # which takes the embedding for no output layer
        named.append(("output.weight", weights["embedding"]))
    if shape.rope_scaling == "llama3":
        named.append((ROPE_FACTORS, rope_factors(shape)))
    return dict(named)


def rope_factors(shape: ModelShape) -> Tensor:
    """Unscaled over scaled frequencies: float32 [R / 2]."""
    return frequencies(replace(shape, rope_scaling="none")) / frequencies(shape)


def _named(architecture: str, shape: ModelShape, name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """A parameter of ours as tensors of llama.cpp. LLaMA's has query, key and value apart, gate and up too, and its rotary
    pairs are neighbours, (0, 1), (2, 3) …, where ours are i and i + half: the rows of queries and keys are reordered
    accordingly, head by head."""
    block, module, kind = _split_name(name)
    if architecture == "llama" and module == "attention.project":
        bounds = (0, shape.query_width, shape.query_width + shape.key_width, tensor.shape[0])
        parts = [tensor[begin:end] for begin, end in pairwise(bounds)]
        yield f"{block}attn_q.{kind}", neighbours(parts[0], shape.heads)
        yield f"{block}attn_k.{kind}", neighbours(parts[1], shape.n_kv_heads)
        yield f"{block}attn_v.{kind}", parts[2]
    elif architecture == "llama" and module == "mlp.project":
        yield f"{block}ffn_gate.{kind}", tensor[: shape.feed_forward]
        yield f"{block}ffn_up.{kind}", tensor[shape.feed_forward :]
    elif architecture == "falcon" and shape.block == "parallel-two-norms" and module in _FALCON_NORMS:
        yield f"{block}{_FALCON_NORMS[module]}.{kind}", tensor
    elif block and module == "norm":  # one for attention and MLP
        yield f"{block}attn_norm.{kind}", tensor
    else:
        yield f"{block}{_MODULES[module]}.{kind}", tensor


def _split_name(name: str) -> tuple[str, str, str]:
    """llama.cpp's prefix of the block, our name of the module in it, and what of it the parameter is there."""
    block = ""
    if name.startswith("blocks."):
        _, layer, name = name.split(".", 2)
        block = f"blk.{layer}."
    module, _, kind = name.rpartition(".")
    return (block, name, "weight") if not module else (block, module, "bias" if kind == "bias" else "weight")


def neighbours(weight: Tensor, heads: int) -> Tensor:
    """Rows of each head in the order 0, half, 1, half + 1 …: [heads · E, D] -> the same, contiguous."""
    rows, width = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, width).transpose(1, 2).reshape(rows, width).contiguous()


def write_gguf(model: LanguageModel, request: ExportRequest, directory: Path) -> str:
    """Write `model.gguf` into `directory`, which exists; gives what is to be said about tokenizer and model, or nothing."""
    try:
        import gguf
    except ImportError:
        raise DataError("the GGUF format needs the package gguf: pip install gguf.") from None
    tokenizer_model = request.tokenizer
    if tokenizer_model is not None and tokenizer_model.suffix == ".json":
        raise DataError(
            "a GGUF file is written with a SentencePiece model, and the run has a tokenizer.json: export it with --format hf, "
            "and let llama.cpp's convert_hf_to_gguf.py convert that."
        )
    if tokenizer_model is None:
        raise DataError(
            "the run carries no tokenizer, which a GGUF file must hold: train on a packed set with its own."
        )
    pieces = proto.read_model(tokenizer_model.read_bytes())
    if pieces.model_type != proto.BPE:
        kind = proto.TYPE_NAMES.get(pieces.model_type, "other")
        raise DataError(
            f"{tokenizer_model} is a {kind} model and llama.cpp's LLaMA tokenizer a BPE one: export it with --format hf."
        )
    architecture = architecture_of(model.shape)
    writer = gguf.GGUFWriter(directory / FILE, architecture)
    _add_shape(writer, architecture, model.shape)
    add_tokenizer(writer, pieces, request, model.shape.vocabulary)
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    for name, tensor in gguf_tensors(architecture, model.shape, weights).items():
        writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    notes = [differences(pieces)]
    if model.shape.activation == "gelu":
        notes.append("llama.cpp computes tanh GELU and the model the exact one, 5e-4 apart at most")
    return "; ".join(note for note in notes if note)


def _add_shape(writer: Any, architecture: str, shape: ModelShape) -> None:
    import gguf

    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.sequence_length)
    writer.add_embedding_length(shape.d_model)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.n_kv_heads)
    writer.add_key_length(shape.head_size)
    writer.add_value_length(shape.head_size)
    if shape.positions == "rope":
        writer.add_rope_dimension_count(shape.rotary_size)
        writer.add_rope_freq_base(shape.rope_base)
    if shape.rope_scaling == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(shape.rope_factor)
    if architecture == "llama":
        writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    else:
        writer.add_layer_norm_eps(shape.norm_epsilon)
    if shape.positions == "alibi":
        writer.add_max_alibi_bias(8.0)
    if architecture == "gptneox":
        writer.add_parallel_residual(shape.block == "parallel-two-norms")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
