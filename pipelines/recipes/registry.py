"""The steps that a domain can go through, by name."""

from __future__ import annotations

from corpus.registry import Registry

_STAGES = {"dedup": "corpus.dedup.levels:DEDUP", "decontaminate": "corpus.decontaminate.stage:DECONTAMINATE"}
_MAPS = {
    "langid": "corpus.quality.langid:Langid",
    "filter": "corpus.quality.filter:FilterConfig",
    "fim": "pipelines.recipes.fim:FillInTheMiddle",
}

_MODELS = {
    "train-lm": "pipelines.recipes.models:TRAIN_LM",
    "lm-cutoffs": "pipelines.recipes.models:LM_CUTOFFS",
    "references": "pipelines.recipes.models:REFERENCES",
    "train-classifier": "pipelines.recipes.models:TRAIN_CLASSIFIER",
}

_OTHERS = (
    "ingest",
    "dedup-keys",
    "judge-duplicates",
    "judge-contamination",
    "choose-validation",
    "split",
    "train-tokenizer",
    "tokenize",
    "mix",
)
"""Stages that no section of a recipe names, or that are commands alone."""

STAGES = Registry("stage", "corpusmill.stages", _STAGES, reserved=_MAPS)
"""The stages over all documents that a domain may go through between ingest and split: each a `StageKind`."""
MAPS = Registry("document map", "corpusmill.maps", _MAPS, reserved=_STAGES)
"""The steps over one document at a time: each a class of document maps, or a configuration with a method `maps`."""
MODELS = Registry("model", "corpusmill.models", _MODELS)
"""What the section `models` of a recipe may train: each a `ModelKind`."""


def stage_names() -> set[str]:
    """What stages are called, of plug-ins too."""
    return {*_OTHERS, *STAGES, *MAPS, *MODELS}
