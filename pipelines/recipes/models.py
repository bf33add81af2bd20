"""The section `models` of a recipe: what is trained on documents of the run itself, and judges documents of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.config import build
from corpus.data.dataset import Dataset
from corpus.data.manifest import MANIFEST, Manifest
from corpus.engine.stage import Stage
from corpus.errors import UsageError
from corpus.quality.classifier import TrainClassifierConfig, TrainClassifierStage
from corpus.quality.classifier import summary as classifier_lines
from corpus.quality.lm.cutoffs import CutoffsConfig, CutoffsStage
from corpus.quality.lm.cutoffs import summary as cutoffs_lines
from corpus.quality.lm.stage import TrainLmConfig, TrainLmStage
from corpus.quality.lm.stage import summary as lm_lines
from pipelines.readers.links import LinksStage, ReferencesConfig
from pipelines.readers.links import summary as links_line

Inputs = Mapping[str, tuple[str, ...]]
"""Directories of documents, or of raw files, by the setting that names them."""


@dataclass(frozen=True)
class ModelKind:
    """What a step of the section is made from: its configuration, the settings besides that name what it reads (those in
    `optional` may be left out), how the stage is made of both, and what is said of its output."""

    config: type[Any]
    inputs: tuple[str, ...]
    make: Callable[[Inputs, Any, tuple[str, ...]], Stage]
    """The last argument: the file patterns of raw files, where it reads any."""
    lines: Callable[[Manifest], list[str]]
    optional: tuple[str, ...] = ()

    def parts(self, where: str, settings: Mapping[str, Any]) -> tuple[Inputs, Any]:
        """What it reads, and its configuration; a UsageError where either is wrong."""
        found = {}
        for name in (*self.inputs, *self.optional):
            value = settings.get(name, () if name in self.optional else None)
            paths = (value,) if isinstance(value, str) else value
            if not isinstance(paths, list | tuple) or not all(isinstance(path, str) for path in paths):
                raise UsageError(f"{where}: {name} is missing or no path: give {{step: domain/step}}.")
            found[name] = tuple(paths)
        rest = {name: value for name, value in settings.items() if name not in found}
        return found, build(where, self.config, rest)


TRAIN_LM = ModelKind(
    TrainLmConfig,
    ("documents",),
    lambda inputs, config, patterns: TrainLmStage(inputs["documents"], config),
    lambda manifest: lm_lines(manifest.extra["lm"]).split("\n"),
)
LM_CUTOFFS = ModelKind(
    CutoffsConfig,
    ("documents",),
    lambda inputs, config, patterns: CutoffsStage(inputs["documents"], config),
    lambda manifest: cutoffs_lines(manifest.extra["cutoffs"], manifest.config["min_documents"]),
)
REFERENCES = ModelKind(
    ReferencesConfig,
    ("dumps",),
    lambda inputs, config, patterns: LinksStage(inputs["dumps"], patterns, config),
    lambda manifest: [links_line(manifest)],
)
TRAIN_CLASSIFIER = ModelKind(
    TrainClassifierConfig,
    ("negative",),
    lambda inputs, config, patterns: TrainClassifierStage(
        (*inputs["positive"], *inputs["negative"]), len(inputs["positive"]), config
    ),
    lambda manifest: classifier_lines(manifest.extra["classifier"]),
    optional=("positive",),
)


def model_lines(output: Path, names: list[str], kinds: Mapping[str, ModelKind]) -> Iterator[str]:
    """What each model of a run is, or why there is none; `names` are the outputs of the run below `output`."""
    for name in names:
        if name.startswith("models/") and (output / name / MANIFEST).exists():
            manifest = Dataset.open(output / name).manifest
            kind = kinds.get(manifest.stage)
            for number, line in enumerate(kind.lines(manifest) if kind else ()):
                yield f"{name + ':' if not number else '':20} {line}"
