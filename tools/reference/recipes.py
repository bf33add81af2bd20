"""The keys of a recipe: its sections, the settings of readers, steps, rules and models, and the recipes that come with it."""

from __future__ import annotations

import ast
import inspect
import textwrap
import typing
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from corpus.config import options_of
from corpus.engine.document_stage import StageKind
from corpus.heldout.config import ChoiceConfig
from corpus.mixture.pack.stage import MixConfig
from corpus.plugins import registry
from corpus.quality.rules.registry import PRESETS, RULES
from pipelines.recipes.recipe import Recipe
from pipelines.recipes.registry import MAPS, MODELS, STAGES
from pipelines.recipes.sections import (
    AcrossRecipe,
    AlarmsRecipe,
    BudgetRecipe,
    DomainRecipe,
    PackingRecipe,
    TokenizerRecipe,
    ValidationRecipe,
)
from tokenizer.train import TrainTokenizerConfig
from tools.reference.markdown import cell, code, paragraphs, table
from tools.reference.options import default_text, option_table

SECTIONS: Mapping[str, type[BaseModel]] = {
    "": Recipe,
    "domains.NAME": DomainRecipe,
    "across": AcrossRecipe,
    "validation": ValidationRecipe,
    "tokenizer": TokenizerRecipe,
    "packing": PackingRecipe,
    "budget": BudgetRecipe,
    "alarms": AlarmsRecipe,
}
_OPTIONS: Mapping[type[BaseModel], type[Any]] = {
    ValidationRecipe: ChoiceConfig,
    TokenizerRecipe: TrainTokenizerConfig,
    PackingRecipe: MixConfig,
    BudgetRecipe: MixConfig,
}
"""The settings of the command that a section stands for: they say what a key of the same name means."""
_TYPES = {int: "whole number", float: "number", str: "text", bool: "true, false", dict: "table", tuple: "list"}


def recipes_page() -> str:
    """The page."""
    lines = [
        "# The keys of a recipe",
        "",
        "What a recipe is and how one is written: [recipes](../recipes.md). Numbers may have [units](../options.md).",
    ]
    for place, section in SECTIONS.items():
        lines += ["", f"## {code(place) if place else 'The recipe'}", *paragraphs(section.__doc__ or "")]
        rows = [(code(name), kind, default, cell(doc)) for name, kind, default, doc in section_keys(section)]
        lines += table(("key", "value", "default", "what"), rows)
    for title, names in (("Readers", registry("READERS")), ("Steps", MAPS), ("Steps over a domain", STAGES)):
        lines += ["", f"## {title}"]
        for name in names.builtin():
            found = names.load(name)
            lines += _entry(name, found.config if isinstance(found, StageKind) else found)
    lines += ["", "## Rules of the step filter", "", "`rules: [NAME, {NAME: {KEY: VALUE}}]`. Presets: "]
    lines[-1] += "; ".join(f"{code(name)} is {', '.join(map(code, rules))}" for name, rules in PRESETS.items()) + "."
    for name in RULES.builtin():
        lines += _entry(name, RULES.load(name))
    lines += ["", "## Models"]
    for name in MODELS.builtin():
        kind = MODELS.load(name)
        reads = ", ".join(map(code, (*kind.inputs, *kind.optional)))
        lines += [*_entry(name, kind.config), f"It reads {reads}: `{{step: domain/step}}`, a path, or a list of them."]
    return "\n".join(lines) + "\n"


def _entry(name: str, config: type[Any]) -> list[str]:
    return ["", f"### `{name}`", *paragraphs(inspect.getdoc(config) or ""), *option_table(config)]


def section_keys(section: type[BaseModel]) -> Iterator[tuple[str, str, str, str]]:
    """Of each key its name, what it takes, its default and what it means."""
    docs = attribute_docs(section)
    options = options_of(_OPTIONS[section]) if section in _OPTIONS else {}
    for name, field in section.model_fields.items():
        doc = docs.get(name) or (options[name].doc if name in options else "")
        default: Any = field.get_default(call_default_factory=True)
        if default is PydanticUndefined:
            shown = "**required**"
        else:
            shown = "–" if isinstance(default, BaseModel) or default == {} else default_text(default)
        yield name, ", ".join(_types(field.annotation)), shown, doc


def attribute_docs(owner: type[Any]) -> dict[str, str]:
    """The texts that stand below the attributes of a class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    assert isinstance(body, ast.ClassDef)
    return {
        entry.target.id: str(text.value.value)
        for entry, text in zip(body.body, body.body[1:], strict=False)
        if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


def _types(hint: Any) -> Iterator[str]:
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        yield from (code(str(choice)) for choice in typing.get_args(hint))
    elif origin in (typing.Union, UnionType):
        for part in typing.get_args(hint):
            yield from _types(part)
    elif hint is not type(None):
        kind = origin or hint
        yield _TYPES.get(kind, "section")
