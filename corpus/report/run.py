"""What a report is made from: the datasets of a run, in order, and how they hang together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from corpus.data.dataset import Dataset
from corpus.data.manifest import MANIFEST, Counts, Manifest
from corpus.data.run_state import short_name
from corpus.data.verify import PLAN, find_datasets, missing_outputs, read_plan, run_finished
from corpus.engine.inputs import SAMPLE
from corpus.errors import DataError, UsageError

UNITS = ("records", "documents")
"""The units of which a stage of documents counts one: what came in whole."""
_NAMED = 10
"""Lost datasets that are named."""


@dataclass
class CorpusRun:
    """The finished datasets of a run, or those below a folder. Manifests are read, rows are not."""

    path: Path
    datasets: list[Dataset] = field(init=False)

    def __post_init__(self) -> None:
        if not self.path.is_dir():
            raise UsageError(f"{self.path} does not exist: give the output of corpus run.")
        paths = (
            [self.path / name for name in read_plan(self.path)["outputs"]] if self.planned else find_datasets(self.path)
        )
        self.datasets = [Dataset.open(path) for path in paths if (path / MANIFEST).exists()]
        if not self.datasets:
            raise UsageError(f"{self.path} holds no finished dataset: give the output of corpus run.")
        self._by_digest = {dataset.digest: dataset for dataset in self.datasets}
        if not self.planned:
            self.datasets = self._in_order()

    def _in_order(self) -> list[Dataset]:
        """Each dataset after those that it was made from, else by name."""
        found: dict[Path, Dataset] = {}

        def visit(dataset: Dataset) -> None:
            for source in () if dataset.path in found else self.inputs(dataset):
                visit(source)
            found.setdefault(dataset.path, dataset)

        for dataset in self.datasets:
            visit(dataset)
        return list(found.values())

    @property
    def planned(self) -> bool:
        """Whether `corpus run` wrote it."""
        return (self.path / PLAN).exists()

    @property
    def lost(self) -> list[str]:
        """What a finished run kept and is no longer there: paths relative to the run's."""
        if not self.planned or not run_finished(self.path):
            return []
        return [path.relative_to(self.path).as_posix() for path, _ in missing_outputs(self.path)]

    @property
    def finished(self) -> bool:
        """Whether all of the run is there; of a folder that no run wrote all is what is there."""
        return not self.planned or (run_finished(self.path) and not self.lost)

    @property
    def warnings(self) -> list[str]:
        """Sentences on what the figures are not: of all of the run, of all raw records, of one line of stages."""
        said = []
        if lost := self.lost:
            more = f" and {len(lost) - _NAMED:,} more" if len(lost) > _NAMED else ""
            said.append(
                f"This run was finished, and has lost datasets since: {', '.join(lost[:_NAMED])}{more}. What was in them"
                " is missing here: give the command of corpus run again."
            )
        elif not self.finished:
            said.append("This run is not finished: what is missing here was not made yet.")
        if marks := self._samples():
            said.append(f"This run is over a sample of its raw records: {'; '.join(marks)}.")
        return [*said, *self._branches()]

    def _samples(self) -> list[str]:
        """Of which parts of the raw records the datasets are, in words."""
        found: dict[str, None] = {}
        for mark in (d.manifest.extra[SAMPLE] for d in self.datasets if SAMPLE in d.manifest.extra):
            parts = [f"{mark['share']} of the records (--sample {mark['share']})"] if "share" in mark else []
            if "limit" in mark:
                parts.append(f"the first {mark['limit']:,} of each raw file (--limit {mark['limit']})")
            found[", of ".join(parts)] = None
        return list(found)

    def _branches(self) -> list[str]:
        """Of each domain of a folder that no run wrote: that it has several beginnings or ends, where it has."""
        used = {entry["digest"] for dataset in self.datasets for entry in dataset.manifest.inputs}
        said = []
        for domain, chain in self.chains.items() if not self.planned else ():
            first = [self.name(d) for d in chain if not any(s.manifest.kind == "documents" for s in self.inputs(d))]
            ends = [self.name(d) for d in chain if d.digest not in used and not is_validation(d)]
            if len(first) > 1:
                said.append(
                    f"{domain} begins with {', '.join(first)}, which have no source here: raw records are counted of"
                    f" {first[0]} alone."
                )
            if len(ends) > 1:
                said.append(
                    f"{domain} ends with {', '.join(ends)}: what is left is counted of {self.name(self.last[domain])}"
                    " alone."
                )
        return said

    def name(self, dataset: Dataset) -> str:
        """The short name of a dataset, as `wikipedia/filter`."""
        return short_name(dataset.path.relative_to(self.path).as_posix())

    def of_kind(self, *kinds: str) -> list[Dataset]:
        """The datasets of these kinds, in order."""
        return [dataset for dataset in self.datasets if dataset.manifest.kind in kinds]

    def inputs(self, dataset: Dataset) -> list[Dataset]:
        """The datasets of the run that one was made from."""
        found = (self._by_digest.get(entry["digest"]) for entry in dataset.manifest.inputs)
        return [source for source in found if source is not None]

    @cached_property
    def chains(self) -> dict[str, list[Dataset]]:
        """Of each domain its datasets of documents, in order."""
        found: dict[str, list[Dataset]] = {}
        for dataset in self.of_kind("documents"):
            names = dataset.manifest.extra.get("domains") or [dataset.path.parent.name]
            found.setdefault("+".join(map(str, names)), []).append(dataset)
        if self.planned:
            return found
        parts = {domain: self._related(chain) for domain, chain in found.items()}
        return {
            domain if len(several) == 1 else f"{domain} from {self.name(part[0])}": part
            for domain, several in parts.items()
            for part in several
        }

    def _related(self, chain: list[Dataset]) -> list[list[Dataset]]:
        """A chain in parts that no dataset joins, each in order."""
        parts: list[list[Dataset]] = []
        for dataset in chain:
            sources = {source.path for source in self._before(dataset)}
            joined = [part for part in parts if any(other.path in sources for other in part)]
            parts = [part for part in parts if part not in joined]
            parts.append([*(other for part in joined for other in part), dataset])
        return sorted(parts, key=lambda part: chain.index(part[0]))

    def _before(self, dataset: Dataset) -> list[Dataset]:
        """All that a dataset was made from."""
        found: dict[Path, Dataset] = {}
        left = [dataset]
        while left:
            new = [source for source in self.inputs(left.pop()) if source.path not in found]
            found |= {source.path: source for source in new}
            left += new
        return list(found.values())

    @cached_property
    def last(self) -> dict[str, Dataset]:
        """Of each domain the documents that are trained on: those from which tokens were made, or the last ones."""
        made = {entry["digest"] for dataset in self.of_kind("tokens") for entry in dataset.manifest.inputs}
        found = {}
        for domain, chain in self.chains.items():
            training = [dataset for dataset in chain if not is_validation(dataset)] or chain
            found[domain] = next((d for d in reversed(training) if d.digest in made), training[-1])
        return found

    @cached_property
    def packed(self) -> Dataset | None:
        """The packed set to train on, where there is one."""
        sets = [d for d in self.of_kind("packed") if d.manifest.extra.get("split") != "validation"]
        return sets[-1] if sets else None

    @cached_property
    def recipe(self) -> Mapping[str, Any]:
        """The recipe, resolved; empty where no run wrote one."""
        path = self.path / "recipe.yaml"
        try:
            value = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, yaml.YAMLError) as error:
            why = str(error).splitlines()[0]
            raise DataError(f"{path} cannot be read ({why}): run corpus run again.") from None
        return value if isinstance(value, dict) else {}

    @property
    def recipe_text(self) -> str:
        """The recipe as it was written."""
        path = self.path / "recipe.yaml"
        return path.read_text(encoding="utf-8") if path.exists() else ""


def is_validation(dataset: Dataset) -> bool:
    """Whether it is the validation side of a split."""
    return any(entry.get("side") == "validation" for entry in dataset.manifest.config.get("maps", ()))


def whole(manifest: Manifest) -> Counts:
    """What became of the records or documents that came into a stage."""
    return next((manifest.counts[unit] for unit in UNITS if unit in manifest.counts), Counts())


def side_report(dataset: Dataset) -> dict[str, Any]:
    """`_report.json` of a dataset, checked; empty where it has none."""
    for entry in dataset.manifest.files:
        if entry.name == "_report.json":
            value: dict[str, Any] = json.loads(dataset.stored(entry).read())
            return value
    return {}


def logged(dataset: Dataset) -> dict[str, Any]:
    """What its stage took; empty where the log is gone (it is no part of a dataset)."""
    try:
        value = json.loads((dataset.path / "_log" / "finished.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def drop_entries(dataset: Dataset) -> Iterator[tuple[str, str, int]]:
    """The reasons of a stage's drops, each with the map that dropped (empty for the stage itself) and how many."""
    manifest = dataset.manifest
    unlisted = manifest.extra.get("unlisted", ())
    left = dict(whole(manifest).dropped)
    for entry in manifest.extra.get("maps", ()):
        for reason, number in entry["counts"]["dropped"].items():
            left[reason] = left.get(reason, 0) - number
            if reason not in unlisted:
                yield entry["map"], reason, number
    for reason, number in left.items():
        if number > 0 and reason not in unlisted:
            yield "", reason, number
