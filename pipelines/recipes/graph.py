"""The steps of a recipe as a graph: which step reads what, in which order they run, and which run in one pass.

A step reads the one before it in its domain. A setting can also name any other step's output, as
`{step: wikipedia/filter}` in the place of a path: the step then runs after that one. Neighbours that look at one document
at a time are joined with the step before them, unless another step reads what lies between.

A model (section `models`) is a step of no domain, `models/<name>`. `domain/train` are the documents of a domain that training
may see: a domain of which a step reads them is *settled*, its validation is chosen before that of all others, so that the
choice does not wait for models that wait for it. `domain/raw` are its raw files, which only models read.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corpus.errors import UsageError
from corpus.option import nearest

INGEST = "ingest"
CHOICE = "validation-choice"
"""Where the choice of validation is below the output of the run."""
SIDES = ("train", "validation")
TRAIN, RAW, MODELS = "train", "raw", "models"
"""The training side of a settled domain, the raw files of a domain, and the place of models among domains."""


@dataclass(frozen=True)
class StepRef:
    """A reference to a step of a domain: `domain/step`; the second step of one name in a domain is `name.2`."""

    domain: str
    step: str

    @classmethod
    def parse(cls, where: str, text: object) -> StepRef:
        """Read `domain/step`."""
        parts = str(text).split("/")
        if len(parts) != 2 or not all(parts):
            raise UsageError(f"{where}: {{step: {text}}} is not domain/step, such as wikipedia/filter: write it so.")
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.domain}/{self.step}"


@dataclass(frozen=True, eq=False)
class GraphStep:
    """One step of a domain as the recipe has it: its stage or map, its settings, and the steps that these name."""

    ref: StepRef
    name: str
    settings: Mapping[str, Any]
    reads: tuple[StepRef, ...]
    maps: bool
    """Whether it is a chain of document maps, which can be joined to the step before it."""


@dataclass(frozen=True, eq=False)
class Pass:
    """Steps that run in one pass over the documents, and the folder they write: `documents/<domain>/<NN>-<a>+<b>`."""

    steps: tuple[GraphStep, ...]
    number: int

    @property
    def domain(self) -> str:
        """The domain."""
        return self.steps[0].ref.domain

    @property
    def settles(self) -> bool:
        """Whether it chooses the validation of its domain, for the documents of the training side."""
        return self.steps[0].ref.step == TRAIN

    @property
    def output(self) -> str:
        """The folder below the output of the run."""
        if self.domain == MODELS:
            return str(self.steps[0].ref)
        return f"documents/{self.domain}/{self.number:02d}-{'+'.join(step.name for step in self.steps)}"


def references(where: str, settings: Any) -> Iterator[StepRef]:
    """The steps that settings name, wherever in them."""
    if isinstance(settings, Mapping):
        if set(settings) == {"step"}:
            yield StepRef.parse(where, settings["step"])
            return
        settings = list(settings.values())
    if isinstance(settings, list | tuple):
        for value in settings:
            yield from references(where, value)


def substituted(settings: Mapping[str, Any], paths: Mapping[StepRef, str]) -> dict[str, Any]:
    """The settings with every value `{step: …}` replaced by the path of that step's output."""
    return {key: _substituted(value, paths) for key, value in settings.items()}


def _substituted(settings: Any, paths: Mapping[StepRef, str]) -> Any:
    if isinstance(settings, Mapping):
        if set(settings) == {"step"}:
            return paths[StepRef.parse("", settings["step"])]
        return {key: _substituted(value, paths) for key, value in settings.items()}
    if isinstance(settings, list | tuple):
        return [_substituted(value, paths) for value in settings]
    return settings


def without_entries(settings: Mapping[str, Any], lost: Collection[StepRef]) -> dict[str, Any]:
    """The settings without those entries of lists that name a step in `lost`; a list that would have none left stays."""
    return {key: _without(value, lost) for key, value in settings.items()}


def without_rules(settings: Mapping[str, Any], lost: Collection[StepRef]) -> dict[str, Any]:
    """The settings of a filter without the rules that name a step in `lost`, and without the sampling by a score of theirs;
    empty where nothing is left to filter by."""
    rules = settings.get("rules", ())
    gone = [rule for rule in rules if any(ref in lost for ref in references("", rule))]
    if not gone:
        return dict(settings)
    left = [rule for rule in rules if rule not in gone]
    scores = {name for rule in gone for name in rule} - {
        name for rule in left if isinstance(rule, Mapping) for name in rule
    }
    sampled = settings.get("sample_by_score") not in scores
    found = {
        name: left if name == "rules" else value
        for name, value in settings.items()
        if sampled or not name.startswith("sample_")
    }
    return found if left or found.keys() & {"languages", "where", "sample_by_score"} else {}


def _without(value: Any, lost: Collection[StepRef]) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(entry, lost) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        left = [entry for entry in value if not any(ref in lost for ref in references("", entry))]
        return [_without(entry, lost) for entry in left] if left else value
    return value


def domain_steps(domain: str, stages: Sequence[tuple[str, Mapping[str, Any], bool]]) -> list[GraphStep]:
    """The steps of a domain from its stages: name, settings, and whether they are document maps."""
    seen: dict[str, int] = {}
    steps = []
    for name, settings, maps in stages:
        seen[name] = seen.get(name, 0) + 1
        ref = StepRef(domain, name if seen[name] == 1 else f"{name}.{seen[name]}")
        where = f"domain {domain}, stage {name}"
        reads = tuple(ref for value in settings.values() for ref in references(where, value))
        steps.append(GraphStep(ref, name, settings, reads, maps))
    return steps


def model_step(name: str, kind: str, settings: Mapping[str, Any]) -> GraphStep:
    """A model of the recipe as a step."""
    reads = tuple(ref for value in settings.values() for ref in references(f"model {name}", value))
    return GraphStep(StepRef(MODELS, name), kind, settings, reads, False)


def passes(domains: Mapping[str, Sequence[GraphStep]], join: bool, models: Sequence[GraphStep] = ()) -> list[Pass]:
    """The passes of all domains and the models in the order in which they run: that of the recipe, but each after those it
    reads.

    A UsageError names a step that does not exist, and steps that wait for each other.
    """
    every = [*(step for steps in domains.values() for step in steps), *models]
    read = {ref for step in every for ref in step.reads}
    settled = [domain for domain in domains if StepRef(domain, TRAIN) in read]
    _check_known(domains, models)
    chains = {
        domain: [*steps, *([GraphStep(StepRef(domain, TRAIN), TRAIN, {}, (), False)] if domain in settled else ())]
        for domain, steps in domains.items()
    }
    found = [one for steps in chains.values() for one in _joined(steps, read if join else None)]
    found += [Pass((step,), number) for number, step in enumerate(models, start=1)]
    owner = {step.ref: one for one in found for step in one.steps}
    before: dict[Pass, Pass] = {}
    for first, second in itertools.pairwise(found):
        if first.domain == second.domain != MODELS:
            before[second] = first
    ordered: list[Pass] = []
    for one in found:
        _visit(one, owner, before, ordered, [])
    return ordered


def _check_known(domains: Mapping[str, Sequence[GraphStep]], models: Sequence[GraphStep]) -> None:
    known = {str(step.ref) for steps in (*domains.values(), models) for step in steps}
    known |= {f"{domain}/{name}" for domain in domains for name in (INGEST, TRAIN)}
    raw = {f"{domain}/{RAW}" for domain in domains}
    for steps in (*domains.values(), models):
        for step in steps:
            for ref in step.reads:
                if str(ref) not in (known | raw if step.ref.domain == MODELS else known):
                    raise UsageError(
                        f"step {step.ref} reads {{step: {ref}}}, which does not exist: {nearest(str(ref), known)}"
                    )


def _joined(steps: Sequence[GraphStep], read: set[StepRef] | None) -> list[Pass]:
    """The steps of a domain in passes; `read` are the steps that others name, None joins nothing."""
    groups: list[list[GraphStep]] = []
    for step in steps:
        if groups and step.maps and read is not None and groups[-1][-1].ref not in read:
            groups[-1].append(step)
        else:
            groups.append([step])
    return [Pass(tuple(group), number) for number, group in enumerate(groups, start=1)]


def _visit(
    one: Pass, owner: Mapping[StepRef, Pass], before: Mapping[Pass, Pass], ordered: list[Pass], path: list[Pass]
) -> None:
    if one in ordered:
        return
    if one in path:
        circle = " -> ".join(str(entry.steps[-1].ref) for entry in [*path[path.index(one) :], one])
        raise UsageError(f"steps of the recipe wait for each other ({circle}): take one of the references out.")
    needed = [before[one]] if one in before else []
    needed += [owner[ref] for step in one.steps for ref in step.reads if ref in owner]
    for other in needed:
        _visit(other, owner, before, ordered, [*path, one])
    ordered.append(one)
