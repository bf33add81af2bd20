"""From what a user asks for to the configuration of a run: preset, packed set, options and `--set` together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from corpus.errors import UsageError
from trainer.config.config import SECTIONS, RunConfig, TrainingConfig
from trainer.config.families.preset import Preset
from trainer.config.families.registry import family_digest, find_preset
from trainer.config.gpu_defaults import gpu_defaults
from trainer.config.hardware import Hardware
from trainer.config.options import CHECKPOINT, FitOptions
from trainer.config.settings import parse_settings
from trainer.data.batch_ramp import BatchRamp, parse_ramp
from trainer.data.validation_sets import DataIdentity
from trainer.models.finetuning.config import FineTuningConfig, check_room
from trainer.models.model import LanguageModel
from trainer.models.shape import ModelShape, round_up
from trainer.spikes.detector import SpikeConfig

_CPU = Hardware()
_RESERVE = 50
"""One update in so many is kept for rewinds where no length is given."""


class Initial(Protocol):
    """The weights that a run begins with, as far as they decide its configuration."""

    @property
    def digest(self) -> str:
        """Their identity."""

    def shape(self, overrides: Mapping[str, Any]) -> ModelShape:
        """The shape of their model, with these settings of it."""


def resolve_config(
    options: FitOptions,
    data: DataIdentity,
    validation: Mapping[str, DataIdentity],
    skip_log: str = "",
    initial: Initial | None = None,
    hardware: Hardware = _CPU,
) -> RunConfig:
    """The run that `options` describes on this data; a UsageError says in one sentence what does not fit.

    `skip_log`: the digest of a skip log that is replayed; `initial`: the weights of --init-from, whose shape it then has;
    `hardware`: what the run begins on, which decides what the options leave open.
    """
    preset = find_preset(options.model)
    overrides = asked_settings(options)
    if initial is not None:
        shape = _initial_shape(options, initial, data, overrides["model"])
    elif options.model == CHECKPOINT:
        raise UsageError(f"the model '{CHECKPOINT}' is that of --init-from DIR: give it, or the name of a model.")
    else:
        shape = _shape(options.model, preset, data, overrides["model"])
    finetuning = FineTuningConfig(**overrides["finetuning"])
    if finetuning.method != "full" and initial is None:
        raise UsageError(
            f"finetuning.method={finetuning.method} trains nothing but what it adds to a model: give that as --init-from."
        )
    check_room(shape, finetuning, data.sequence_length)
    spikes = SpikeConfig(**overrides["spikes"])
    asked = dict(overrides["training"])
    training = _training(options, preset, data, overrides["training"], spikes)
    check_validation(data, validation)
    config = RunConfig(
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
        "" if initial is None else initial.digest,
        finetuning,
    )
    return gpu_defaults(config, asked, hardware)


def asked_settings(options: FitOptions) -> dict[str, dict[str, Any]]:
    """The settings that the options name, by section and field; the length of the run is not among them."""
    asked = parse_settings(options.settings, SECTIONS)
    for name in ("batch_size", "micro_batch_size", "validate_every", "precision", "seed"):
        if getattr(options, name) is not None:
            asked["training"][name] = getattr(options, name)
    if options.document_mask:
        asked["training"]["document_mask"] = True
    if asked["schedule"].get("start"):
        raise UsageError("schedule.start is no setting to give: --on-change restart-warmup begins the schedule again.")
    if {"batch_size", "batch_ramp"} <= asked["training"].keys() and asked["training"]["batch_ramp"]:
        raise UsageError("training.batch_ramp and --batch-size both say how large a batch is: give one of them.")
    return asked


def check_validation(data: DataIdentity, validation: Mapping[str, DataIdentity]) -> None:
    """A UsageError where a validation set does not fit the training data."""
    for name, identity in validation.items():
        if identity.tokenizer != data.tokenizer or identity.sequence_length != data.sequence_length:
            raise UsageError(
                f"the validation set '{name}' has another tokenizer or sequence length than the training data: "
                "pack it with the same --tokenizer and --sequence-length."
            )


def asked_steps(options: FitOptions, ramp: BatchRamp, sequence_length: int) -> int | None:
    """The number of updates that --steps or --tokens ask for."""
    if options.steps is not None and options.tokens is not None:
        raise UsageError("--steps and --tokens say the same thing twice: give one of them.")
    if options.tokens is not None:
        return ramp.steps_for(-(-options.tokens // sequence_length))
    return options.steps


def check_length(steps: int, ramp: BatchRamp, data: DataIdentity) -> None:
    """A UsageError where the packed set has too few sequences for a run of `steps` updates."""
    available = ramp.steps_in(data.rows)
    if steps > available or available == 0:
        wanted = max(steps, 1)
        raise UsageError(
            f"{wanted:,} steps of {ramp.rows_at(wanted):,} sequences need {ramp.rows_before(wanted):,} of them and the "
            f"packed set has {data.rows:,} (enough for {available:,} steps): re-mix with a larger budget (corpus mix "
            "--tokens), or ask for fewer."
        )


def _shape(name: str, preset: Preset, data: DataIdentity, overrides: Mapping[str, Any]) -> ModelShape:
    shape = preset.shape
    if not preset.fixed:
        shape = replace(shape, vocabulary=round_up(data.vocabulary), sequence_length=data.sequence_length)
    shape = replace(shape, **overrides)
    LanguageModel.check(shape)
    if shape.vocabulary < data.vocabulary:
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


def _initial_shape(
    options: FitOptions, initial: Initial, data: DataIdentity, overrides: Mapping[str, Any]
) -> ModelShape:
    shape = initial.shape(overrides)
    if shape.vocabulary < data.vocabulary:
        raise UsageError(
            f"{options.init_from} has a vocabulary of {shape.vocabulary:,} and the packed set one of {data.vocabulary:,}: "
            "pack it with the model's tokenizer, or add rows, at first the mean of the others, with "
            f"--set model.vocabulary={round_up(data.vocabulary)}."
        )
    if shape.sequence_length < data.sequence_length:
        raise UsageError(
            f"{options.init_from} has sequences of {shape.sequence_length:,} tokens and the packed set "
            f"{data.sequence_length:,}: mix with --sequence-length {shape.sequence_length}, or set model.sequence_length "
            "(of learned positions there are no more)."
        )
    return shape


def _training(
    options: FitOptions, preset: Preset, data: DataIdentity, overrides: dict[str, Any], spikes: SpikeConfig
) -> TrainingConfig:
    ramp = _ramp(preset, data, overrides)
    overrides.setdefault("z_loss", preset.z_loss)
    overrides.setdefault("dropout", preset.dropout)
    asked = asked_steps(options, ramp, data.sequence_length)
    if asked is not None:
        overrides["steps"] = asked
    steps = overrides.setdefault("steps", default_steps(ramp, data.rows, spikes))
    check_length(steps, ramp, data)
    return TrainingConfig(**overrides)


def _ramp(preset: Preset, data: DataIdentity, overrides: dict[str, Any]) -> BatchRamp:
    """The ramp; `overrides` gets its text and its first size."""
    if "batch_ramp" not in overrides and "batch_size" not in overrides:
        overrides["batch_ramp"] = preset.batch_ramp
    size = overrides.setdefault("batch_size", preset.batch_size)
    if size < 1:
        raise UsageError(f"training.batch_size is {size}: give a number of at least 1.")
    ramp = parse_ramp(overrides.get("batch_ramp", ""), size, data.sequence_length)
    overrides["batch_size"] = ramp.rows[0]
    return ramp


def default_steps(ramp: BatchRamp, rows: int, spikes: SpikeConfig) -> int:
    """One reading of the set, less at most 2 % of its updates at the end, which a rewind can take."""
    steps = ramp.steps_in(rows)
    return steps - steps // _RESERVE if spikes.mode == "rewind" and spikes.max_rewinds else steps
