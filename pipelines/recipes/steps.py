"""What a recipe is made of on given raw files: the stages in their order, and where each writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from corpus.engine.stage import Stage
from corpus.errors import UsageError
from corpus.heldout.side import side_stage
from corpus.heldout.stage import ChoiceStage
from corpus.ingest.files import find_files
from corpus.ingest.removal import Removal, read_removal
from corpus.ingest.stage import IngestStage
from corpus.mixture.pack.stage import MixConfig, MixStage
from corpus.mixture.plan.weights import Mixture
from corpus.option import nearest
from pipelines.recipes.graph import CHOICE, INGEST, MODELS, RAW, SIDES, TRAIN, Pass, StepRef
from pipelines.recipes.recipe import (
    Recipe,
    choice_config,
    make_model,
    make_reader,
    make_stage,
    recipe_passes,
    tokenizer_config,
)

REMOVAL = "removed.json"
"""Where an output says which records it must not hold (`corpus remove`)."""
SETTLED = "settled"
"""Where the choices of settled domains lie below an output."""


@dataclass(frozen=True)
class Step:
    """One stage of the run: where it writes, how it is made once its inputs are there, and whether it stays."""

    output: str
    make: Callable[[], Stage]
    kept: bool = True
    keeps_through: tuple[str, ...] = ()
    """Of a model: through which changes, of its `inputs` or its `settings`, it is kept unless it is to be trained anew."""

    @property
    def model(self) -> str:
        """What the model is called that it trains; empty where it trains none."""
        return self.output.removeprefix(f"{MODELS}/") if self.keeps_through else ""

    @property
    def domain(self) -> str:
        """The domain of its documents or tokens; empty where it is of all: outputs are called `<what>/<domain>/…`."""
        return next(iter(self.output.split("/")[1:]), "")


@dataclass(frozen=True)
class RecipeRun:
    """A recipe, the folder of raw files with one folder per domain, and the directory to write."""

    recipe: Recipe
    raw: Path
    output: Path
    allow_missing: bool = False
    retrain: tuple[str, ...] = ()
    """Models to be trained anew where their texts have changed."""
    left: tuple[str, ...] = ()
    """Domains of which a removal has left no document: they are read, and no more."""
    cache: str = ""
    """A folder in which remote raw files stay once they were fetched."""

    def domains(self) -> dict[str, tuple[str, ...]]:
        """The domains that have input, with their file patterns; one without is an error that names it."""
        if not self.raw.is_dir():
            raise UsageError(f"input {self.raw} is no directory: give the folder that holds one folder per domain.")
        found: dict[str, tuple[str, ...]] = {}
        missing = []
        for domain, entry in self.recipe.domains.items():
            patterns = entry.patterns or make_reader(domain, entry).patterns
            try:
                find_files((str(self.folder(domain)),), patterns)
                found[domain] = entry.patterns
            except UsageError:
                missing.append(domain)
        folders = sorted(
            path.name for path in self.raw.iterdir() if path.is_dir() and path.name not in self.folders().values()
        )
        hint = (
            f" (there is a folder {folders[0]}; {nearest(folders[0], [self.folders()[domain] for domain in missing])})"
            if folders and missing
            else ""
        )
        if not found:
            raise UsageError(
                f"{self.raw} has input for no domain of the recipe: it needs {'; '.join(map(self._wanted, missing))}{hint}."
            )
        if missing and not self.allow_missing:
            raise UsageError(
                f"{self.raw} has no input for {'; '.join(map(self._wanted, missing))}{hint}: add it, or give --allow-missing to go on without."
            )
        return found

    def used(self) -> dict[str, tuple[str, ...]]:
        """The domains that the run is made of."""
        return {domain: patterns for domain, patterns in self.domains().items() if domain not in self.left}

    def _wanted(self, domain: str) -> str:
        """A domain with the folder and the patterns of its files."""
        entry = self.recipe.domains[domain]
        patterns = entry.patterns or make_reader(domain, entry).patterns
        return f"{domain} ({', '.join(patterns)} in folder {self.folders()[domain]})"

    def folder(self, domain: str) -> Path:
        """Where the raw files of a domain lie."""
        return self.recipe.folder(self.raw, domain)

    def folders(self) -> dict[str, str]:
        """The folder of each domain's raw files, relative to that of all."""
        return {domain: entry.folder or domain for domain, entry in self.recipe.domains.items()}

    def patterns(self) -> dict[str, tuple[str, ...]]:
        """The file patterns of the domains that have input."""
        return {
            domain: given or make_reader(domain, self.recipe.domains[domain]).patterns
            for domain, given in self.domains().items()
        }

    def mixture(self, domains: dict[str, tuple[str, ...]]) -> Mixture:
        """The mixture of the domains that have input."""
        weights = self.recipe.weights().weights
        return Mixture(tuple(weight for weight in weights if weight.domain in domains))

    @cached_property
    def removal(self) -> Removal:
        """The records that this output must not hold."""
        return read_removal(self.output / REMOVAL)

    @cached_property
    def _passes(self) -> list[Pass]:
        """The passes over the documents; to know the domains that have input, all raw folders are gone through."""
        return recipe_passes(self.recipe, self.used())

    @property
    def settled(self) -> dict[str, Path]:
        """The domains whose validation is chosen first, and the directory of that choice."""
        domains = [one.domain for one in self._passes if one.settles]
        return {domain: self.output / SETTLED / domain / "choice" for domain in domains}

    def _settled_side(self, domain: str) -> Path:
        """The documents of a settled domain that models are trained on: its training side, unless a step over all domains
        changes that."""
        return self.output / SETTLED / domain / TRAIN if self.recipe.across.stages else self.side(domain, TRAIN)

    def steps(self) -> Iterator[Step]:
        """All stages in order."""
        domains = self.used()
        ordered = list(self._passes)
        paths = {StepRef(domain, INGEST): str(self.output / f"documents/{domain}/00-{INGEST}") for domain in domains}
        paths |= {StepRef(domain, RAW): str(self.folder(domain)) for domain in domains}
        paths |= {one.steps[-1].ref: str(self.output / one.output) for one in ordered}
        paths |= {StepRef(domain, TRAIN): str(self._settled_side(domain)) for domain in self.settled}
        last = {domain: paths[StepRef(domain, INGEST)] for domain in domains}
        ingested: set[str] = set()
        yield from self._ingests(self.left, self.domains(), ingested)
        for domain in domains:
            yield from self._ingests([domain], domains, ingested)
            while any(one.domain == domain for one in ordered):
                yield from self._pass(ordered.pop(0), paths, last, ingested)
        for one in ordered:  # models that nothing reads
            yield from self._pass(one, paths, last, ingested)
        yield from self._across(last)
        yield from self._split(last)
        trained = "tokenizer"
        path = self.recipe.tokenizer.path
        if path is None:
            yield Step(trained, lambda: self._train_tokenizer(domains), keeps_through=("inputs", "settings"))
        model = path or str(self.output / trained)
        for domain in domains:
            yield Step(f"tokens/{domain}", partial(self._tokenize, domain, "train", model))
        yield Step("packed", lambda: self._mix(domains))
        for domain in domains:
            name = f"validation-tokens/{domain}"
            yield Step(name, partial(self._tokenize, domain, "validation", model), kept=False)
            yield Step(f"validation/{domain}", partial(self._pack_validation, domain))

    def _pass(
        self, one: Pass, paths: Mapping[StepRef, str], last: dict[str, str], ingested: set[str]
    ) -> Iterator[Step]:
        """A pass, after the reading of what it needs; `last` are the documents of each domain, before and after."""
        domains = self.used()
        read = [ref.domain for step in one.steps for ref in step.reads]
        yield from self._ingests([name for name in (one.domain, *read) if name in domains], domains, ingested)
        if one.domain == MODELS:
            raw = [ref.domain for ref in one.steps[0].reads if ref.step == RAW]
            of_raw = (self.patterns()[raw[0]], self.recipe.limit) if raw else ()
            yield Step(one.output, partial(make_model, one, paths, *of_raw), keeps_through=("inputs",))
        elif one.settles:
            yield from self._settle(one.domain, last[one.domain])
        else:
            source, last[one.domain] = last[one.domain], str(self.output / one.output)
            yield Step(one.output, partial(make_stage, (source,), one, paths), kept=False)

    def _settle(self, domain: str, documents: str) -> Iterator[Step]:
        """The choice of the validation of a domain by itself, and its training side."""
        choice, side = self.settled[domain], self._settled_side(domain)
        alone = dataclasses.replace(choice_config(self.recipe), overlap="exact", line_overlap=None, near_overlap=None)
        yield Step(_below(self.output, choice), lambda: ChoiceStage((documents,), alone), kept=False)
        make = partial(side_stage, (documents,), choice, domain, TRAIN)
        yield Step(_below(self.output, side), make, kept=side == self.side(domain, TRAIN))

    def _ingests(
        self, wanted: Iterable[str], domains: dict[str, tuple[str, ...]], ingested: set[str]
    ) -> Iterator[Step]:
        """The reading of the domains `wanted` that are not `ingested` yet."""
        for domain in dict.fromkeys(wanted):
            if domain not in ingested:
                ingested.add(domain)
                yield self._ingest(domain, domains[domain])

    def _ingest(self, domain: str, patterns: tuple[str, ...]) -> Step:
        entry = self.recipe.domains[domain]
        return Step(
            f"documents/{domain}/00-{INGEST}",
            lambda: IngestStage(
                make_reader(domain, entry),
                (str(self.folder(domain)),),
                self.recipe.ingest_config(),
                domain,
                patterns,
                self.removal.of_domain(domain),
                self.cache,
            ),
            kept=False,
        )

    def _across(self, last: dict[str, str]) -> Iterator[Step]:
        """The steps over all domains; `last` are the documents of each domain, before and after."""
        for step in self.recipe.across.steps():
            sources = tuple(last[domain] for domain in self.recipe.across.ordered(last))
            yield Step(step.output, partial(step.verdict, sources), kept=False)
            for domain, source in last.items():
                done = self._done(domain)
                output = f"documents/{domain}/{done + step.number:02d}-{step.name}"
                yield Step(output, partial(step.applied, source, str(self.output / step.output)), kept=False)
                last[domain] = str(self.output / output)

    def _split(self, last: Mapping[str, str]) -> Iterator[Step]:
        """The choice of validation of all domains, which only the sides need, and both sides of each; `last` are the
        documents of each domain."""
        sources = tuple(last.values())
        settled = tuple((domain, str(choice)) for domain, choice in self.settled.items())
        yield Step(CHOICE, lambda: ChoiceStage(sources, choice_config(self.recipe), settled), kept=False)
        for domain, source in last.items():
            for side in SIDES:
                if side == TRAIN and domain in self.settled and not self.recipe.across.stages:
                    continue  # it is there
                make = partial(side_stage, (source,), self.output / CHOICE, domain, side)
                yield Step(_below(self.output, self.side(domain, side)), make)

    def _done(self, domain: str) -> int:
        """How many passes over its documents a domain has of its own."""
        return sum(one.domain == domain and not one.settles for one in self._passes)

    def side(self, domain: str, side: str) -> Path:
        """The directory of a domain's documents for training or for validation."""
        done = self._done(domain) + len(self.recipe.across.stages)
        return self.output / f"documents/{domain}/{done + 1 + SIDES.index(side):02d}-{side}"

    def _train_tokenizer(self, domains: dict[str, tuple[str, ...]]) -> Stage:
        from tokenizer.train import TrainTokenizerStage

        weights = [(w.domain, w.share) for w in self.mixture(domains).weights if w.share is not None]
        config = tokenizer_config(self.recipe, tuple(f"{domain}={float(share)}" for domain, share in weights))
        return TrainTokenizerStage(tuple(str(self.side(domain, "train")) for domain in domains), config)

    def _tokenize(self, domain: str, side: str, model: str) -> Stage:
        from tokenizer.tokenize import TokenizeConfig, TokenizeStage

        packing = self.recipe.packing
        most = packing.sequence_length + 1 if packing.cut else None
        tokenizer = self.recipe.tokenizer
        config = TokenizeConfig(tokenizer.eod_piece, tokenizer.bos_piece, most)
        return TokenizeStage((str(self.side(domain, side)),), model, config)

    def _mix(self, domains: dict[str, tuple[str, ...]]) -> Stage:
        packing, budget = self.recipe.packing, self.recipe.budget
        config = MixConfig(
            tokens=budget.tokens,
            basis=budget.basis,
            exhausted=budget.exhausted,
            sequence_length=packing.sequence_length,
            packing=packing.packing,
            row_order=packing.row_order,
            seed=packing.seed,
            shard_bytes=self.recipe.shard_bytes,
        )
        tokens = tuple(str(self.output / "tokens" / domain) for domain in domains)
        return MixStage(tokens, config, self.mixture(domains))

    def _pack_validation(self, domain: str) -> Stage:
        config = MixConfig(
            split="validation",
            sequence_length=self.recipe.packing.sequence_length,
            min_documents=self.recipe.validation.min_documents,
        )
        return MixStage((str(self.output / "validation-tokens" / domain),), config)


def _below(output: Path, path: Path) -> str:
    return path.relative_to(output).as_posix()
