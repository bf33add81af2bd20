"""Tables of the documented fields of configuration classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Container
from typing import Any

from corpus.config import Option, options_of
from tools.reference.markdown import cell, code, table

_KINDS = {
    "tuple": "list",
    "Path": "path",
    "int": "whole number",
    "float": "number",
    "bool": "true, false",
    "str": "text",
}


def option_table(config: type[Any], prefix: str = "", without: Container[str] = ()) -> list[str]:
    """A row for each field: its key, what it takes, its default and its line of doc."""
    entries = [entry for name, entry in options_of(config).items() if name not in without]
    rows = [
        (f"`{prefix}{entry.name}`", _values(entry), default_text(entry.default), cell(entry.doc)) for entry in entries
    ]
    return table(("key", "value", "default", "what"), rows)


def default_text(value: Any) -> str:
    """A default as one would write it."""
    if value is dataclasses.MISSING:
        return "**required**"
    if value is None or value == "" or value == ():
        return "–"
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, tuple | list):
        return code(", ".join(map(str, value)))
    return code(str(value))


def _values(entry: Option) -> str:
    if entry.choices:
        return ", ".join(code(str(choice)) for choice in entry.choices)
    kind = getattr(entry.kind, "__name__", str(entry.kind))
    bounds = entry.bounds
    limits = [
        f"{word} {bound:g}"
        for word, bound in (("≥", bounds.least), (">", bounds.above), ("≤", bounds.most), ("&lt;", bounds.below))
        if bound is not None
    ]
    kind = "bytes" if kind == "int" and entry.unit == "bytes" else _KINDS.get(kind, kind)
    return " ".join((kind, ", ".join(limits))).strip()
