"""What a run will cost, from its configuration alone."""

from __future__ import annotations

from dataclasses import replace

import torch

from trainer.config.config import RunConfig
from trainer.config.families.registry import find_preset
from trainer.config.hardware import Hardware
from trainer.config.settings import preset_differences
from trainer.models.finetuning.adapt import adapt, trained
from trainer.models.loss import chunk_rows
from trainer.models.model import LanguageModel
from trainer.optim.optimizers import MOMENTS
from trainer.optim.schedules import length_of

_CPU = Hardware()
_FLOAT, _HALF = 4, 2


def memory_bytes(config: RunConfig, hardware: Hardware = _CPU) -> int:
    """About how much memory each rank holds: weights, gradients, moments, and what the backward pass needs."""
    shape, training = config.model, config.training
    half = training.precision == "bf16"
    parameters = LanguageModel.count(shape).total
    held = _FLOAT * (parameters + trained_parameters(config) * (1 + len(MOMENTS)))
    states = held // (hardware.ranks if hardware.sharded else 1)
    if hardware.offloaded:
        states = 0
    weights = parameters * _HALF if half else 0  # what the products take of the float32 weights
    if hardware.sharded:  # two blocks are whole at a time, the one at work and the next, and the ends
        block = (
            LanguageModel.count(replace(shape, layers=2)).total - LanguageModel.count(replace(shape, layers=1)).total
        )
        ends = parameters - shape.layers * block
        weights = 2 * block * (_HALF if half and hardware.kind == "cuda" else _FLOAT) + 2 * ends * _FLOAT
    tokens = min(training.micro_rows, -(-max(config.ramp.rows) // hardware.ranks)) * config.data.sequence_length
    activations = tokens * (_kept(config) * (_HALF if half else _FLOAT) + 4 * shape.d_model * _FLOAT)
    if training.document_mask and hardware.kind == "cpu":
        activations += tokens * config.data.sequence_length
    logits = (
        chunk_rows(tokens, shape.vocabulary, hardware.kind) * shape.vocabulary * (_FLOAT + (_HALF if half else _FLOAT))
    )
    return states + weights + activations + logits


def trained_parameters(config: RunConfig) -> int:
    """How many parameters are trained."""
    if config.finetuning.method == "full":
        return LanguageModel.count(config.model).total
    with torch.device("meta"):
        model = LanguageModel(config.model)
        adapt(model, config.finetuning)
    return sum(parameter.numel() for parameter in trained(model).values())


def _kept(config: RunConfig) -> int:
    """Numbers per token that the blocks keep for the backward pass; those of one block are there in any case."""
    shape, mode = config.model, config.training.activation_checkpointing
    # up, and of a gated layer the gate, the gate's function and the product
    fed = (4 if shape.gated else 2) * shape.feed_forward
    block = 6 * shape.d_model + 4 * shape.query_width + 4 * shape.key_width + fed
    if shape.positions == "transformer-xl":  # scores by distance, in place, masked and their weights
        block += 4 * shape.heads * config.data.sequence_length
    elif shape.positions == "t5":
        block += 2 * shape.heads * config.data.sequence_length
    if mode == "none":
        return shape.layers * block
    linear = 2 * shape.d_model + 2 * shape.query_width + 2 * shape.key_width + fed // 2
    return shape.layers * (shape.d_model + (linear if mode == "selective" else 0)) + block


def plan_lines(config: RunConfig, hardware: Hardware = _CPU) -> list[str]:
    """The plan as lines to print."""
    shape, training, ramp = config.model, config.training, config.ramp
    rows, tokens = ramp.rows_before(training.steps), config.tokens_after(training.steps)
    flops = tokens * LanguageModel.flops_per_token(shape, config.data.sequence_length)
    parameters = LanguageModel.count(shape).total
    learned = trained_parameters(config)
    checkpoint = learned * _FLOAT * (1 + len(MOMENTS))
    sizes = f"{ramp} sequences" if len(ramp.rows) > 1 else f"of {training.batch_size:,} sequences"
    micro = "" if training.micro_rows >= max(ramp.rows) else f", {training.micro_rows:,} at once"
    memory, each = memory_bytes(config, hardware), " a rank" if hardware.ranks > 1 else ""
    spare = shape.vocabulary - config.data.vocabulary
    padded = f", {spare:,} more than the tokenizer's" if spare and find_preset(config.name).fixed else ""
    lines = [
        f"model       {config.name}: {parameters:,} parameters, vocabulary {shape.vocabulary:,}{padded}",
        f"data        {config.data.rows:,} sequences of {config.data.sequence_length:,} tokens; the run reads {rows:,}",
        f"steps       {training.steps:,} {sizes}{micro}; {tokens:,} tokens in all",
        f"optimizer   {config.optimizer.name}, peak rate {config.optimizer.lr:g}, {config.schedule.name} schedule",
        f"spikes      {_spike_line(config)}",
        f"cost        {flops:.3g} FLOPs, about {memory / 1e6:,.0f} MB of memory{each}, "
        f"{checkpoint / 1e6:,.0f} MB per checkpoint",
    ]
    if config.initial:
        lines.append(f"begins      with the weights {config.initial} of --init-from")
    if config.finetuning.method != "full":
        lines.append(
            f"trained     {_method(config)}: {learned:,} parameters, {learned / parameters:.2%} of the model's"
        )
    lines += [f"differs     {line}" for line in preset_differences(config)]
    if 0 < hardware.memory < memory:
        lines.append(
            f"note        that is more than the {hardware.memory / 1e6:,.0f} MB of the device: give "
            "--set training.activation_checkpointing=selective (or full), or more ranks with --parallel fsdp"
        )
    warmup = length_of(config.schedule.warmup, training.steps)
    if warmup >= training.steps:
        lines.append(
            f"note        the warm-up of {warmup:,} steps is not over when the run ends: for the peak rate give "
            "--set schedule.warmup=0.02, which is 2 % of the steps, or more --steps"
        )
    return lines


def _method(config: RunConfig) -> str:
    finetuning = config.finetuning
    if finetuning.method == "prompt":
        return f"a soft prompt of {finetuning.prompt_tokens} vectors"
    return f"adapters of rank {finetuning.rank}, scale {finetuning.scale:g}, on {', '.join(finetuning.chosen)}"


def _spike_line(config: RunConfig) -> str:
    spikes, steps = config.spikes, config.training.steps
    if spikes.mode != "rewind":
        return spikes.mode
    spare = config.data.rows - config.ramp.rows_before(steps)
    batches = spikes.batches_skipped(steps)
    enough = spare // max(1, batches * config.ramp.rows_at(steps))
    kept = f"{spare:,} sequences in reserve" if enough else f"{spare:,} sequences in reserve, so each shortens the run"
    return (
        f"go back {spikes.steps_back(steps):,} steps, skip {batches:,} batches, at most {spikes.max_rewinds} times in "
        f"{spikes.budget_steps:,} steps, then {spikes.exhausted}; {kept}"
    )
