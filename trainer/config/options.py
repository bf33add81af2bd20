"""The options of `trainer fit`: those of the command line, over those of a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from corpus.errors import UsageError
from trainer.config.renamed import instead

_LEAST = {
    "steps": 1,
    "tokens": 1,
    "batch_size": 1,
    "micro_batch_size": 1,
    "validate_every": 1,
    "seed": 0,
    "save_every": 1,
    "save_minutes": 0,
    "keep": 0,
    "keep_every": 0,
    "threads": 1,
}
_CHOICES = {"precision": ("fp32", "bf16"), "device": ("cpu", "cuda"), "parallel": ("ddp", "fsdp")}


@dataclass(frozen=True)
class FitOptions:
    """The options of `trainer fit`. Those below `settings` change how the run is made, and nothing of its result."""

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
    skip_log: Path | None = None
    settings: tuple[str, ...] = ()
    save_every: int = 100
    save_minutes: float = 0.0
    background_saves: bool = False
    keep: int = 2
    keep_every: int = 0
    threads: int | None = None
    device: str | None = None
    parallel: str = "ddp"
    tensorboard: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"--{name.replace('_', '-')} is {value}: give at least {least}.")
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise UsageError(f"--{name} is {value}: give {' or '.join(choices)}.")
        keys = {_key(setting) for setting in self.settings}
        for name, key in _OF_TRAINING.items():
            if getattr(self, name) is not None and getattr(self, name) is not False and key in keys:
                raise UsageError(f"--{name.replace('_', '-')} and {key} say the same thing twice: give one of them.")


_OF_TRAINING = {
    "steps": "training.steps",
    "tokens": "training.steps",
    "batch_size": "training.batch_size",
    "micro_batch_size": "training.micro_batch_size",
    "validate_every": "training.validate_every",
    "document_mask": "training.document_mask",
    "precision": "training.precision",
    "seed": "training.seed",
}
"""The options that are settings too."""
_BATCH = {"training.batch_size", "training.batch_ramp"}
"""Two ways to say how large a batch is."""
_FIELDS = {field.name: field for field in dataclasses.fields(FitOptions)}
_SECTIONS = ("model", "optimizer", "schedule", "training", "spikes")


def make_options(given: Mapping[str, Any], file: Path | None) -> FitOptions:
    """The options `given` on the command line, and those of a YAML file that it does not give."""
    values, settings = read_config_file(file) if file is not None else ({}, ())
    values, settings = _without(values, settings, given)
    values.update({name: value for name, value in given.items() if name != "settings"})
    missing = [f"--{name}" for name in ("data", "model", "output") if name not in values]
    if missing:
        raise UsageError(f"{' and '.join(missing)} must be given, on the command line or in the --config file.")
    return FitOptions(**values, settings=(*settings, *given.get("settings", ())))


def _without(
    options: Mapping[str, Any], settings: tuple[str, ...], given: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Of the options and settings of a file those that the command line does not say otherwise, in either form."""
    said = {_OF_TRAINING[name] for name in given if name in _OF_TRAINING}
    said |= {_key(setting) for setting in given.get("settings", ())}
    if said & _BATCH:
        said |= _BATCH
    return (
        {name: value for name, value in options.items() if _OF_TRAINING.get(name) not in said},
        tuple(setting for setting in settings if _key(setting) not in said),
    )


def _key(setting: str) -> str:
    return setting.partition("=")[0]


def read_config_file(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Options and `section.field=value` settings of a YAML file; a UsageError names the nearest of an unknown key.

    Options have the names of the command line's; settings stand in sections (`optimizer: {lr: 3e-4}`) or under whole
    names (`optimizer.lr: 3e-4`). The section of the model has its preset under `name`, or is only its name.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"--config {path} cannot be read ({reason}): give a YAML file.") from None
    if not isinstance(value, dict):
        raise UsageError(f"--config {path} holds no settings: write KEY: VALUE lines.")
    options: dict[str, Any] = {}
    settings: list[str] = []
    for key, content in value.items():
        name = str(key).replace("-", "_")
        if name in _SECTIONS and name != "model" and not isinstance(content, dict):
            raise UsageError(
                f"--config {path} has {key}: {content}, which is a section: write {key}: {{FIELD: VALUE}}."
            )
        if name in _SECTIONS and isinstance(content, dict):
            fields = dict(content)
            if name == "model" and "name" in fields:
                options["model"] = str(fields.pop("name"))
            settings += [f"{name}.{field}={_text(entry)}" for field, entry in fields.items()]
        elif "." in name:
            settings.append(f"{name}={_text(content)}")
        elif name in _FIELDS and name != "settings":
            options[name] = _option(path, str(key), str(_FIELDS[name].type), content)
        else:
            known = [*(field.replace("_", "-") for field in _FIELDS if field != "settings"), *_SECTIONS]
            raise UsageError(f"--config {path} has the unknown key '{key}': {instead(str(key), known)}")
    return options, tuple(settings)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _option(path: Path, key: str, kind: str, value: Any) -> Any:
    """A value of the type that the option has."""
    wanted = kind.removesuffix(" | None")
    whole = isinstance(value, int) and not isinstance(value, bool)
    if wanted == "Path" and isinstance(value, str):
        return Path(value)
    if wanted == "float" and (whole or isinstance(value, float)):
        return float(value)
    if (wanted == "int" and whole) or (wanted == "bool" and isinstance(value, bool)):
        return value
    if wanted == "str" and isinstance(value, str):
        return value
    names = {"Path": "a path", "float": "a number", "int": "a whole number", "bool": "true or false", "str": "a word"}
    raise UsageError(f"--config {path} has {key}: {value}, which is not {names[wanted]}.")
