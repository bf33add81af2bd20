"""From what a user asks for to the configuration of a run: preset, packed set, options and `--set` together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from corpus.errors import UsageError
from trainer.config.config import SECTIONS, RunConfig, TrainingConfig
from trainer.config.families.preset import Preset
from trainer.config.families.registry import family_digest, find_preset
from trainer.config.options import FitOptions
from trainer.config.settings import parse_settings
from trainer.data.batch_ramp import BatchRamp, parse_ramp
from trainer.data.validation_sets import DataIdentity
from trainer.models.model import LanguageModel
from trainer.models.shape import ModelShape, round_up
from trainer.spikes.detector import SpikeConfig


def resolve_config(
    options: FitOptions, data: DataIdentity, validation: Mapping[str, DataIdentity], skip_log: str = ""
) -> RunConfig:
    """The run that `options` describes on this data; a UsageError says in one sentence what does not fit.

    `skip_log`: the digest of a skip log that is replayed.
    """
    preset = find_preset(options.model)
    overrides = parse_settings(options.settings, SECTIONS)
    for name in ("batch_size", "micro_batch_size", "validate_every", "precision", "seed"):
        if getattr(options, name) is not None:
            overrides["training"][name] = getattr(options, name)
    if options.document_mask:
        overrides["training"]["document_mask"] = True
    shape = _shape(options.model, preset, data, overrides["model"])
    spikes = SpikeConfig(**overrides["spikes"])
    training = _training(options, preset, data, overrides["training"], spikes)
    for name, identity in validation.items():
        if identity.tokenizer != data.tokenizer or identity.sequence_length != data.sequence_length:
            raise UsageError(
                f"the validation set '{name}' has another tokenizer or sequence length than the training data: "
                "pack it with the same --tokenizer and --sequence-length."
            )
    return RunConfig(
        options.model,
        shape,
        replace(preset.optimizer, **overrides["optimizer"]),
        replace(preset.schedule, **overrides["schedule"]),
        training,
        spikes,
        data,
        {name: identity.digest for name, identity in sorted(validation.items())},
        skip_log,
        family_digest(options.model),
    )


def _shape(name: str, preset: Preset, data: DataIdentity, overrides: Mapping[str, Any]) -> ModelShape:
    shape = preset.shape
    if not preset.fixed:
        shape = replace(shape, vocabulary=round_up(data.vocabulary), sequence_length=data.sequence_length)
    shape = replace(shape, **overrides)
    LanguageModel.check(shape)
    if shape.vocabulary < data.vocabulary or (preset.fixed and shape.vocabulary != data.vocabulary):
        raise UsageError(
            f"{name} has a vocabulary of {shape.vocabulary:,} and the packed set one of {data.vocabulary:,}: "
            f"train a tokenizer with --vocab-size {shape.vocabulary}, or set model.vocabulary to {data.vocabulary}."
        )
    if shape.sequence_length < data.sequence_length or (preset.fixed and shape.sequence_length != data.sequence_length):
        raise UsageError(
            f"{name} has sequences of {shape.sequence_length:,} tokens and the packed set {data.sequence_length:,}: "
            f"mix with --sequence-length {shape.sequence_length}, or set model.sequence_length."
        )
    return shape


def _training(
    options: FitOptions, preset: Preset, data: DataIdentity, overrides: dict[str, Any], spikes: SpikeConfig
) -> TrainingConfig:
    ramp = _ramp(preset, data, overrides)
    overrides.setdefault("z_loss", preset.z_loss)
    available = ramp.steps_in(data.rows)
    if options.steps is not None and options.tokens is not None:
        raise UsageError("--steps and --tokens say the same thing twice: give one of them.")
    if options.tokens is not None:
        overrides["steps"] = ramp.steps_for(-(-options.tokens // data.sequence_length))
    elif options.steps is not None:
        overrides["steps"] = options.steps
    steps = overrides.setdefault("steps", _steps_with_reserve(ramp, data.rows, spikes))
    if steps > available or available == 0:
        wanted = max(steps, 1)
        raise UsageError(
            f"{wanted:,} steps of {ramp.rows_at(wanted):,} sequences need {ramp.rows_before(wanted):,} of them and the "
            f"packed set has {data.rows:,} (enough for {available:,} steps): re-mix with a larger budget (corpus mix "
            "--tokens), or ask for fewer."
        )
    return TrainingConfig(**overrides)


def _ramp(preset: Preset, data: DataIdentity, overrides: dict[str, Any]) -> BatchRamp:
    """The ramp; `overrides` gets its text and its first size."""
    if "batch_ramp" in overrides:
        if overrides["batch_ramp"] and "batch_size" in overrides:
            raise UsageError("training.batch_ramp and --batch-size both say how large a batch is: give one of them.")
    elif "batch_size" not in overrides:
        overrides["batch_ramp"] = preset.batch_ramp
    size = overrides.setdefault("batch_size", preset.batch_size)
    if size < 1:
        raise UsageError(f"training.batch_size is {size}: give a number of at least 1.")
    ramp = parse_ramp(overrides.get("batch_ramp", ""), size, data.sequence_length)
    overrides["batch_size"] = ramp.rows[0]
    return ramp


def _steps_with_reserve(ramp: BatchRamp, rows: int, spikes: SpikeConfig) -> int:
    """The most steps that leave the sequences for their rewinds."""
    low, high = 0, ramp.steps_in(rows)
    while low < high:
        middle = (low + high + 1) // 2
        if ramp.rows_before(middle) + reserve_rows(ramp, middle, spikes) <= rows:
            low = middle
        else:
            high = middle - 1
    return low or ramp.steps_in(rows)


def reserve_rows(ramp: BatchRamp, steps: int, spikes: SpikeConfig) -> int:
    """Sequences that a run of `steps` keeps in reserve for its rewinds, at the size of its last batches."""
    return spikes.reserve(steps) * ramp.rows_at(max(1, steps))
