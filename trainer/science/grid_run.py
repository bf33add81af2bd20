"""The runs that a YAML file describes, in directories that may hold what it described before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from corpus.data.files import canonical_json
from corpus.errors import UsageError
from trainer.config.config import RunConfig
from trainer.config.options import FitOptions
from trainer.config.resolve import asked_settings, resolve_config
from trainer.data.validation_sets import DataIdentity
from trainer.run.directory import Run

_WORDS = {"data": "another packed set", "validation": "other validation sets", "plugins": "another plug-in"}
_OF_MACHINE = ("precision", "compile")
"""What a device decides where the settings do not."""
_COMMAND_LINE = ("--overwrite", "--output", "--from", "--steps")


def check_run(options: FitOptions, data: DataIdentity, validation: Mapping[str, DataIdentity]) -> None:
    """A UsageError where the directory of a run holds one of other settings, another length or other data. `trainer fit`
    would go on with it, or find it finished, and its losses would be taken for those of the settings asked for."""
    run = Run(options.output)
    with remedies_of_grid(options.output):
        if run.read_config() is None:
            return
        history = run.history()
    wanted = resolve_config(options, data, validation)
    free = {f"training.{name}" for name in _OF_MACHINE if name not in asked_settings(options)["training"]}
    # how many rows are in memory at once is no part of the result
    free.add("training.micro_batch_size")
    changed = dict.fromkeys(
        line for known in (history.first, history.last) for line in _differences(known, wanted, free)
    )
    if changed:
        raise UsageError(f"{run.path} was trained otherwise ({'; '.join(list(changed)[:3])}): {_remedy(run.path)}.")


@contextmanager
def remedies_of_grid(directory: Path) -> Iterator[None]:
    """Errors that advise an option of another command advise what a grid has instead."""
    try:
        yield
    except click.ClickException as error:
        # a message says what is wrong and where, then the remedy
        *why, advice = re.split(r"[:;] ", error.message)
        if not any(option in advice for option in _COMMAND_LINE):
            raise
        said = error.message.removesuffix(advice).rstrip(":; ") if why else str(directory)
        raise type(error)(f"{said}: {_remedy(directory)}.") from None


def _remedy(directory: Path) -> str:
    return f"remove {directory} to make it anew, or give another output:"


def _differences(known: RunConfig, wanted: RunConfig, free: set[str]) -> Iterator[str]:
    """What is not the same, as `key: old -> new`; of data that it is not."""
    old, new = _values(known), _values(wanted)
    for key in sorted((old.keys() | new.keys()) - free):
        if canonical_json(old.get(key)) == canonical_json(new.get(key)):
            continue
        if key in _WORDS:
            yield _WORDS[key]
        else:
            yield f"{key}: {canonical_json(old.get(key))} -> {canonical_json(new.get(key))}"


def _values(config: RunConfig) -> dict[str, Any]:
    """All of a configuration by key; the identity of data is one value."""
    found: dict[str, Any] = {}
    for section, value in config.to_json().items():
        if isinstance(value, Mapping) and section not in _WORDS:
            found |= {f"{section}.{name}": entry for name, entry in value.items()}
        else:
            found[section] = value
    return found
