"""`section.field=value` settings: parsed, listed, and compared with those of a preset."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from corpus.errors import UsageError
from corpus.option import nearest
from trainer.config.config import SECTIONS, RunConfig, TrainingConfig
from trainer.config.families.preset import Preset
from trainer.config.families.registry import find_preset
from trainer.config.renamed import instead
from trainer.spikes.detector import SpikeConfig

_OF_PRESET = {"model", "optimizer", "schedule", "training.batch_size", "training.batch_ramp", "training.z_loss"}
"""Sections and keys whose values a preset gives."""
_OF_DATA = {"model.vocabulary", "model.sequence_length"}
"""Keys whose values follow the packed set, unless the preset is fixed."""


def parse_settings(settings: Sequence[str], sections: Mapping[str, type[Any]]) -> dict[str, dict[str, Any]]:
    """The values by section and field, later ones winning; an unknown key is an error with the nearest name."""
    known = {f"{section}.{f.name}": f for section, kind in sections.items() for f in dataclasses.fields(kind)}
    values: dict[str, dict[str, Any]] = {section: {} for section in sections}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting} has no value: write --set {key}=VALUE.")
        if key not in known:
            raise UsageError(f"there is no setting '{key}': {instead(key, known)}")
        section, _, name = key.partition(".")
        values[section][name] = _parse(key, text, known[key])
    return values


def _parse(key: str, text: str, field: dataclasses.Field[Any]) -> Any:
    kind, choices = str(field.type), field.metadata.get("choices", ())
    if choices and text not in choices:
        raise UsageError(f"--set {key}={text} is none of {', '.join(choices)}: {nearest(text, choices)}")
    if kind == "bool":
        if text.lower() not in ("true", "false"):
            raise UsageError(f"--set {key}={text}: give true or false.")
        return text.lower() == "true"
    if kind in ("int", "float"):
        try:
            value = int(text.replace("_", "")) if kind == "int" else float(text)
        except ValueError:
            wanted = "a whole number" if kind == "int" else "a number"
            raise UsageError(f"--set {key}={text} is not {wanted}.") from None
        if not math.isfinite(value):
            # the line of doc says what switches it off, where anything does
            raise UsageError(f"--set {key}={text} is not finite: give a finite number ({field.metadata['doc']}).")
        return value
    return text


def setting_lines(name: str | None = None) -> list[str]:
    """Every key of `--set` with its value where none is given and its doc; values of a model's preset by its `name`."""
    preset = None if name is None else find_preset(name)
    of_preset: dict[str, Any] = {} if preset is None else {k: getattr(preset, k) for k in ("optimizer", "schedule")}
    if preset is not None:
        usual = _training_of(preset)
        of_preset |= {"model": preset.shape, "training": usual}
    lines = []
    for section, kind in SECTIONS.items():
        for field in dataclasses.fields(kind):
            key = f"{section}.{field.name}"
            value: object = getattr(of_preset.get(section), field.name, field.default)
            if key == "training.steps":
                value = "one epoch"
            elif preset is None and (section in _OF_PRESET or key in _OF_PRESET):
                value = "the model's"
            elif key in _OF_DATA and preset is not None and not preset.fixed:
                value = "the data's"
            choices = field.metadata["choices"]
            doc = field.metadata["doc"] + (f" ({', '.join(choices)})" if choices else "")
            lines.append(f"{key:<27} {str(value).lower() or '-':<20} {doc}")
    return lines


def preset_differences(config: RunConfig) -> list[str]:
    """Where a run departs from its preset and the defaults, as `section.field = value (preset: value)`.

    Sizes that follow the data, and the length of the run, are not named.
    """
    preset = find_preset(config.name)
    usual = _training_of(preset)
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


def _training_of(preset: Preset) -> TrainingConfig:
    """The part of a preset that is `training`; the number of steps is none of it."""
    return TrainingConfig(1, preset.batch_size, batch_ramp=preset.batch_ramp, z_loss=preset.z_loss)
