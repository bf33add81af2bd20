"""What a run will cost, from its configuration alone."""

from __future__ import annotations

from trainer.config import RunConfig, preset_differences
from trainer.loss import CHUNK_LOGITS
from trainer.models.presets import find_preset

_FLOAT = 4


def memory_bytes(config: RunConfig) -> int:
    """About how much memory the run holds: weights, gradients, moments, and what the backward pass needs."""
    shape, training = config.model, config.training
    states = shape.parameters * _FLOAT * (2 + config.optimizer.moments)
    per_layer = 6 * shape.width + 4 * shape.query_width + 4 * shape.key_width + 4 * shape.feed_forward
    tokens = training.micro_rows * config.data.sequence_length
    activations = tokens * (shape.layers * per_layer + 4 * shape.width) * _FLOAT
    if training.document_mask:
        activations += tokens * config.data.sequence_length
    logits = 2 * min(CHUNK_LOGITS, tokens * shape.vocabulary) * _FLOAT
    return states + activations + logits


def plan_lines(config: RunConfig) -> list[str]:
    """The plan as lines to print."""
    shape, training = config.model, config.training
    tokens = training.steps * config.tokens_per_step
    flops = tokens * shape.flops_per_token(config.data.sequence_length)
    checkpoint = shape.parameters * _FLOAT * (1 + config.optimizer.moments)
    micro = "" if training.micro_rows == training.batch_size else f", {training.micro_rows:,} at once"
    lines = [
        f"model       {config.name}: {shape.parameters:,} parameters, vocabulary {shape.vocabulary:,}",
        f"data        {config.data.rows:,} rows of {config.data.sequence_length:,} tokens; the run reads "
        f"{training.steps * training.batch_size:,}",
        f"steps       {training.steps:,} of {training.batch_size:,} rows = {config.tokens_per_step:,} tokens{micro}; "
        f"{tokens:,} in all",
        f"optimizer   {config.optimizer.name}, peak rate {config.optimizer.lr:g}, {config.schedule.name} schedule",
        f"cost        {flops:.3g} FLOPs, about {memory_bytes(config) / 1e6:,.0f} MB of memory, "
        f"{checkpoint / 1e6:,.0f} MB per checkpoint",
    ]
    usual = find_preset(config.name).batch_size
    if training.batch_size != usual:
        lines.append(f"differs     training.batch_size = {training.batch_size} (preset: {usual})")
    return lines + [f"differs     {line}" for line in preset_differences(config)]
