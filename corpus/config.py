"""Values of configuration dataclasses: from the tables of recipes and files, from `name=value` settings, and checked."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpus.errors import UsageError
from corpus.option import Bounds, nearest
from corpus.quantity import Kind, parse_float, parse_quantity

_ANY = Bounds()
_options: dict[type[Any], Mapping[str, Option]] = {}
"""What `options_of` has found already: reading the types of a class takes longer than to check its values."""


@dataclasses.dataclass(frozen=True)
class Option:
    """One documented field of a configuration dataclass, with all that decides which values it takes."""

    name: str
    kind: Any
    """The type without None: int, float, bool, str, Path, tuple, or another one that is taken as it is."""
    hint: Any
    default: Any
    """`dataclasses.MISSING` where it must be given."""
    doc: str
    choices: tuple[str, ...]
    bounds: Bounds
    unit: Kind
    metavar: str
    flag: str

    def read(self, text: str) -> Any:
        """The value that is written in a text; a ValueError says what is wrong with it."""
        if self.kind is tuple:
            return tuple(part.strip() for part in text.split(",") if part.strip())
        if self.kind is bool:
            if text.lower() not in ("true", "false"):
                raise ValueError(f"{text!r} is no truth value: give true or false")
            return text.lower() == "true"
        return self.take(text)

    def take(self, value: Any) -> Any:
        """A value of a YAML file, in the field's type; numbers may be text with a unit. A ValueError says what is wrong."""
        if value is None and self.optional:
            return None
        if self.kind is int:
            return parse_quantity(value, self.unit)
        if self.kind is float:
            return parse_float(value)
        if self.kind is Path and isinstance(value, str):
            return Path(value)
        value = tuple(value) if isinstance(value, list) else value
        if self.choices and isinstance(value, str) and value not in self.choices:
            raise ValueError(f"{value!r}, none of {', '.join(map(str, self.choices))}: {nearest(value, self.choices)}")
        if not _fits(value, self.hint):
            raise ValueError(
                f"{value!r}, which is of the wrong type: give {_WANTED.get(self.kind, 'what its help says')}"
            )
        return value

    @property
    def optional(self) -> bool:
        """Whether None is a value."""
        return _fits(None, self.hint)

    def problem(self, value: Any) -> str:
        """What is wrong with a value of the right type, as `KEY is VALUE: …` goes on; empty if nothing is."""
        if value is None:
            return ""
        if self.choices and value not in self.choices:
            return f"give {' or '.join(self.choices)}"
        if self.kind not in (int, float) or isinstance(value, bool) or not isinstance(value, int | float):
            return ""
        if not math.isfinite(value) and self.kind is float:
            return f"give a finite number ({self.doc})"
        return self.bounds.problem(value)


_WANTED = {bool: "true or false", str: "text", Path: "a path", tuple: "a list", dict: "a table"}


def options_of(config: type[Any]) -> Mapping[str, Option]:
    """The documented fields of a configuration dataclass by name."""
    if config not in _options:
        hints = typing.get_type_hints(config)
        documented = [field for field in dataclasses.fields(config) if "doc" in field.metadata]
        _options[config] = {field.name: _option(field, hints[field.name]) for field in documented}
    return _options[config]


def _option(field: dataclasses.Field[Any], hint: Any) -> Option:
    data = field.metadata
    kind = next((part for part in _members(hint) if part is not type(None)), hint)
    choices = data["choices"]
    if typing.get_origin(kind) is typing.Literal:
        choices, kind = typing.get_args(kind), str
    unit: Kind = data.get("unit") or ("bytes" if field.name.endswith("bytes") else "count")
    return Option(
        field.name,
        typing.get_origin(kind) or kind,
        hint,
        field.default,
        data["doc"],
        choices,
        data.get("bounds", _ANY),
        unit,
        data["metavar"],
        data.get("flag") or "--" + field.name.replace("_", "-"),
    )


def option_names(config: type[Any]) -> list[str]:
    """The documented fields of a configuration dataclass."""
    return list(options_of(config))


def check_options(config: Any, prefix: str = "--") -> None:
    """Ranges and choices of all documented fields of a dataclass; to be called when it is made. A UsageError names the
    field with its `prefix`, dashes instead of underscores where that is `--`."""
    for name, entry in options_of(type(config)).items():
        value = getattr(config, name)
        problem = entry.problem(value)
        if problem:
            shown = entry.flag if prefix == "--" else f"{prefix}{name}"
            raise UsageError(f"{shown} is {value}: {problem}.")


def build(where: str, config: type[Any], settings: Mapping[str, Any]) -> Any:
    """A configuration dataclass from a table; lists become tuples, unknown keys and wrong types are UsageErrors that begin
    with `where`."""
    known = options_of(config)
    removed: Mapping[str, str] = getattr(config, "removed", {})
    for key in settings:
        if key in removed:
            raise UsageError(f"{where}: {key} is no setting any more: {removed[key]}.")
        if key not in known:
            raise UsageError(f"{where}: unknown key '{key}'; {nearest(str(key), known)}")
    values = {}
    for key, value in settings.items():
        try:
            taken = known[key].take(value)
            # a whole number stays one where a decimal may be: manifests hold it as it is written
            values[key] = value if isinstance(value, int) else taken
        except ValueError as error:
            raise UsageError(f"{where}: {key} is {sentence(error)}") from None
        problem = known[key].problem(values[key])
        if problem:
            raise UsageError(f"{where}: {key} is {value}: {problem}.")
    missing = [key for key, entry in known.items() if entry.default is dataclasses.MISSING and key not in values]
    if missing:
        raise UsageError(f"{where}: {missing[0]} is missing: {known[missing[0]].doc}.")
    try:
        return config(**values)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}: {error}.") from None


def parse_option(config: type[Any], name: str, text: str) -> Any:
    """The value of a field of `config` from a string: of several, separated by commas; a UsageError where it is none."""
    entry = options_of(config)[name]
    try:
        value = entry.read(text)
    except ValueError as error:
        raise UsageError(f"{name}: {sentence(error)}") from None
    problem = entry.problem(value)
    if problem:
        raise UsageError(f"{name} is {text}: {problem}.")
    return value


def sentence(error: Exception) -> str:
    """What an error says, with the mark that ends a sentence."""
    text = str(error)
    return text if text.endswith((".", "?")) else f"{text}."


def _members(hint: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


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
