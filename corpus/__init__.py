"""corpusmill: raw dumps in, packed pretraining shards out. The `corpus` command lives in `corpus.cli`.

What is named in `__all__` is for use from Python: opening datasets, running recipes and stages, and writing readers, maps,
rules and stages of one's own. It is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# by name the module and the function are the same: the function has to be there first
from corpus.option import option
from corpus.version import __version__

if TYPE_CHECKING:
    from corpus.api import OpenDataset, OpenRun, open_run, run, run_stage
    from corpus.api import open_dataset as open
    from corpus.data.columns import Column
    from corpus.data.manifest import Counts, Manifest
    from corpus.engine.document_map import DocumentBatch, Mapped
    from corpus.engine.document_map import DocumentMap as Map
    from corpus.engine.document_stage import DocumentStage, MapStage, StageKind
    from corpus.engine.stage import Phase, Stage
    from corpus.engine.task import Task
    from corpus.errors import DataError, UsageError
    from corpus.ingest.reader import Item, Merged, RawFile, Reader, Record, Skipped, SurveyingReader, Unreadable
    from corpus.plugins import load_plugins
    from corpus.quality.rules.rule import CleaningRule, Rule, TextView

__all__ = [
    "CleaningRule",
    "Column",
    "Counts",
    "DataError",
    "DocumentBatch",
    "DocumentStage",
    "Item",
    "Manifest",
    "Map",
    "MapStage",
    "Mapped",
    "Merged",
    "OpenDataset",
    "OpenRun",
    "Phase",
    "RawFile",
    "Reader",
    "Record",
    "Rule",
    "Skipped",
    "Stage",
    "StageKind",
    "SurveyingReader",
    "Task",
    "TextView",
    "Unreadable",
    "UsageError",
    "__version__",
    "load_plugins",
    "open",
    "open_run",
    "option",
    "run",
    "run_stage",
]

_PLACES = {
    "corpus.api": ("OpenDataset", "OpenRun", "open_dataset", "open_run", "run", "run_stage"),
    "corpus.data.columns": ("Column",),
    "corpus.data.manifest": ("Counts", "Manifest"),
    "corpus.engine.document_map": ("DocumentBatch", "DocumentMap", "Mapped"),
    "corpus.engine.document_stage": ("DocumentStage", "MapStage", "StageKind"),
    "corpus.engine.stage": ("Phase", "Stage"),
    "corpus.engine.task": ("Task",),
    "corpus.errors": ("DataError", "UsageError"),
    "corpus.ingest.reader": (
        "Item",
        "Merged",
        "RawFile",
        "Reader",
        "Record",
        "Skipped",
        "SurveyingReader",
        "Unreadable",
    ),
    "corpus.plugins": ("load_plugins",),
    "corpus.quality.rules.rule": ("CleaningRule", "Rule", "TextView"),
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names}
_OTHER_NAMES = {"Map": "DocumentMap", "open": "open_dataset"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'corpus' has no attribute '{name}'")
    inner = _OTHER_NAMES.get(name, name)
    return getattr(importlib.import_module(_MODULES[inner]), inner)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
