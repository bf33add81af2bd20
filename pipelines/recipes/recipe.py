"""A recipe: one YAML file that says how raw dumps become a training set. Unknown keys are errors.

Sections: `domains` (per domain its reader, file patterns and stages), `across` (steps over all of them), `validation`, `tokenizer`, `packing`, `mixture`;
`shard_bytes` for all stages, `plugins`, the files that add readers and steps, and `alarms`, also of a domain, which decide
no byte.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from corpus.config import build
from corpus.engine.alarms import Alarms
from corpus.engine.document_map import maps_of
from corpus.engine.document_stage import DocumentStage, MapStage
from corpus.engine.stage import Stage
from corpus.errors import UsageError
from corpus.heldout.config import ChoiceConfig
from corpus.ingest.config import IngestConfig
from corpus.mixture.plan.recipe_file import load_recipe_file
from corpus.mixture.plan.weights import Mixture, parse_mixture
from corpus.option import nearest
from corpus.plugins import load_plugins
from corpus.quantity import parse_float, parse_quantity
from pipelines.readers.registry import READERS
from pipelines.recipes.across import AcrossStep
from pipelines.recipes.graph import Pass, StepRef, domain_steps, passes, substituted
from pipelines.recipes.registry import MAPS, STAGES


def _count(value: object) -> int | None:
    return None if value is None else parse_quantity(value, "count")


def _bytes(value: object) -> int | None:
    return None if value is None else parse_quantity(value, "bytes")


def _share(value: object) -> float | None:
    return None if value is None else parse_float(value)


def _part(value: object) -> object:
    return str(value) if isinstance(value, int | float) else value


COUNT, BYTES, SHARE = BeforeValidator(_count), BeforeValidator(_bytes), BeforeValidator(_share)
"""Whole numbers, also as text with a unit: 32K, 1.4T; of bytes 256MB, 4GiB; and shares, also as 5%."""


def _named(value: object) -> object:
    """A step without settings may be written as its bare name."""
    return [{entry: {}} if isinstance(entry, str) else entry for entry in value] if isinstance(value, list) else value


STEPS = BeforeValidator(_named)
PART = BeforeValidator(_part)
"""A part of a whole that is kept as it is written: 75% or 0.75."""
BYTES_PER_TOKEN = 16
"""Bytes of text that validation takes for each token it should have: more than any text has, so that it has them."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML's true and false are no numbers, which pydantic takes them for."""
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and field.annotation is not bool:
            raise PydanticCustomError(
                "truth_value", "it is {value}, which is no number or name", {"value": str(value).lower()}
            )
        return value


class AlarmsRecipe(_Section):
    """How much may be set aside or dropped before a stage ends with an error; no part of what a recipe makes."""

    max_unreadable: Annotated[float | None, SHARE] = Field(default=None, ge=0, le=1)
    max_drop: Annotated[float | None, SHARE] = Field(default=None, ge=0, le=1)

    def alarms(self) -> Alarms:
        """As the engine takes them."""
        return Alarms(self.max_unreadable, self.max_drop)


class DomainRecipe(_Section):
    """How one domain is made from its folder of raw files."""

    reader: str = ""
    patterns: tuple[str, ...] = ()
    settings: dict[str, Any] = Field(default_factory=dict)
    stages: Annotated[tuple[dict[str, dict[str, Any]], ...], STEPS] = ()
    alarms: AlarmsRecipe = AlarmsRecipe()


class AcrossRecipe(_Section):
    """Steps over all domains once each has gone through its own: what stands in several goes from all but the first in
    `order`; domains that it does not name come after those that it names, as in the recipe."""

    order: tuple[str, ...] = ()
    stages: Annotated[tuple[dict[str, dict[str, Any]], ...], STEPS] = ()

    def steps(self) -> list[AcrossStep]:
        """The steps, checked."""
        pairs = (next(iter(stage.items())) for stage in self.stages)
        return [AcrossStep.of(number, *pair) for number, pair in enumerate(pairs, start=1)]

    def ordered(self, domains: Iterable[str]) -> list[str]:
        """Some domains in order of priority."""
        there = list(domains)
        return [name for name in self.order if name in there] + [name for name in there if name not in self.order]


class ValidationRecipe(_Section):
    """What is split off for validation, of each domain and compared with all; the fields are those of `corpus split`."""

    fraction: float = Field(default=0.001, gt=0, le=0.5)
    min_documents: Annotated[int, COUNT] = Field(default=10, ge=1)
    min_tokens: Annotated[int | None, COUNT] = Field(default=None, ge=1)
    max_share_of_one_document: Annotated[str, PART] = "25%"
    overlap: Literal["exact", "lines", "near"] = "lines"
    line_overlap: Annotated[str | None, PART] = None
    near_overlap: Annotated[str | None, PART] = None
    seed: int = Field(default=0, ge=0)


class TokenizerRecipe(_Section):
    """What tokenizer is trained, or the path of one to take as it is."""

    preset: str = "llama"
    vocab_size: Annotated[int | None, COUNT] = None
    model_type: str | None = None
    sample_bytes: Annotated[int | None, BYTES] = None
    seed: int = 0
    path: str | None = None
    eod_piece: str | None = None


class PackingRecipe(_Section):
    """How token ids become training rows."""

    sequence_length: Annotated[int, COUNT] = Field(default=2048, ge=1, lt=1 << 31)
    packing: Literal["concatenate", "best-fit"] = "concatenate"
    row_order: Literal["shuffled", "stream"] = "shuffled"
    seed: int = Field(default=0, ge=0)


class Recipe(_Section):
    """A whole recipe as it was written, checked."""

    domains: dict[str, DomainRecipe]
    mixture: dict[str, Any]
    across: AcrossRecipe = AcrossRecipe()
    validation: ValidationRecipe = ValidationRecipe()
    tokenizer: TokenizerRecipe = TokenizerRecipe()
    packing: PackingRecipe = PackingRecipe()
    shard_bytes: Annotated[int, BYTES] = Field(default=256_000_000, ge=1)
    join: bool = True
    plugins: tuple[str, ...] = ()
    limit: Annotated[int | None, COUNT] = Field(default=None, ge=1)
    sample: str | None = None
    alarms: AlarmsRecipe = AlarmsRecipe()

    def resolved(self) -> dict[str, Any]:
        """What decides the outputs, as JSON values, with all defaults: all but the alarms."""
        value = self.model_dump(mode="json", exclude={"alarms": True, "domains": {"__all__": {"alarms"}}})
        # named where there are any
        left = {"plugins": self.plugins, "across": self.across.stages, "limit": self.limit, "sample": self.sample}
        return {key: entry for key, entry in value.items() if left.get(key, True)}

    def alarms_of(self, domain: str) -> Alarms:
        """The alarms of a domain: its own, else the recipe's; those of the recipe where it is none of its domains."""
        own = self.domains[domain].alarms.alarms() if domain in self.domains else Alarms()
        return own.over(self.alarms.alarms())

    def weights(self) -> Mixture:
        """The mixture, checked."""
        return parse_mixture(self.mixture, "the recipe's mixture")

    def sampled(self, limit: int | None, sample: str | None) -> Recipe:
        """The recipe over the first `limit` records of each raw file, or over a part of all; None is what it says itself."""
        given = {"limit": limit, "sample": sample}
        recipe = self.model_copy(update={name: value for name, value in given.items() if value is not None})
        recipe.ingest_config()
        return recipe

    def ingest_config(self) -> IngestConfig:
        """The settings of every domain's `ingest` besides its reader's."""
        return IngestConfig(shard_bytes=self.shard_bytes, limit=self.limit, sample=self.sample)


def load_recipe(name: str, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Recipe:
    """Read and check a recipe, values of some sections replaced by `overrides` (section -> key -> value).

    Everything wrong in it is one UsageError sentence, before any work begins. The plug-in files it names are loaded.
    """
    return parse_recipe(name, load_recipe_file(name), Path(name).parent, overrides)


def parse_recipe(
    name: str, value: Any, folder: Path, overrides: Mapping[str, Mapping[str, Any]] | None = None
) -> Recipe:
    """`load_recipe` from what a recipe file holds; the paths of its plug-ins begin in `folder`."""
    if not isinstance(value, dict):
        raise UsageError(f"recipe {name} is no table: it needs the sections domains, tokenizer and mixture.")
    if "mixture" in value and "domains" not in value:
        raise UsageError(
            f"recipe {name} holds only a mixture, so corpus run lacks its sections domains and tokenizer: give them in a "
            f"recipe of your own, or mix token datasets with corpus mix --weights {name}."
        )
    value = dict(value)
    for section, values in (overrides or {}).items():
        before = value.get(section) or {}
        value[section] = {**before, **values} if isinstance(before, dict) else before
    try:
        recipe = Recipe.model_validate(value)
    except ValidationError as error:
        raise UsageError(f"recipe {name}: {_sentence(error)}") from None
    load_plugins(folder / path for path in recipe.plugins)
    _check(name, recipe)
    return recipe


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong, with the nearest known key where a key is unknown."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"][:-1])
        return f"unknown key '{place}'; {nearest(str(first['loc'][-1]), known)}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message[0].lower() + message[1:]}."


def _known_keys(place: tuple[int | str, ...]) -> list[str]:
    sections: dict[str, type[BaseModel]] = {
        "domains": DomainRecipe,
        "across": AcrossRecipe,
        "alarms": AlarmsRecipe,
        "validation": ValidationRecipe,
        "tokenizer": TokenizerRecipe,
        "packing": PackingRecipe,
    }
    section = "alarms" if place[2:] == ("alarms",) else str(place[0]) if place else ""
    return list(sections.get(section, Recipe).model_fields)


def _check(name: str, recipe: Recipe) -> None:
    """Readers, stages and their settings, and that domains and mixture name the same domains."""
    for domain, entry in recipe.domains.items():
        make_reader(domain, entry)
        for stage in entry.stages:
            if len(stage) != 1:
                raise UsageError(
                    f"recipe {name}: a stage of domain {domain} is one name with its settings, not {stage}."
                )
    for stage in recipe.across.stages:
        if len(stage) != 1:
            raise UsageError(f"recipe {name}: a step of section across is one name with its settings, not {stage}.")
    for domain in recipe.across.order:
        if domain not in recipe.domains or recipe.across.order.count(domain) > 1:
            raise UsageError(
                f"recipe {name}: the order of section across names {domain}, which is not defined or named twice:"
                f" {nearest(domain, recipe.domains)}"
            )
    try:
        recipe.across.steps()
        choice_config(recipe)
        ordered = recipe_passes(recipe)
    except UsageError as error:
        raise UsageError(f"recipe {name}: {error.message}") from None
    nowhere: dict[StepRef, str] = defaultdict(str)
    for step in (step for one in ordered for step in one.steps):
        step_config(f"recipe {name}, domain {step.ref.domain}", step.name, substituted(step.settings, nowhere))
    tokenizer_config(recipe, ())
    recipe.ingest_config()
    if recipe.tokenizer.path is not None and not Path(recipe.tokenizer.path).exists():
        raise UsageError(f"recipe {name}: the tokenizer {recipe.tokenizer.path} does not exist: check its path.")
    weights = {weight.domain for weight in recipe.weights().weights}
    for domain in sorted(weights - set(recipe.domains)):
        raise UsageError(
            f"recipe {name}: the mixture names domain {domain}, which is not defined: {nearest(domain, recipe.domains)}"
        )
    for domain in sorted(set(recipe.domains) - weights):
        raise UsageError(f"recipe {name}: domain {domain} has no weight in the mixture: give it a share or epochs.")


def choice_config(recipe: Recipe) -> ChoiceConfig:
    """The configuration of the stage that chooses validation; without `min_tokens` it fills a sequence."""
    validation = recipe.validation
    return ChoiceConfig(
        validation=str(validation.fraction),
        min_documents=validation.min_documents,
        min_bytes=BYTES_PER_TOKEN * (validation.min_tokens or recipe.packing.sequence_length + 1),
        max_share_of_one_document=validation.max_share_of_one_document,
        overlap=validation.overlap,
        line_overlap=validation.line_overlap,
        near_overlap=validation.near_overlap,
        seed=validation.seed,
    )


def make_reader(domain: str, entry: DomainRecipe) -> Any:
    """The reader of a domain with the recipe's settings."""
    reader = entry.reader or domain
    if reader not in READERS:
        raise UsageError(
            f"domain {domain} needs a reader, built in or of a plug-in (--plugin FILE.py): {nearest(reader, READERS)}"
        )
    return build(f"reader {reader}", READERS.load(reader), entry.settings)


def recipe_passes(recipe: Recipe, domains: Iterable[str] | None = None) -> list[Pass]:
    """The passes over the documents of some domains (by default all), in the order in which they run."""
    steps = {}
    for domain in recipe.domains if domains is None else domains:
        entries = [next(iter(stage.items())) for stage in recipe.domains[domain].stages]
        for name, _ in entries:
            if name not in STAGES and name not in MAPS:
                raise UsageError(f"domain {domain}: there is no stage '{name}': {nearest(name, [*STAGES, *MAPS])}")
        steps[domain] = domain_steps(domain, [(name, settings, name in MAPS) for name, settings in entries])
    for step in (step for own in steps.values() for step in own):
        for ref in step.reads:
            if ref.domain in recipe.domains and ref.domain not in steps:
                raise UsageError(
                    f"step {step.ref} reads {{step: {ref}}}, and domain {ref.domain} has no input: add it, or take the"
                    " reference out."
                )
    return passes(steps, recipe.join)


def step_config(where: str, name: str, settings: Mapping[str, Any]) -> Any:
    """The configuration of step `name` with `settings`; unknown names are UsageErrors."""
    config = MAPS.load(name) if name in MAPS else STAGES.load(name).config
    return build(f"{where}, stage {name}", config, settings)


def make_stage(documents: tuple[str, ...], one: Pass, paths: Mapping[StepRef, str]) -> Stage:
    """The stage that runs a pass; `paths` are the outputs of the steps that its settings name."""
    configs = [step_config(f"domain {one.domain}", step.name, substituted(step.settings, paths)) for step in one.steps]
    first = one.steps[0]
    chain = [maps_of(config) for config in configs[0 if first.maps else 1 :]]
    maps = tuple(step for part in chain for step in part)
    if first.maps:
        stage: DocumentStage = MapStage(documents, "+".join(step.name for step in one.steps))
    else:
        stage = STAGES.load(first.name).make(documents, configs[0])
    reads = dict.fromkeys(ref for step in one.steps for ref in step.reads)
    return dataclasses.replace(stage, maps=maps, reads=tuple((str(ref), paths[ref]) for ref in reads))


def tokenizer_config(recipe: Recipe, weights: tuple[str, ...]) -> Any:
    """The configuration of the stage that trains the recipe's tokenizer; domains weigh `weights` (`domain=share`)."""
    from tokenizer.train import TrainTokenizerConfig

    wanted = recipe.tokenizer.model_dump(exclude={"path", "eod_piece"}, exclude_none=True)
    return build("the recipe's tokenizer", TrainTokenizerConfig, wanted | {"weights": weights})
