"""A recipe: one YAML file that says how raw dumps become a training set. Unknown keys are errors.

Sections: `domains` (per domain its reader, file patterns and stages), `models` (trained on documents of the run, to judge documents of the run), `across` (steps over all of them), `validation`, `tokenizer`, `packing`, `mixture`, `budget`;
`shard_bytes` for all stages, `plugins`, the files that add readers and steps, and `alarms`, also of a domain, which decide
no byte.
"""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import BaseModel, Field, ValidationError

from corpus.config import build
from corpus.engine.alarms import Alarms
from corpus.engine.document_map import DocumentMap, maps_of
from corpus.engine.document_stage import DocumentStage, MapStage
from corpus.engine.stage import Stage
from corpus.errors import UsageError
from corpus.heldout.config import ChoiceConfig
from corpus.ingest.config import IngestConfig
from corpus.mixture.plan.recipe_file import load_recipe_file
from corpus.mixture.plan.weights import Mixture, parse_mixture
from corpus.option import nearest
from corpus.plugins import load_plugins
from pipelines.readers.registry import READERS
from pipelines.recipes.graph import MODELS as MODELS_SECTION
from pipelines.recipes.graph import (
    TRAIN,
    GraphStep,
    Pass,
    StepRef,
    domain_steps,
    model_step,
    passes,
    substituted,
    without_entries,
    without_rules,
)
from pipelines.recipes.registry import MAPS, MODELS, STAGES
from pipelines.recipes.sections import (
    BYTES,
    COUNT,
    AcrossRecipe,
    AlarmsRecipe,
    BudgetRecipe,
    DomainRecipe,
    PackingRecipe,
    Section,
    TokenizerRecipe,
    ValidationRecipe,
)

MODEL_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9-]*")
BYTES_PER_TOKEN = 16
"""Bytes of text that validation takes for each token it should have: more than any text has, so that it has them."""


class Recipe(Section):
    """A whole recipe as it was written, checked."""

    domains: dict[str, DomainRecipe]
    """The domains by name; each is made from its folder of raw files."""
    mixture: dict[str, Any]
    """Of each domain its share of the tokens and its epochs, as the paper has them."""
    shares_sum: float | None = None
    """What the shares add up to where it is not 100, as a paper prints them."""
    models: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict)
    """Models that are trained on documents of the run and judge documents of the run, by name: one kind each, with its settings."""
    across: AcrossRecipe = AcrossRecipe()
    """Steps over all domains together, after their own."""
    validation: ValidationRecipe = ValidationRecipe()
    """What is held out of training."""
    tokenizer: TokenizerRecipe = TokenizerRecipe()
    """Which tokenizer is trained or taken."""
    packing: PackingRecipe = PackingRecipe()
    """How ids become training sequences."""
    budget: BudgetRecipe = BudgetRecipe()
    """How much of the mixture is made; left out, as the epochs say."""
    shard_bytes: Annotated[int, BYTES] = Field(default=256_000_000, ge=1)
    """Bytes after which ingest and the packed set begin another shard."""
    join: bool = True
    """Whether neighbours over one document at a time run in one pass."""
    plugins: tuple[str, ...] = ()
    """Files that add readers and steps, relative to the recipe."""
    limit: Annotated[int | None, COUNT] = Field(default=None, ge=1)
    """Only the first so many records of each raw file."""
    sample: str | None = None
    """A part of the records, by a hash of their ids, as 1%."""
    alarms: AlarmsRecipe = AlarmsRecipe()
    """How much may be set aside or dropped."""

    def resolved(self) -> dict[str, Any]:
        """What decides the outputs, as JSON values, with all defaults: all but the alarms and downloads."""
        value = self.model_dump(mode="json", exclude={"alarms": True, "domains": {"__all__": {"alarms", "download"}}})
        if self.tokenizer.bos_piece is None:
            del value["tokenizer"]["bos_piece"]
        # named where there are any
        for section, name, usual in (("tokenizer", "train", True), ("packing", "cut", False)):
            if value[section][name] == usual:
                del value[section][name]
        for entry in value["domains"].values():
            if not entry["folder"]:
                del entry["folder"]
        left = {
            "shares_sum": self.shares_sum,
            "models": self.models,
            "budget": self.budget != BudgetRecipe(),
            "plugins": self.plugins,
            "across": self.across.stages,
            "limit": self.limit,
            "sample": self.sample,
        }
        return {key: entry for key, entry in value.items() if left.get(key, True)}

    def alarms_of(self, domain: str) -> Alarms:
        """The alarms of a domain: its own, else the recipe's; those of the recipe where it is none of its domains."""
        own = self.domains[domain].alarms.alarms() if domain in self.domains else Alarms()
        return own.over(self.alarms.alarms())

    def weights(self) -> Mixture:
        """The mixture, checked."""
        whole = {"mixture": self.mixture}
        declared = {} if self.shares_sum is None else {"shares_sum": self.shares_sum}
        return parse_mixture(whole | declared, "the recipe's mixture")

    def folder(self, raw: Path, domain: str) -> Path:
        """Where the raw files of a domain lie below `raw`."""
        return raw / (self.domains[domain].folder or domain)

    def without_texts_of(self, evaluations: Iterable[str]) -> Recipe:
        """The recipe with a last step over all domains that takes the texts of evaluation sets out."""
        step = {"decontaminate": {"against": [*evaluations]}}
        if not step["decontaminate"]["against"]:
            return self
        across = self.across.model_copy(update={"stages": (*self.across.stages, step)})
        across.steps()
        return self.model_copy(update={"across": across})

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
        "budget": BudgetRecipe,
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
    _check_models(name, recipe)
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
    nowhere: dict[StepRef, str] = defaultdict(lambda: "a step")  # no path, but not nothing either
    for step in (step for one in ordered for step in one.steps):
        settings = substituted(step.settings, nowhere)
        if step.ref.domain == MODELS_SECTION:
            MODELS.load(step.name).parts(f"recipe {name}, model {step.ref.step}", settings)
        elif step.ref.step != TRAIN:
            where = f"recipe {name}, domain {step.ref.domain}"
            config = step_config(where, step.name, settings)
            if not step.reads:
                check_files(f"{where}, step {step.name}", config)
    for across in recipe.across.steps():
        check_files(f"recipe {name}, section across, step {across.name}", across.config)
    if recipe.tokenizer.path is None and not recipe.tokenizer.train:
        raise UsageError(
            f"recipe {name} trains no tokenizer: give that of the model to be fine-tuned with --tokenizer (in a recipe of "
            "your own tokenizer.path)."
        )
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


def _check_models(name: str, recipe: Recipe) -> None:
    """The names and kinds of the models."""
    for model, kind in recipe.models.items():
        if len(kind) != 1:
            raise UsageError(f"recipe {name}: model {model} is one kind with its settings, not {kind}.")
        if next(iter(kind)) not in MODELS:
            raise UsageError(
                f"recipe {name}: there is no model '{next(iter(kind))}': {nearest(next(iter(kind)), MODELS)}"
            )
        if model == "tokenizer" or not MODEL_NAME.fullmatch(model):
            raise UsageError(f"recipe {name}: a model cannot be called '{model}': take letters, digits and dashes.")
    if MODELS_SECTION in recipe.domains:
        raise UsageError(f"recipe {name}: a domain cannot be called models, as the section is.")
    for domain, entry in recipe.domains.items():
        if TRAIN in (next(iter(stage)) for stage in entry.stages):
            raise UsageError(
                f"recipe {name}: domain {domain}: a stage cannot be called train, as the training side is."
            )


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
    """The passes over the documents of some domains (by default all) and the models, in the order in which they run.

    Entries of lists, such as rules, that need a domain without input are left out, and so is what has none left.
    """
    there = set(recipe.domains if domains is None else domains)
    models, lost = _models(recipe, there)
    steps = {}
    for domain in recipe.domains if domains is None else domains:
        entries = [next(iter(stage.items())) for stage in recipe.domains[domain].stages]
        for name, _ in entries:
            if name not in STAGES and name not in MAPS:
                raise UsageError(f"domain {domain}: there is no stage '{name}': {nearest(name, [*STAGES, *MAPS])}")
        left = [(without_rules if name == "filter" else without_entries)(settings, lost) for name, settings in entries]
        named = [(name, found, name in MAPS) for (name, _), found in zip(entries, left, strict=True)]
        pairs = zip(domain_steps(domain, named), entries, left, strict=True)
        steps[domain] = [step for step, (_, settings), found in pairs if found or not settings]
    for step in (step for own in steps.values() for step in own):
        for ref in step.reads:
            missing = ref in lost or (ref.domain in recipe.domains and ref.domain not in there)
            if missing:
                raise UsageError(
                    f"step {step.ref} reads {{step: {ref}}}, and domain {lost.get(ref, ref.domain)} has no input: add it, or"
                    " take the reference out."
                )
    return passes(steps, recipe.join, models)


def lost_models(recipe: Recipe, domains: Collection[str]) -> list[str]:
    """What is left out since models lack a domain, in words."""
    _, lost = _models(recipe, domains)
    return [
        f"{ref} is not made, since there is no {domain}; rules that need it are left out"
        for ref, domain in lost.items()
    ]


def _models(recipe: Recipe, domains: Collection[str]) -> tuple[list[GraphStep], dict[StepRef, str]]:
    """The models that can be made of these domains, and the others with the domain that they lack."""
    lost: dict[StepRef, str] = {}
    every = [model_step(name, *next(iter(kind.items()))) for name, kind in recipe.models.items()]
    absent = {ref for step in every for ref in step.reads if ref.domain in recipe.domains and ref.domain not in domains}
    while True:
        gone = absent | set(lost)
        left = [model_step(step.ref.step, step.name, without_entries(step.settings, gone)) for step in every]
        pairs = [(step.ref, ref) for step in left for ref in step.reads if step.ref not in lost and ref in gone]
        found = {model: lost.get(ref, ref.domain) for model, ref in pairs}
        lost |= found
        if not found:
            return [step for step in left if step.ref not in lost], lost


def step_config(where: str, name: str, settings: Mapping[str, Any]) -> Any:
    """The configuration of step `name` with `settings`; unknown names are UsageErrors."""
    config = MAPS.load(name) if name in MAPS else STAGES.load(name).config
    return build(f"{where}, stage {name}", config, settings)


def check_files(where: str, config: Any) -> None:
    """That the files and datasets that a step's settings name are there."""
    maps = maps_of(config) if isinstance(config, DocumentMap) or hasattr(config, "maps") else ()
    named = [*getattr(config, "against", ()), *(path for step in maps for path in step.files().values())]
    for path in map(Path, named):
        if not path.exists():
            raise UsageError(f"{where}: {path} does not exist: check the path.")


def make_model(
    one: Pass, paths: Mapping[StepRef, str], patterns: tuple[str, ...] = (), limit: int | None = None
) -> Stage:
    """The stage that trains a model; of the raw files that it reads, `patterns` are theirs, and `limit` is of their records."""
    step = one.steps[0]
    kind = MODELS.load(step.name)
    settings = ({} if limit is None else {"limit": limit}) | substituted(step.settings, paths)
    return cast(Stage, kind.make(*kind.parts(f"model {step.ref.step}", settings), patterns))


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

    wanted = recipe.tokenizer.model_dump(exclude={"path", "eod_piece", "bos_piece", "train"}, exclude_none=True)
    return build("the recipe's tokenizer", TrainTokenizerConfig, wanted | {"weights": weights})
