"""YAML files that say what to train: a table of known keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from corpus.errors import UsageError
from corpus.option import nearest
from corpus.quantity import parse_float


def read_grid(path: Path, what: str, keys: Sequence[str], needed: Sequence[str]) -> Mapping[str, Any]:
    """The table of a file; a UsageError names an unknown key, or one of the `needed` that is missing."""
    try:
        grid = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} cannot be read ({reason}): give a YAML file.") from None
    if not isinstance(grid, dict):
        raise UsageError(f"{path} holds no {what}: write KEY: VALUE lines.")
    check_keys(str(path), grid, keys)
    for key in needed:
        if key not in grid:
            raise UsageError(f"{path} lacks {key}: a {what} has {', '.join(needed[:-1])} and {needed[-1]}.")
    return grid


def check_keys(where: str, table: Mapping[str, Any], keys: Sequence[str]) -> None:
    """A UsageError that names an unknown key."""
    unknown = [key for key in table if key not in keys]
    if unknown:
        raise UsageError(f"{where} has the unknown key '{unknown[0]}': {nearest(str(unknown[0]), keys)}")


def positive(where: str, name: str, amount: Any) -> float:
    """A number above 0, with or without a unit."""
    try:
        number = parse_float(amount)
    except ValueError as error:
        raise UsageError(f"{where}: {name}: {error}.") from None
    if not number > 0:
        raise UsageError(f"{where}: {name} has {amount}: give numbers above 0.")
    return number
