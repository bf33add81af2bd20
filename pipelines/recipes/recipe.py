"""A recipe: one YAML file that says how raw dumps become a training set. Unknown keys are errors.

Sections: `domains` (per domain its reader, file patterns and stages), `validation`, `tokenizer`, `packing`, `mixture`;
and `shard_bytes` for all stages.
"""

from __future__ import annotations

import dataclasses
import importlib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from corpus.errors import UsageError
from corpus.mixture.plan.recipe_file import load_recipe_file
from corpus.mixture.plan.weights import Mixture, parse_mixture
from corpus.option import nearest
from pipelines.readers.registry import READERS, reader_class

STAGES: dict[str, tuple[str, str]] = {
    "dedup": ("corpus.dedup.levels:dedup_stage", "corpus.dedup.config:DedupConfig"),
    "langid": ("corpus.quality.langid:LangidStage", "corpus.quality.langid:LangidConfig"),
    "filter": ("corpus.quality.filter:FilterStage", "corpus.quality.filter:FilterConfig"),
    "decontaminate": (
        "corpus.decontaminate.stage:DecontaminateStage",
        "corpus.decontaminate.stage:DecontaminateConfig",
    ),
}
"""The stages a domain may go through between ingest and split: stage class and configuration class."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DomainRecipe(_Section):
    """How one domain is made from its folder of raw files."""

    reader: str = ""
    patterns: tuple[str, ...] = ()
    settings: dict[str, Any] = Field(default_factory=dict)
    stages: tuple[dict[str, dict[str, Any]], ...] = ()

    @field_validator("stages", mode="before")
    @classmethod
    def _bare_names(cls, value: Any) -> Any:
        """A stage without settings may be written as its bare name."""
        if isinstance(value, list):
            return [{entry: {}} if isinstance(entry, str) else entry for entry in value]
        return value


class ValidationRecipe(_Section):
    """What is split off for validation."""

    fraction: float = Field(default=0.001, gt=0, le=0.5)
    seed: int = Field(default=0, ge=0)


class TokenizerRecipe(_Section):
    """What tokenizer is trained, or the path of one to take as it is."""

    preset: str = "llama"
    vocab_size: int | None = None
    model_type: str | None = None
    sample_bytes: int | None = None
    seed: int = 0
    path: str | None = None
    eod_piece: str | None = None


class PackingRecipe(_Section):
    """How token ids become training rows."""

    sequence_length: int = Field(default=2048, ge=1, lt=1 << 31)
    packing: Literal["concatenate", "best-fit"] = "concatenate"
    row_order: Literal["shuffled", "stream"] = "shuffled"
    seed: int = Field(default=0, ge=0)


class Recipe(_Section):
    """A whole recipe as it was written, checked."""

    domains: dict[str, DomainRecipe]
    mixture: dict[str, Any]
    validation: ValidationRecipe = ValidationRecipe()
    tokenizer: TokenizerRecipe = TokenizerRecipe()
    packing: PackingRecipe = PackingRecipe()
    shard_bytes: int = Field(default=256_000_000, ge=1)

    def weights(self) -> Mixture:
        """The mixture, checked."""
        return parse_mixture(self.mixture, "the recipe's mixture")


def load_recipe(name: str, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Recipe:
    """Read and check a recipe, values of some sections replaced by `overrides` (section -> key -> value).

    Everything wrong in it is one UsageError sentence, before any work begins.
    """
    value = load_recipe_file(name)
    if not isinstance(value, dict):
        raise UsageError(f"recipe {name} is no table: it needs the sections domains, tokenizer and mixture.")
    if "mixture" in value and "domains" not in value:
        raise UsageError(
            f"recipe {name} holds only a mixture, so corpus run lacks its sections domains and tokenizer: give them in a "
            f"recipe of your own, or mix token datasets with corpus mix --weights {name}."
        )
    for section, values in (overrides or {}).items():
        before = value.get(section) or {}
        value[section] = {**before, **values} if isinstance(before, dict) else before
    try:
        recipe = Recipe.model_validate(value)
    except ValidationError as error:
        raise UsageError(f"recipe {name}: {_sentence(error)}") from None
    _check(name, recipe)
    return recipe


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong, with the nearest known key where a key is unknown."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"][:-1])
        return f"unknown key '{place}'; {nearest(str(first['loc'][-1]), known)}"
    return f"{place}: {first['msg'][0].lower() + first['msg'][1:]}."


def _known_keys(place: tuple[int | str, ...]) -> list[str]:
    sections: dict[str, type[BaseModel]] = {
        "domains": DomainRecipe,
        "validation": ValidationRecipe,
        "tokenizer": TokenizerRecipe,
        "packing": PackingRecipe,
    }
    return list((sections[str(place[0])] if place else Recipe).model_fields)


def _check(name: str, recipe: Recipe) -> None:
    """Readers, stages and their settings, and that domains and mixture name the same domains."""
    for domain, entry in recipe.domains.items():
        make_reader(domain, entry)
        for stage in entry.stages:
            if len(stage) != 1:
                raise UsageError(
                    f"recipe {name}: a stage of domain {domain} is one name with its settings, not {stage}."
                )
            ((stage_name, settings),) = stage.items()
            stage_config(f"recipe {name}, domain {domain}", stage_name, settings)
    tokenizer_config(recipe, ())
    if recipe.tokenizer.path is not None and not Path(recipe.tokenizer.path).exists():
        raise UsageError(f"recipe {name}: the tokenizer {recipe.tokenizer.path} does not exist: check its path.")
    weights = {weight.domain for weight in recipe.weights().weights}
    for domain in sorted(weights - set(recipe.domains)):
        raise UsageError(
            f"recipe {name}: the mixture names domain {domain}, which is not defined: {nearest(domain, recipe.domains)}"
        )
    for domain in sorted(set(recipe.domains) - weights):
        raise UsageError(f"recipe {name}: domain {domain} has no weight in the mixture: give it a share or epochs.")


def make_reader(domain: str, entry: DomainRecipe) -> Any:
    """The reader of a domain with the recipe's settings."""
    reader = entry.reader or domain
    if reader not in READERS:
        raise UsageError(f"domain {domain} needs a reader: {nearest(reader, READERS)}")
    return build(f"reader {reader}", reader_class(reader), entry.settings)


def stage_class(name: str) -> Any:
    """The class of a stage that recipes may use."""
    return _load(STAGES[name][0])


def stage_config(where: str, name: str, settings: dict[str, Any]) -> Any:
    """The configuration of stage `name` with `settings`; unknown names are UsageErrors."""
    if name not in STAGES:
        raise UsageError(f"{where}: there is no stage '{name}': {nearest(name, STAGES)}")
    return build(f"{where}, stage {name}", _load(STAGES[name][1]), settings)


def tokenizer_config(recipe: Recipe, weights: tuple[str, ...]) -> Any:
    """The configuration of the stage that trains the recipe's tokenizer; domains weigh `weights` (`domain=share`)."""
    from tokenizer.train import TrainTokenizerConfig

    wanted = recipe.tokenizer.model_dump(exclude={"path", "eod_piece"}, exclude_none=True)
    return build("the recipe's tokenizer", TrainTokenizerConfig, wanted | {"weights": weights})


def build(where: str, config: type[Any], settings: dict[str, Any]) -> Any:
    """A configuration dataclass from a recipe's table; lists become tuples, unknown keys are UsageErrors."""
    known = {field.name for field in dataclasses.fields(config) if "doc" in field.metadata}
    for key in settings:
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


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value from YAML can be that of a field with this type."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is typing.Literal:
        return value in parts
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, parts[0]) for item in value)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return not isinstance(hint, type) or isinstance(value, hint)


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
