"""One file that llama.cpp loads: weights in float32, hyperparameters and the tokenizer's pieces (GGUF, version 3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from corpus.errors import DataError, UsageError
from tokenizer import proto
from trainer.export.request import ExportRequest
from trainer.huggingface.layout import to_theirs
from trainer.huggingface.llama import LLAMA
from trainer.models.model import LanguageModel
from trainer.models.shape import ModelShape

FILE = "model.gguf"
_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_PADDING_SCORE = -1000.0
"""Score of the rows that fill the vocabulary up: no merge makes them."""


def refuse_other_shapes(shape: ModelShape) -> None:
    """A UsageError unless llama.cpp's LLaMA computes what a model of this shape does."""
    if not LLAMA.computes(shape) or shape.bias or shape.rope_scaling != "none":
        raise UsageError(
            "only LLaMA shapes without biases and rope scaling are written as GGUF, and this model is none: give --format hf."
        )


def gguf_tensors(model: LanguageModel) -> dict[str, npt.NDArray[np.float32]]:
    """The weights by llama.cpp's names. Its rotary pairs are neighbours, (0, 1), (2, 3) …, where ours are i and
    i + half: the rows of the query and key matrices are reordered accordingly, head by head."""
    tensors = {}
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    for name, tensor in to_theirs(LLAMA, model.shape, weights).items():
        if ".q_proj." in name or ".k_proj." in name:
            heads = model.shape.heads if ".q_proj." in name else model.shape.n_kv_heads
            tensor = neighbours(tensor, heads)
        tensors[gguf_name(name)] = tensor.numpy()
    return tensors


def gguf_name(name: str) -> str:
    """llama.cpp's name of a tensor from transformers' name."""
    if name in _NAMES:
        return _NAMES[name]
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{_LAYER_NAMES[part]}.weight"


def neighbours(weight: Tensor, heads: int) -> Tensor:
    """Rows of each head in the order 0, half, 1, half + 1 …: [heads · E, D] -> the same, contiguous."""
    rows, width = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, width).transpose(1, 2).reshape(rows, width).contiguous()


def halves(weight: Tensor, heads: int) -> Tensor:
    """Undo `neighbours`."""
    rows, width = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, width).transpose(1, 2).reshape(rows, width).contiguous()


def write_gguf(model: LanguageModel, request: ExportRequest, directory: Path) -> str:
    """Write `model.gguf` into `directory`, which exists; gives what is to be said about the tokenizer, or nothing."""
    try:
        import gguf
    except ImportError:
        raise DataError("the GGUF format needs the package gguf: pip install gguf.") from None
    tokenizer_model = request.tokenizer_model
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
    writer = gguf.GGUFWriter(directory / FILE, "llama")
    _add_shape(writer, model.shape)
    _add_tokenizer(writer, pieces, request.eod, model.shape.vocabulary, request.alone)
    for name, tensor in gguf_tensors(model).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return _differences(pieces)


def _differences(model: proto.Model) -> str:
    """Where llama.cpp's ids differ from the tokenizer's own, as a sentence; empty where they do not."""
    found = []
    if model.remove_extra_whitespaces:
        found.append("keeps runs of blanks, which the tokenizer joins")
    if model.charsmap:
        found.append(f"does not apply the tokenizer's normalisation ({model.normalization})")
    return f"llama.cpp {' and '.join(found)}: such texts get other ids there" if found else ""


def read_config(path: Path) -> dict[str, Any]:
    """The arguments of transformers' LlamaConfig that describe the model of a GGUF file."""
    import gguf

    fields = gguf.GGUFReader(path).fields
    value = {name.removeprefix("llama."): field.contents() for name, field in fields.items()}
    return {
        "vocab_size": value["vocab_size"],
        "max_position_embeddings": value["context_length"],
        "hidden_size": value["embedding_length"],
        "num_hidden_layers": value["block_count"],
        "intermediate_size": value["feed_forward_length"],
        "num_attention_heads": value["attention.head_count"],
        "num_key_value_heads": value["attention.head_count_kv"],
        "head_dim": value["attention.key_length"],
        "rope_theta": value["rope.freq_base"],
        "rms_norm_eps": value["attention.layer_norm_rms_epsilon"],
        "tie_word_embeddings": False,
    }


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The weights of a GGUF file by transformers' names; tied embeddings are there twice."""
    import gguf

    reader = gguf.GGUFReader(path)
    heads = {"q_proj": read_config(path)["num_attention_heads"], "k_proj": read_config(path)["num_key_value_heads"]}
    stored = {tensor.name: torch.from_numpy(np.array(tensor.data)) for tensor in reader.tensors}
    tensors = {}
    for name, tensor in stored.items():
        theirs = _llama_name(name)
        part = theirs.split(".")[-2]
        tensors[theirs] = halves(tensor, heads[part]) if part in heads else tensor
    tensors.setdefault("lm_head.weight", tensors["model.embed_tokens.weight"])
    return tensors


def _llama_name(name: str) -> str:
    whole = {theirs: ours for ours, theirs in _NAMES.items()}
    if name in whole:
        return whole[name]
    parts = {theirs: ours for ours, theirs in _LAYER_NAMES.items()}
    _, layer, part, _ = name.split(".")
    return f"model.layers.{layer}.{parts[part]}.weight"


def _add_shape(writer: Any, shape: ModelShape) -> None:
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
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def _add_tokenizer(writer: Any, model: proto.Model, eod: int, vocabulary: int, alone: bool) -> None:
    import gguf

    padding = vocabulary - len(model.pieces)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([piece.text for piece in model.pieces] + [b"[PAD%d]" % n for n in range(padding)])
    writer.add_token_scores([piece.score for piece in model.pieces] + [_PADDING_SCORE] * padding)
    # SentencePiece and llama.cpp give the types of pieces the same numbers
    writer.add_token_types([piece.type for piece in model.pieces] + [int(gguf.TokenType.UNUSED)] * padding)
    unknown = [number for number, piece in enumerate(model.pieces) if piece.type == proto.UNKNOWN]
    if unknown:
        writer.add_unk_token_id(unknown[0])
    # a document begins after the EOD of the one before
    writer.add_bos_token_id(eod)
    writer.add_eos_token_id(eod)
    writer.add_add_bos_token(not alone)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(model.dummy_prefix)
    writer.add_remove_extra_whitespaces(model.remove_extra_whitespaces)
