"""`section.field=value` settings: parsed, listed, and compared with those of a preset."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from corpus.config import Option, options_of, sentence
from corpus.errors import UsageError
from corpus.option import nearest
from trainer.config.config import SECTIONS, RunConfig, TrainingConfig
from trainer.config.families.preset import Preset
from trainer.config.families.registry import find_preset
from trainer.config.options import Setting
from trainer.config.renamed import instead
from trainer.models.finetuning.config import FineTuningConfig
from trainer.spikes.detector import SpikeConfig

_OF_PRESET = {
    "model",
    "optimizer",
    "schedule",
    "training.batch_size",
    "training.batch_ramp",
    "training.z_loss",
    "training.dropout",
}
"""Sections and keys whose values a preset gives."""
_OF_DATA = {"model.vocabulary", "model.sequence_length"}
"""Keys whose values follow the packed set, unless the preset is fixed."""


def parse_settings(settings: Sequence[Setting], sections: Mapping[str, type[Any]]) -> dict[str, dict[str, Any]]:
    """The values by section and field, later ones winning; an unknown key is an error with the nearest name."""
    known = {
        f"{section}.{name}": entry for section, kind in sections.items() for name, entry in options_of(kind).items()
    }
    values: dict[str, dict[str, Any]] = {section: {} for section in sections}
    for setting in settings:
        key, value = _split(setting) if isinstance(setting, str) else setting
        if key not in known:
            raise UsageError(f"there is no setting '{key}': {instead(key, known)}")
        section, _, name = key.partition(".")
        values[section][name] = _value(setting, known[key], value)
    return values


def _split(setting: str) -> tuple[str, str]:
    key, equals, text = setting.partition("=")
    if not equals:
        raise UsageError(f"--set {setting} has no value: write --set {key}=VALUE.")
    return key, text


def _value(setting: Setting, entry: Option, value: Any) -> Any:
    """The value of a setting, from its text or as a file has it."""
    of_text = isinstance(setting, str)
    said = f"--set {setting}" if of_text else f"the --config file's {setting[0]}: {value}"
    try:
        taken = entry.read(value) if of_text else entry.take(value)
    except ValueError as error:
        # the line of doc says what switches a number off, where anything does
        doc = f" ({entry.doc})" if entry.kind is float else ""
        raise UsageError(f"{said} is no value of this setting: {sentence(ValueError(f'{error}{doc}'))}") from None
    if entry.choices and taken not in entry.choices:
        raise UsageError(f"{said} is none of {', '.join(entry.choices)}: {nearest(str(taken), entry.choices)}")
    return taken


def setting_lines(name: str | None = None) -> list[str]:
    """Every key of `--set` with its value where none is given and its doc; values of a model's preset by its `name`."""
    lines = []
    for key, value, entry in _all_settings(name):
        doc = entry.doc + (f" ({', '.join(entry.choices)})" if entry.choices else "")
        shown = ",".join(value) if isinstance(value, tuple) else str(value).lower()
        lines.append(f"{key:<27} {shown or '-':<20} {doc}")
    return lines


def settings_json(name: str | None = None) -> dict[str, Any]:
    """The same for programs: of each key its default (null where it depends on model or data), doc and choices."""
    said = (*_OPEN.values(), "one epoch")
    return {
        key: {
            "default": None if isinstance(value, str) and value in said else value,
            "doc": entry.doc,
            "choices": list(entry.choices),
        }
        for key, value, entry in _all_settings(name)
    }


_OPEN = {"preset": "the model's", "data": "the data's"}


def _all_settings(name: str | None) -> Iterator[tuple[str, object, Option]]:
    """Keys, values where none is given, and fields of all settings."""
    preset = None if name is None else find_preset(name)
    of_preset: dict[str, Any] = {} if preset is None else {k: getattr(preset, k) for k in ("optimizer", "schedule")}
    if preset is not None:
        of_preset |= {"model": preset.shape, "training": _training_of(preset)}
    for section, kind in SECTIONS.items():
        for field, entry in options_of(kind).items():
            key = f"{section}.{field}"
            value: object = getattr(of_preset.get(section), field, entry.default)
            if key == "training.steps":
                value = "one epoch"
            elif preset is None and (section in _OF_PRESET or key in _OF_PRESET):
                value = _OPEN["preset"]
            elif key in _OF_DATA and preset is not None and not preset.fixed:
                value = _OPEN["data"]
            yield key, value, entry


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
        # the shape of --init-from is that of its weights, and no departure
        ("model", config.model, config.model if config.initial else preset.shape),
        ("optimizer", config.optimizer, preset.optimizer),
        ("schedule", config.schedule, preset.schedule),
        ("training", config.training, usual),
        ("spikes", config.spikes, SpikeConfig()),
        ("finetuning", config.finetuning, FineTuningConfig()),
    ):
        for field in dataclasses.fields(ours):
            key, value, other = f"{section}.{field.name}", getattr(ours, field.name), getattr(theirs, field.name)
            if value != other and key not in adapted:
                found.append(f"{key} = {value} (preset: {other})")
    return found


def _training_of(preset: Preset) -> TrainingConfig:
    """The part of a preset that is `training`; the number of steps is none of it."""
    return TrainingConfig(
        1, preset.batch_size, batch_ramp=preset.batch_ramp, z_loss=preset.z_loss, dropout=preset.dropout
    )
