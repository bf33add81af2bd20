"""What a new run on a GPU does where its options do not say otherwise: bf16 products, compiled blocks, and as many
sequences at once as its memory holds by the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from trainer.config.config import RunConfig
from trainer.config.cost import memory_bytes
from trainer.config.hardware import Hardware
from trainer.distributed.parallel import Gathering
from trainer.models.model import LanguageModel

_USED = 0.9
"""Share of a GPU's memory that a plan may fill: the allocator's holes, the compiler's and the libraries' own take more."""
_ENOUGH = 32768
"""Tokens at once from which on more of them make a GPU no faster."""


def gpu_defaults(config: RunConfig, asked: Mapping[str, Any], hardware: Hardware) -> RunConfig:
    """`config` with what a GPU wants for the settings of training that are not `asked` for; on a CPU as it is."""
    if hardware.kind != "cuda":
        return config
    training = config.training
    wanted: dict[str, Any] = {"precision": "bf16", "compile": True}
    training = replace(training, **{name: value for name, value in wanted.items() if name not in asked})
    config = replace(config, training=training)
    if "micro_batch_size" in asked:
        return config
    return replace(config, training=replace(training, micro_batch_size=fitting_rows(config, hardware)))


def fitting_rows(config: RunConfig, hardware: Hardware) -> int:
    """Sequences at once that fit by the plan: the largest equal parts of a rank's batch. One where not even that fits."""
    rows = -(-max(config.ramp.rows) // hardware.ranks)
    for parts in range(1, rows + 1):
        micro = -(-rows // parts)
        if micro > 1 and micro * config.data.sequence_length > _ENOUGH:
            continue
        if micro == 1 or planned_bytes(config, micro, hardware) <= _USED * hardware.memory:
            return micro
    return 1


def planned_bytes(config: RunConfig, micro: int, hardware: Hardware) -> int:
    """The memory of each rank with `micro` sequences at once."""
    planned = replace(config, training=replace(config.training, micro_batch_size=micro))
    return memory_bytes(planned, hardware)


def gathering(config: RunConfig, hardware: Hardware) -> Gathering:
    """How the ranks gather sharded weights: on GPUs in the numbers of the products, and once where memory allows."""
    if hardware.kind != "cuda" or not hardware.sharded:
        return Gathering()
    half = config.training.precision == "bf16"
    whole = LanguageModel.count(config.model).total * (2 if half else 4)
    kept = memory_bytes(config, hardware) + whole <= _USED * hardware.memory
    return Gathering(torch.bfloat16 if half else None, kept)
