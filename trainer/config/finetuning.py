"""How papers fine-tuned, as settings of `trainer fit --preset`; what a user gives goes before them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from corpus.errors import UsageError
from corpus.option import nearest

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # Stanford Alpaca, README: LLaMA-7B, 3 epochs (of the packed set: corpus run alpaca), Hugging Face's AdamW and cosine
    "alpaca": {
        "optimizer.name": "adamw",
        "optimizer.lr": 2e-5,
        "optimizer.beta2": 0.999,
        "optimizer.weight_decay": 0.0,
        "schedule.name": "cosine",
        "schedule.warmup": 0.03,
        "schedule.final": 0.0,
        "training.batch_size": 128,
        "training.document_mask": True,
    },
    # the same README: LLaMA-13B, 5 epochs
    "alpaca-13b": {
        "optimizer.name": "adamw",
        "optimizer.lr": 1e-5,
        "optimizer.beta2": 0.999,
        "optimizer.weight_decay": 0.0,
        "schedule.name": "cosine",
        "schedule.warmup": 0.03,
        "schedule.final": 0.0,
        "training.batch_size": 128,
        "training.document_mask": True,
    },
    # tloen/alpaca-lora, finetune.py: 3 epochs of length 256; its adapters' dropout of 0.05 is left out
    "alpaca-lora": {
        "optimizer.name": "adamw",
        "optimizer.lr": 3e-4,
        "optimizer.beta2": 0.999,
        "optimizer.weight_decay": 0.0,
        "schedule.name": "linear",
        "schedule.warmup": 100,
        "schedule.final": 0.0,
        "training.batch_size": 128,
        "training.document_mask": True,
        "finetuning.method": "lora",
        "finetuning.rank": 8,
        "finetuning.alpha": 16.0,
        "finetuning.targets": ("query", "value"),
    },
    # PaLM, section 6.1.2 (rate, batch) and section 5 (dropout)
    "palm-finetuning": {
        "optimizer.name": "palm-adafactor",
        "optimizer.lr": 5e-5,
        "schedule.name": "constant",
        "schedule.warmup": 0,
        "training.batch_size": 32,
        "training.dropout": 0.1,
    },
}


def preset_settings(name: str) -> tuple[tuple[str, Any], ...]:
    """The settings of a preset; a UsageError names the nearest where there is none of that name."""
    if name not in PRESETS:
        raise UsageError(f"there is no preset '{name}': {nearest(name, PRESETS)}")
    return tuple(PRESETS[name].items())
