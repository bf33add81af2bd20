"""`section.field=value` settings as values of the fields' types."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from corpus.errors import UsageError
from corpus.option import nearest


def parse_settings(settings: Sequence[str], sections: Mapping[str, type[Any]]) -> dict[str, dict[str, Any]]:
    """The values by section and field, later ones winning; an unknown key is an error with the nearest name."""
    known = {f"{section}.{f.name}": f for section, kind in sections.items() for f in dataclasses.fields(kind)}
    values: dict[str, dict[str, Any]] = {section: {} for section in sections}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting} has no value: write --set {key}=VALUE.")
        if key not in known:
            raise UsageError(f"there is no setting '{key}': {nearest(key, known)}")
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
