"""The shape of a plan, and what it takes of GPU memory."""

from __future__ import annotations

from collections.abc import Iterator

from trainer.config.gpus import find_gpu, memory_of
from trainer.models.count import count_model
from trainer.models.shape import ModelShape
from trainer.science.family_shape import FamilyShape, shape_for
from trainer.science.plan import Plan

_MOST = 1 << 17
_CHUNK = 1024
"""Positions whose logits are there at once."""
_FREE = 0.9
"""Share of a GPU's memory that a training can use."""


def memory_on(shape: ModelShape, gpus: int, checkpointing: str) -> float:
    """Bytes on each of `gpus` for one sequence at once in bf16, everything sharded (ZeRO stage 3, FSDP).

    16 bytes a parameter of weights, gradients and two moments in float32, divided; the largest block or embedding whole, in
    float32 and bf16; activations of 34·s·h bytes a layer with fused attention, or with `checkpointing` full 2·s·h and one
    layer's (Korthikanti et al. 2022, arXiv 2205.05198, equation 2); logits and their gradient of a thousand positions.
    """
    parameters = count_model(shape).total
    ends = shape.vocabulary * shape.d_model
    block = (parameters - (1 if shape.tied else 2) * ends) / shape.layers
    layer = 34.0 * shape.sequence_length * shape.d_model
    kept = 2.0 * shape.sequence_length * shape.d_model * shape.layers + layer
    activations = layer * shape.layers if checkpointing == "none" else kept
    logits = min(_CHUNK, shape.sequence_length) * shape.vocabulary * 8.0
    whole = 6.0 * max(block, ends) if gpus > 1 else 2.0 * parameters
    return 16.0 * parameters / gpus + whole + activations + logits


def least_gpus(shape: ModelShape, gpu: str, checkpointing: str) -> int | None:
    """The least power of two of GPUs that hold the training; None where none does."""
    gpus = 1
    while gpus <= _MOST:
        if memory_on(shape, gpus, checkpointing) <= _FREE * memory_of(gpu):
            return gpus
        gpus *= 2
    return None


def footprint_lines(plan: Plan) -> Iterator[str]:
    """The shape as settings of `trainer fit`, and the GPUs that it needs."""
    options, gpu = plan.options, find_gpu(plan.options.gpu)
    found = _shape(plan)
    yield (
        f"shape: {found.parameters:,} parameters in the proportions of {found.name}: --model {found.name} "
        + " ".join(f"--set {setting}" for setting in found.settings())
    )
    for checkpointing in ("none", "full"):
        gpus = options.gpus or least_gpus(found.shape, gpu, checkpointing)
        if gpus is None:
            yield f"memory: no number of {gpu} holds it with activation checkpointing {checkpointing}"
            continue
        need = memory_on(found.shape, gpus, checkpointing)
        fits = "" if need <= _FREE * memory_of(gpu) else f": more than {_FREE:.0%} of its {memory_of(gpu) / 1e9:.0f} GB"
        yield (
            f"memory: {need / 1e9:,.1f} GB on each of {gpus:,} {gpu} (FSDP, bf16, one sequence of "
            f"{options.sequence_length:,} at once, activation checkpointing {checkpointing}), "
            f"{plan.gpu_hours / gpus:,.3g} hours{fits}"
        )


def footprint_json(plan: Plan) -> dict[str, object]:
    """The same for programs."""
    found, gpu = _shape(plan), find_gpu(plan.options.gpu)
    gpus = {mode: plan.options.gpus or least_gpus(found.shape, gpu, mode) for mode in ("none", "full")}
    return {
        "model": found.name,
        "parameters": found.parameters,
        "settings": found.settings(),
        "memory": {
            mode: None if n is None else {"gpus": n, "bytes": memory_on(found.shape, n, mode)}
            for mode, n in gpus.items()
        },
    }


def _shape(plan: Plan) -> FamilyShape:
    found = shape_for(plan.options.model, plan.chosen.parameters, plan.options.vocabulary)
    return FamilyShape(found.name, found.at_length(plan.options.sequence_length))
