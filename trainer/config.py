"""The resolved configuration of a run: preset, packed set, options and `--set` together, and nothing of where it lies."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from corpus.data.files import digest_of
from corpus.errors import UsageError
from corpus.option import nearest, option, option_required
from trainer.data import DataIdentity
from trainer.models.presets import Preset, find_preset
from trainer.models.shape import ModelShape, round_up
from trainer.optimizers import OptimizerConfig
from trainer.schedules import ScheduleConfig


@dataclass(frozen=True)
class TrainingConfig:
    """What a step is and how many there are."""

    steps: int = option_required("number of updates")
    batch_size: int = option_required("rows of one update")
    micro_batch_size: int = option(0, "rows that go through the model at once; 0: the whole batch")
    z_loss: float = option(0.0, "weight of log²Z in the loss (PaLM: 1e-4)")
    document_mask: bool = option(False, "let tokens attend within their own document only")
    precision: str = option("fp32", "arithmetic of the model; weights are float32", choices=("fp32", "bf16"))
    seed: int = option(0, "seed of the first weights")
    validate_every: int = option(0, "evaluate every this many steps; 0: at the end only")

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"training.{name} is {getattr(self, name)}: give a number of at least 1.")
        for name in ("micro_batch_size", "z_loss", "seed", "validate_every"):
            if getattr(self, name) < 0:
                raise UsageError(f"training.{name} is {getattr(self, name)}: give a number of at least 0.")

    @property
    def micro_rows(self) -> int:
        """Rows that go through the model at once."""
        return min(self.micro_batch_size or self.batch_size, self.batch_size)


@dataclass(frozen=True)
class FitRequest:
    """What the user asked `trainer fit` for."""

    data: Path
    model: str
    output: Path
    steps: int | None = None
    tokens: int | None = None
    batch_size: int | None = None
    micro_batch_size: int | None = None
    validation: Path | None = None
    validate_every: int | None = None
    document_mask: bool = False
    precision: str | None = None
    seed: int | None = None
    settings: tuple[str, ...] = ()
    save_every: int = 100
    keep: int = 2
    threads: int | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the weights and the measurements of a run."""

    name: str
    model: ModelShape
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    training: TrainingConfig
    data: DataIdentity
    validation: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """The contents of `config.json`."""
        return {"kind": "run", "format": 1, **asdict(self)}

    @property
    def digest(self) -> str:
        """Identity of the run's configuration."""
        return digest_of(self.to_json())

    @property
    def tokens_per_step(self) -> int:
        """Target tokens of one update."""
        return self.training.batch_size * self.data.sequence_length


_SECTIONS: Mapping[str, type[Any]] = {
    "model": ModelShape,
    "optimizer": OptimizerConfig,
    "schedule": ScheduleConfig,
    "training": TrainingConfig,
}


def resolve_config(request: FitRequest, data: DataIdentity, validation: Mapping[str, DataIdentity]) -> RunConfig:
    """The run that `request` describes on this data; a UsageError says in one sentence what does not fit."""
    preset = find_preset(request.model)
    overrides = parse_settings(request.settings)
    for name in ("batch_size", "micro_batch_size", "validate_every", "precision", "seed"):
        if getattr(request, name) is not None:
            overrides["training"].setdefault(name, getattr(request, name))
    if request.document_mask:
        overrides["training"]["document_mask"] = True
    shape = _shape(request.model, preset, data, overrides["model"])
    training = _training(request, preset, data, overrides["training"])
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
        data,
        {name: identity.digest for name, identity in sorted(validation.items())},
    )


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


def _training(request: FitRequest, preset: Preset, data: DataIdentity, overrides: dict[str, Any]) -> TrainingConfig:
    batch_size = overrides.setdefault("batch_size", preset.batch_size)
    overrides.setdefault("z_loss", preset.z_loss)
    if batch_size < 1:
        raise UsageError(f"training.batch_size is {batch_size}: give a number of at least 1.")
    available = data.rows // batch_size
    if request.steps is not None and request.tokens is not None:
        raise UsageError("--steps and --tokens say the same thing twice: give one of them.")
    if request.tokens is not None:
        overrides["steps"] = -(-request.tokens // (batch_size * data.sequence_length))
    elif request.steps is not None:
        overrides["steps"] = request.steps
    steps = overrides.setdefault("steps", available)
    if steps > available or available == 0:
        raise UsageError(
            f"{max(steps, 1):,} steps of {batch_size:,} rows need {max(steps, 1) * batch_size:,} rows and the packed set "
            f"has {data.rows:,} (enough for {available:,} steps): re-mix with a larger budget (corpus mix --tokens), "
            "or ask for fewer."
        )
    return TrainingConfig(**overrides)


def parse_settings(settings: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """`--set section.field=value` as values by section and field; an unknown key is an error with the nearest name."""
    known = {f"{section}.{f.name}": f for section, kind in _SECTIONS.items() for f in dataclasses.fields(kind)}
    values: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting} has no value: write --set {key}=VALUE.")
        if key not in known:
            raise UsageError(f"there is no setting '{key}': {nearest(key, known)}")
        section, _, name = key.partition(".")
        values[section][name] = _parse(key, text, str(known[key].type), known[key].metadata.get("choices", ()))
    return values


def _parse(key: str, text: str, kind: str, choices: tuple[str, ...]) -> Any:
    if choices and text not in choices:
        raise UsageError(f"--set {key}={text} is none of {', '.join(choices)}: {nearest(text, choices)}")
    if kind == "bool":
        if text.lower() not in ("true", "false"):
            raise UsageError(f"--set {key}={text}: give true or false.")
        return text.lower() == "true"
    if kind in ("int", "float"):
        try:
            return int(text.replace("_", "")) if kind == "int" else float(text)
        except ValueError:
            wanted = "a whole number" if kind == "int" else "a number"
            raise UsageError(f"--set {key}={text} is not {wanted}.") from None
    return text


def preset_differences(config: RunConfig) -> list[str]:
    """Where a run departs from its preset, as `section.field = value (preset: value)`; adapted sizes are not named."""
    preset = find_preset(config.name)
    adapted = set() if preset.fixed else {"model.vocabulary", "model.sequence_length"}
    found = []
    for section, ours, theirs in (
        ("model", config.model, preset.shape),
        ("optimizer", config.optimizer, preset.optimizer),
        ("schedule", config.schedule, preset.schedule),
    ):
        for field in dataclasses.fields(ours):
            key, value, usual = f"{section}.{field.name}", getattr(ours, field.name), getattr(theirs, field.name)
            if value != usual and key not in adapted:
                found.append(f"{key} = {value} (preset: {usual})")
    return found
