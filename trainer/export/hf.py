"""A directory that `transformers` loads: weights, configuration, generation settings and tokenizer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from tokenizer import huggingface
from tokenizer.model import Tokenizer
from trainer.export.request import ExportRequest
from trainer.huggingface.layout import Layout, to_theirs
from trainer.huggingface.registry import layout_of
from trainer.models.model import LanguageModel
from trainer.models.shape import ModelShape

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def hf_config(
    layout: Layout, shape: ModelShape, eod: int, dtype: str = "float32", bos: int | None = None
) -> dict[str, Any]:
    """The value of `config.json`. Without a BOS a document begins after the EOD of the one before, which is BOS too then."""
    return {
        "architectures": [layout.architecture],
        "model_type": layout.model_type,
        "bos_token_id": eod if bos is None else bos,
        "dtype": dtype,
        "eos_token_id": eod,
        "torch_dtype": dtype,
        "use_cache": True,
        **layout.to_config(shape),
    }


def write_hf(model: LanguageModel, request: ExportRequest, directory: Path) -> str:
    """Write everything into `directory`, which exists; gives what is to be said about the tokenizer, or nothing."""
    layout = layout_of(model.shape)
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    tensors = to_theirs(layout, model.shape, weights)
    if request.dtype == "bf16":
        tensors = {name: tensor.bfloat16() for name, tensor in tensors.items()}
    dtype = "bfloat16" if request.dtype == "bf16" else "float32"
    _write_json(directory / "config.json", hf_config(layout, model.shape, request.eod, dtype, request.bos))
    _write_json(directory / "generation_config.json", {"bos_token_id": request.first, "eos_token_id": request.eod})
    _write_weights(tensors, request.shard_bytes, directory)
    if request.tokenizer is None:
        return "the run carries no tokenizer, so the export has none either"
    write = _write_library_tokenizer if request.tokenizer.suffix == ".json" else _write_sentencepiece
    return write(request.tokenizer, request, directory)


def _write_sentencepiece(model: Path, request: ExportRequest, directory: Path) -> str:
    shutil.copyfile(model, directory / "tokenizer.model")
    tokenizer = Tokenizer.load(model)
    reason = huggingface.why_not(tokenizer.model) or huggingface.differences(tokenizer.model)
    if reason:
        return f"the export has no {huggingface.TOKENIZER_JSON}, since {reason}: encode with its tokenizer.model"
    piece, first = map(tokenizer.processor.id_to_piece, (request.eod, request.first))
    # where documents were packed without a BOS, the one that the tokenizer names stands nowhere in what the model has seen
    huggingface.write(model, directory, piece, first_piece=first if request.begun else None)
    return ""


def _write_library_tokenizer(file: Path, request: ExportRequest, directory: Path) -> str:
    """A `tokenizer.json` as it is, but that it puts before a text what the model has seen there, whatever its own template."""
    value = json.loads(file.read_text(encoding="utf-8"))
    names = {token["id"]: token["content"] for token in value["added_tokens"]}
    piece, first = names[request.eod], names[request.first]
    value["post_processor"] = huggingface.template(first, request.first) if request.begun else None
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": piece,
        **({"bos_token": first} if request.begun else {}),
        "add_bos_token": request.begun,
        "add_eos_token": False,
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    for name, content in ((huggingface.TOKENIZER_JSON, value), (huggingface.CONFIG_JSON, config)):
        (directory / name).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
    return ""


def _write_weights(tensors: Mapping[str, Tensor], shard_bytes: int, directory: Path) -> None:
    """One file, or files of at most `shard_bytes` (a tensor that is larger has one of its own) and their index."""
    shards = list(_shards(tensors, shard_bytes))
    where: dict[str, str] = {}
    for number, names in enumerate(shards, 1):
        file = WEIGHTS if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file({name: tensors[name].contiguous() for name in names}, directory / file, {"format": "pt"})
        # safetensors keeps its file to the owner
        shutil.copymode(directory / "config.json", directory / file)
        where |= dict.fromkeys(names, file)
    if len(shards) > 1:
        total = sum(map(_bytes, tensors.values()))
        _write_json(directory / INDEX, {"metadata": {"total_size": total}, "weight_map": where})


def _shards(tensors: Mapping[str, Tensor], shard_bytes: int) -> Iterator[list[str]]:
    """The names of the tensors of each file, in order."""
    names: list[str] = []
    size = 0
    for name, tensor in tensors.items():
        if names and size + _bytes(tensor) > shard_bytes:
            yield names
            names, size = [], 0
        names.append(name)
        size += _bytes(tensor)
    yield names


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
