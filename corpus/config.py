"""Configuration dataclasses from the tables of recipes and from `name=value` settings."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from corpus.errors import UsageError
from corpus.option import nearest


def option_names(config: type[Any]) -> list[str]:
    """The documented fields of a configuration dataclass."""
    return [field.name for field in dataclasses.fields(config) if "doc" in field.metadata]


def build(where: str, config: type[Any], settings: Mapping[str, Any]) -> Any:
    """A configuration dataclass from a table; lists become tuples, unknown keys and wrong types are UsageErrors that begin
    with `where`."""
    known = option_names(config)
    removed: Mapping[str, str] = getattr(config, "removed", {})
    for key in settings:
        if key in removed:
            raise UsageError(f"{where}: {key} is no setting any more: {removed[key]}.")
        if key not in known:
            raise UsageError(f"{where}: unknown key '{key}'; {nearest(key, known)}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    hints = typing.get_type_hints(config)
    for key, value in values.items():
        if not _fits(value, hints[key]):
            raise UsageError(f"{where}: {key} is {value!r}, which is of the wrong type: see its --help.")
    try:
        return config(**values)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}: {error}.") from None


def parse_option(config: type[Any], name: str, text: str) -> Any:
    """The value of a field of `config` from a string: of several, separated by commas; a UsageError where it is none."""
    hint = typing.get_type_hints(config)[name]
    kinds = [part for part in typing.get_args(hint) if part is not type(None)] or [hint]
    if typing.get_origin(hint) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if bool in kinds:
        if text.lower() not in ("true", "false"):
            raise UsageError(f"{name}={text}: give true or false.")
        return text.lower() == "true"
    for kind, wanted in ((int, "a whole number"), (float, "a number")):
        if kind in kinds:
            try:
                return kind(text.replace("_", "").replace(",", ""))
            except ValueError:
                raise UsageError(f"{name}={text} is not {wanted}.") from None
    return text


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value from YAML can be that of a field with this type."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is typing.Literal:
        return value in parts
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, parts[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return not isinstance(hint, type) or isinstance(value, hint)
