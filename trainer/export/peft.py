"""Adapters and soft prompts as `peft` has them: a directory for `PeftModel.from_pretrained` over the exported base model.

The base is the export of the run that the fine-tuning began with (`trainer export --format hf`): names and shapes are those
of transformers' LLaMA.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from corpus.errors import UsageError
from trainer.checkpoints.checkpoint import Checkpoint
from trainer.config.config import RunConfig
from trainer.huggingface.llama import LLAMA
from trainer.huggingface.registry import layout_of
from trainer.models.finetuning.lora import A, B, layers_of
from trainer.models.finetuning.soft_prompt import NAME as SOFT_PROMPT
from trainer.models.model import LanguageModel

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MODULES = {
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "output": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
"""What transformers' LLaMA calls the matrices that can have adapters."""
_PREFIX = "base_model.model.model"


def write_peft(config: RunConfig, checkpoint: Checkpoint, directory: Path) -> None:
    """Write what a run has added to its model; a UsageError for one that trains all weights."""
    method = config.finetuning.method
    if method == "full":
        raise UsageError("the run trains all weights and has no adapters: give --format hf.")
    if method == "lora" and layout_of(config.model) is not LLAMA:
        raise UsageError(
            "adapters by themselves are written for LLaMA shapes: give --format hf, which holds them merged."
        )
    tensors = checkpoint.tensors("model")
    made, settings = (_lora if method == "lora" else _prompt)(config, tensors)
    save_file({name: tensor.contiguous() for name, tensor in made.items()}, directory / WEIGHTS, {"format": "pt"})
    common = {"base_model_name_or_path": None, "inference_mode": True, "task_type": "CAUSAL_LM"}
    text = json.dumps({**common, **settings}, indent=2, sort_keys=True)
    (directory / CONFIG).write_text(text + "\n", encoding="utf-8")
    # safetensors keeps its file to the owner
    shutil.copymode(directory / CONFIG, directory / WEIGHTS)


def _lora(config: RunConfig, tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    finetuning = config.finetuning
    with torch.device("meta"):
        layers = layers_of(LanguageModel(config.model), finetuning)
    made = {}
    for name, ranges in layers.items():
        layer = name.split(".")[1]
        for part in ranges:
            for ours, theirs in ((A, "lora_A"), (B, "lora_B")):
                made[f"{_PREFIX}.layers.{layer}.{MODULES[part]}.{theirs}.weight"] = tensors[f"{name}.{part}_{ours}"]
    return made, {
        "peft_type": "LORA",
        "r": finetuning.rank,
        "lora_alpha": finetuning.alpha,
        "use_rslora": finetuning.rank_stabilised,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "target_modules": sorted(MODULES[part].rpartition(".")[2] for part in finetuning.chosen),
    }


def _prompt(config: RunConfig, tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    shape = config.model
    return {"prompt_embeddings": tensors[SOFT_PROMPT]}, {
        "peft_type": "PROMPT_TUNING",
        "num_virtual_tokens": config.finetuning.prompt_tokens,
        "token_dim": shape.d_model,
        "num_transformer_submodules": 1,
        "num_attention_heads": shape.heads,
        "num_layers": shape.layers,
        "prompt_tuning_init": "RANDOM",
    }
