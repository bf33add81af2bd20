"""The resolved configuration of a run: preset, packed set, options and `--set` together, and nothing of where it lies."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from corpus.data.files import digest_of
from corpus.errors import UsageError
from corpus.option import option, option_required
from trainer.config.families.registry import Preset, find_preset
from trainer.config.options import FitRequest
from trainer.config.settings import parse_settings
from trainer.data.batch_ramp import BatchRamp, parse_ramp
from trainer.data.packed import DataIdentity
from trainer.data.rows import RowRange, rows_left
from trainer.models.shape import ModelShape, round_up
from trainer.optim.optimizers import OptimizerConfig
from trainer.optim.schedules import ScheduleConfig
from trainer.spikes.detector import SpikeConfig

_SEEDS = 1 << 63
"""Seeds that torch's generators and 64-bit hashes take."""


@dataclass(frozen=True)
class TrainingConfig:
    """What a step is and how many there are."""

    steps: int = option_required("number of updates")
    batch_size: int = option_required("rows of one update; with a batch_ramp those of the first")
    batch_ramp: str = option(
        "", "rows of an update from given updates or tokens on: 0:512,50000:1024 or 0:512,25B:1024"
    )
    micro_batch_size: int = option(0, "rows that go through the model at once; 0: the whole batch")
    z_loss: float = option(0.0, "weight of log²Z in the loss (PaLM: 1e-4); 0: none")
    document_mask: bool = option(False, "let tokens attend within their own document only")
    precision: str = option("fp32", "arithmetic of the model; weights are float32", choices=("fp32", "bf16"))
    seed: int = option(0, "seed of the first weights and of dropout")
    dropout: float = option(0.0, "share of activations that are dropped (0 in pretraining; PaLM's fine-tuning: 0.1)")
    compile: bool = option(False, "compile the blocks with torch.compile; compiled and eager bits differ")
    recompute: str = option(
        "none",
        "activations made again in the backward pass: none, all but the linear outputs, or all",
        choices=("none", "selective", "full"),
    )
    validate_every: int = option(0, "evaluate every this many steps; 0: at the end only")

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"training.{name} is {getattr(self, name)}: give a number of at least 1.")
        for name in ("micro_batch_size", "z_loss", "seed", "validate_every"):
            if getattr(self, name) < 0:
                raise UsageError(f"training.{name} is {getattr(self, name)}: give a number of at least 0.")
        if self.seed >= _SEEDS:
            raise UsageError(f"training.seed is {self.seed}: give a number below 2**63.")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"training.dropout is {self.dropout}: give a number in [0, 1).")

    @property
    def micro_rows(self) -> int:
        """Most rows that go through the model at once; 0 stands for the whole batch of the first update."""
        return self.micro_batch_size or self.batch_size


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the weights and the measurements of a run."""

    name: str
    model: ModelShape
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    training: TrainingConfig
    spikes: SpikeConfig
    data: DataIdentity
    validation: Mapping[str, str]
    ledger: str = ""

    def to_json(self) -> dict[str, Any]:
        """The contents of `config.json`."""
        return {"kind": "run", "format": 1, **asdict(self)}

    @property
    def digest(self) -> str:
        """Identity of the run's configuration."""
        return digest_of(self.to_json())

    @cached_property
    def ramp(self) -> BatchRamp:
        """Rows of each update."""
        training = self.training
        return parse_ramp(training.batch_ramp, training.batch_size, self.data.sequence_length)

    def tokens_after(self, steps: int) -> int:
        """Target tokens of the first `steps` updates."""
        return self.ramp.rows_before(steps) * self.data.sequence_length

    def steps_with(self, holes: Sequence[RowRange]) -> int:
        """Updates that the run makes where it passes over `holes`: as planned, or as many as the other rows allow."""
        return min(self.training.steps, self.ramp.steps_in(rows_left(self.data.rows, 0, holes)))


_SECTIONS: Mapping[str, type[Any]] = {
    "model": ModelShape,
    "optimizer": OptimizerConfig,
    "schedule": ScheduleConfig,
    "training": TrainingConfig,
    "spikes": SpikeConfig,
}


def resolve_config(
    request: FitRequest, data: DataIdentity, validation: Mapping[str, DataIdentity], ledger: str = ""
) -> RunConfig:
    """The run that `request` describes on this data; a UsageError says in one sentence what does not fit.

    `ledger`: the digest of a ledger that is replayed.
    """
    preset = find_preset(request.model)
    overrides = parse_settings(request.settings, _SECTIONS)
    for name in ("batch_size", "micro_batch_size", "validate_every", "precision", "seed"):
        if getattr(request, name) is not None:
            overrides["training"][name] = getattr(request, name)
    if request.document_mask:
        overrides["training"]["document_mask"] = True
    shape = _shape(request.model, preset, data, overrides["model"])
    spikes = SpikeConfig(**overrides["spikes"])
    training = _training(request, preset, data, overrides["training"], spikes)
    for name, identity in validation.items():
        if identity.tokenizer != data.tokenizer or identity.sequence_length != data.sequence_length:
            raise UsageError(
                f"the validation set '{name}' has another tokenizer or sequence length than the training data: "
                "pack it with the same --tokenizer and --sequence-length."
            )
    return RunConfig(
        request.model,
        shape,
        replace(preset.optimizer, **overrides["optimizer"]),
        replace(preset.schedule, **overrides["schedule"]),
        training,
        spikes,
        data,
        {name: identity.digest for name, identity in sorted(validation.items())},
        ledger,
    )


_OF_PRESET = {"model", "optimizer", "schedule", "training.batch_size", "training.batch_ramp", "training.z_loss"}
"""Sections and keys whose values a preset gives."""
_OF_DATA = {"model.vocabulary", "model.sequence_length"}
"""Keys whose values follow the packed set, unless the preset is fixed."""


def setting_lines(name: str | None = None) -> list[str]:
    """Every key of `--set` with its value where none is given and its doc; values of a model's preset by its `name`."""
    preset = None if name is None else find_preset(name)
    of_preset: dict[str, Any] = {} if preset is None else {k: getattr(preset, k) for k in ("optimizer", "schedule")}
    if preset is not None:
        usual = TrainingConfig(1, preset.batch_size, batch_ramp=preset.batch_ramp, z_loss=preset.z_loss)
        of_preset |= {"model": preset.shape, "training": usual}
    lines = []
    for section, kind in _SECTIONS.items():
        for field in dataclasses.fields(kind):
            key = f"{section}.{field.name}"
            value: object = getattr(of_preset.get(section), field.name, field.default)
            if key == "training.steps":
                value = "one pass"
            elif preset is None and (section in _OF_PRESET or key in _OF_PRESET):
                value = "the model's"
            elif key in _OF_DATA and preset is not None and not preset.fixed:
                value = "the data's"
            choices = field.metadata["choices"]
            doc = field.metadata["doc"] + (f" ({', '.join(choices)})" if choices else "")
            lines.append(f"{key:<27} {str(value).lower() or '-':<20} {doc}")
    return lines


def _shape(name: str, preset: Preset, data: DataIdentity, overrides: Mapping[str, Any]) -> ModelShape:
    shape = preset.shape
    if not preset.fixed:
        shape = replace(shape, vocabulary=round_up(data.vocabulary), sequence_length=data.sequence_length)
    shape = replace(shape, **overrides)
    if shape.vocabulary < data.vocabulary or (preset.fixed and shape.vocabulary != data.vocabulary):
        raise UsageError(
            f"{name} has a vocabulary of {shape.vocabulary:,} and the packed set one of {data.vocabulary:,}: "
            f"train a tokenizer with --vocab-size {shape.vocabulary}, or set model.vocabulary to {data.vocabulary}."
        )
    if shape.sequence_length < data.sequence_length or (preset.fixed and shape.sequence_length != data.sequence_length):
        raise UsageError(
            f"{name} has rows of {shape.sequence_length:,} tokens and the packed set {data.sequence_length:,}: "
            f"mix with --sequence-length {shape.sequence_length}, or set model.sequence_length."
        )
    return shape


def _training(
    request: FitRequest, preset: Preset, data: DataIdentity, overrides: dict[str, Any], spikes: SpikeConfig
) -> TrainingConfig:
    ramp = _ramp(preset, data, overrides)
    overrides.setdefault("z_loss", preset.z_loss)
    available = ramp.steps_in(data.rows)
    if request.steps is not None and request.tokens is not None:
        raise UsageError("--steps and --tokens say the same thing twice: give one of them.")
    if request.tokens is not None:
        overrides["steps"] = ramp.steps_for(-(-request.tokens // data.sequence_length))
    elif request.steps is not None:
        overrides["steps"] = request.steps
    steps = overrides.setdefault("steps", _steps_with_reserve(ramp, data.rows, spikes))
    if steps > available or available == 0:
        wanted = max(steps, 1)
        raise UsageError(
            f"{wanted:,} steps of {ramp.rows_at(wanted):,} rows need {ramp.rows_before(wanted):,} rows and the packed "
            f"set has {data.rows:,} (enough for {available:,} steps): re-mix with a larger budget (corpus mix "
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


def reserve_rows(ramp: BatchRamp, steps: int, spikes: SpikeConfig) -> int:
    """Rows that a run of `steps` keeps in hand for its rewinds, at the size of its last batches."""
    return spikes.reserve(steps) * ramp.rows_at(max(1, steps))


def _steps_with_reserve(ramp: BatchRamp, rows: int, spikes: SpikeConfig) -> int:
    """The most steps that leave the rows for their rewinds."""
    low, high = 0, ramp.steps_in(rows)
    while low < high:
        middle = (low + high + 1) // 2
        if ramp.rows_before(middle) + reserve_rows(ramp, middle, spikes) <= rows:
            low = middle
        else:
            high = middle - 1
    return low or ramp.steps_in(rows)


def preset_differences(config: RunConfig) -> list[str]:
    """Where a run departs from its preset and the defaults, as `section.field = value (preset: value)`.

    Sizes that follow the data, and the length of the run, are not named.
    """
    preset = find_preset(config.name)
    usual = TrainingConfig(1, preset.batch_size, batch_ramp=preset.batch_ramp, z_loss=preset.z_loss)
    adapted = {"training.steps"}
    if not preset.fixed:
        adapted |= _OF_DATA
    found = []
    for section, ours, theirs in (
        ("model", config.model, preset.shape),
        ("optimizer", config.optimizer, preset.optimizer),
        ("schedule", config.schedule, preset.schedule),
        ("training", config.training, usual),
        ("spikes", config.spikes, SpikeConfig()),
    ):
        for field in dataclasses.fields(ours):
            key, value, other = f"{section}.{field.name}", getattr(ours, field.name), getattr(theirs, field.name)
            if value != other and key not in adapted:
                found.append(f"{key} = {value} (preset: {other})")
    return found
