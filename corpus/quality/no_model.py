"""What stages that train a model say where they had too little to train one: rules that name their output judge nothing."""

from __future__ import annotations

from pathlib import Path

from corpus.data.dataset import Dataset
from corpus.data.manifest import MANIFEST
from corpus.data.schema import Kind

NO_MODEL = "no_model"
"""The key of their report that says why there is none."""


def why_no_model(folder: Path, kind: Kind) -> str:
    """Why the output of such a stage, a dataset of this kind, has no model; empty where it has one, or is another path."""
    if not (folder / MANIFEST).exists():
        return ""
    report = Dataset.open(folder, kind).manifest.extra[kind]
    return str(report.get(NO_MODEL, ""))
