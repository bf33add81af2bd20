"""What the packages export to Python: signatures and docstrings of everything in `__all__`."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

import corpus
import tokenizer
import trainer
from tools.reference.markdown import paragraphs

_WIDTH = 100
"""Characters of a signature on one line."""


def api_page() -> str:
    """The page."""
    lines = ["# Names for Python", "", "How they are used together: [from Python](../api.md)."]
    for package in (corpus, trainer, tokenizer):
        lines += ["", f"## {package.__name__}"]
        for name in package.__all__:
            if not name.startswith("__"):
                lines += _entry(f"{package.__name__}.{name}", getattr(package, name))
    return "\n".join(lines) + "\n"


def _entry(name: str, value: Any) -> list[str]:
    lines = ["", f"### {name}"]
    if not callable(value):
        return [*lines, "", f"```python\n{value}\n```"]
    lines += ["", f"```python\n{_signature(name, value)}\n```", *paragraphs(_doc(value))]
    for member, inner in _members(value):
        lines += ["", f"#### {name}.{member}"]
        if callable(inner) or isinstance(inner, classmethod | staticmethod):
            function = getattr(value, member)
            lines += ["", f"```python\n{_signature(member, function)}\n```"]
        lines += paragraphs(_doc(inner))
    return lines


def _doc(value: Any) -> str:
    """Its docstring; dataclasses without one of their own have none."""
    doc = inspect.getdoc(value) or ""
    return (
        ""
        if inspect.isclass(value) and dataclasses.is_dataclass(value) and doc.startswith(f"{value.__name__}(")
        else doc
    )


def _signature(name: str, value: Any) -> str:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return name
    parts = list(_parameters(signature))
    line = f"{name}({', '.join(parts)}){_annotated(' -> ', signature.return_annotation)}"
    if len(line) <= _WIDTH:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + line[line.rindex(")") :]


def _parameters(signature: inspect.Signature) -> Iterator[str]:
    keywords = False
    for name, entry in signature.parameters.items():
        if name == "self":
            continue
        if entry.kind is entry.KEYWORD_ONLY and not keywords:
            keywords = True
            yield "*"
        stars = {entry.VAR_POSITIONAL: "*", entry.VAR_KEYWORD: "**"}.get(entry.kind, "")
        default = "" if entry.default is entry.empty else f" = {entry.default!r}"
        yield f"{stars}{name}{_annotated(': ', entry.annotation)}{default}"


def _annotated(before: str, annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    return before + (annotation if isinstance(annotation, str) else inspect.formatannotation(annotation))


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    """The public methods and properties of a class, as it defines them itself, with a docstring."""
    if not inspect.isclass(value):
        return
    for name, inner in vars(value).items():
        shown = callable(inner) or isinstance(inner, property | classmethod | staticmethod)
        if shown and not name.startswith("_") and inspect.getdoc(inner):
            yield name, inner
