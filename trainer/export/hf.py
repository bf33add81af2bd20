"""A directory that `transformers` loads: weights, configuration, generation settings and tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from tokenizer import huggingface
from tokenizer.model import Tokenizer
from trainer.export.llama import llama_tensors
from trainer.models.model import LanguageModel
from trainer.models.shape import ModelShape


def hf_config(shape: ModelShape, eod: int) -> dict[str, Any]:
    """The value of `config.json`. A document begins after the EOD of the one before, so that EOD is BOS too."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": eod,
        "dtype": "float32",
        "eos_token_id": eod,
        "head_dim": shape.head_size,
        "hidden_act": "silu",
        "hidden_size": shape.d_model,
        "initializer_range": 0.02,
        "intermediate_size": shape.feed_forward,
        "max_position_embeddings": shape.sequence_length,
        "mlp_bias": False,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.n_kv_heads,
        "rms_norm_eps": shape.norm_epsilon,
        "rope_theta": shape.rope_base,
        "tie_word_embeddings": shape.tied,
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": shape.vocabulary,
    }


def write_hf(model: LanguageModel, eod: int, tokenizer_model: Path | None, directory: Path, alone: bool = False) -> str:
    """Write everything into `directory`, which exists; gives what is to be said about the tokenizer, or nothing.

    `alone`: the model saw each document by itself, and not after the EOD of the one before.
    """
    save_file(llama_tensors(model), directory / "model.safetensors", {"format": "pt"})
    _write_json(directory / "config.json", hf_config(model.shape, eod))
    _write_json(directory / "generation_config.json", {"bos_token_id": eod, "eos_token_id": eod})
    # safetensors keeps its file to the owner
    shutil.copymode(directory / "config.json", directory / "model.safetensors")
    if tokenizer_model is None:
        return "the run carries no tokenizer, so the export has none either"
    shutil.copyfile(tokenizer_model, directory / "tokenizer.model")
    tokenizer = Tokenizer.load(tokenizer_model)
    reason = huggingface.why_not(tokenizer.model) or huggingface.differences(tokenizer.model)
    if reason:
        return f"the export has no {huggingface.TOKENIZER_JSON}, since {reason}: encode with its tokenizer.model"
    piece = tokenizer.processor.id_to_piece(eod)
    # the symbol that the tokenizer was trained with for a beginning stands nowhere in what the model has seen
    huggingface.write(tokenizer_model, directory, piece, first_piece=None if alone else piece)
    return ""


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
