"""Map `side`: the documents of one side of a split, by a choice that was made before (`corpus.heldout.stage`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from corpus.config import build
from corpus.data.dataset import Dataset
from corpus.engine.document_map import DocumentBatch, DocumentMap, Mapped
from corpus.engine.document_stage import MapStage
from corpus.errors import UsageError
from corpus.heldout.choice import (
    FOLDER,
    IN_TRAINING,
    LIMIT,
    LINES_IN_TRAINING,
    NEAR_TRAINING,
    OTHER_SIDE,
    Choice,
    Keys,
    among,
    hash_ids,
    hash_texts,
)
from corpus.option import option, option_required

SIDES = ("train", "validation")
_DROPPED = {"lines": LINES_IN_TRAINING, "near": NEAR_TRAINING}
"""Why the documents of the lists of a choice are dropped, by the names of the files."""


@dataclass(frozen=True)
class _Chosen:
    """A choice as it was read: its tables are mapped from their files."""

    choice: Choice
    seed: int
    dropped: Mapping[str, Keys]


@dataclass(frozen=True)
class Side(DocumentMap):
    """Keeps the documents of one side. Which that is follows from a document's id and, where it is held out, its text.

    What decides the result is the limit of the hashes alone for `train`, and for `validation` also what is dropped of it;
    so the training side is the same whatever validation is compared with.
    """

    name: ClassVar[str] = "side"
    unlisted: ClassVar[frozenset[str]] = frozenset({OTHER_SIDE})

    choice: str = option_required("The directory of the choice.", metavar="DIR")
    side: Literal["train", "validation"] = option("train", "Which of the two sides to keep.")

    def __post_init__(self) -> None:
        if self.side not in SIDES:
            raise UsageError(f"side is '{self.side}': give train or validation.")

    def files(self) -> Mapping[str, Path]:
        dataset = Dataset.open(self.choice, "choice")
        limit = Path(FOLDER, LIMIT)
        tables = [Path(entry.name) for entry in dataset.manifest.files if entry.name.startswith(f"{FOLDER}/")]
        further = {path.stem: dataset.path / path for path in tables if path != limit and self.side == "validation"}
        return {"choice": dataset.path / limit} | further

    def prepare(self) -> None:
        self._chosen()

    def _chosen(self) -> _Chosen:
        folder = Path(self.choice, FOLDER)
        status = (folder / LIMIT).stat()
        return _read(folder, status.st_mtime_ns, status.st_size)

    def apply(self, batch: DocumentBatch) -> Mapped:
        chosen = self._chosen()
        ids = hash_ids(batch.column("id"), chosen.seed)
        held_out = chosen.choice.chosen(ids)
        if self.side == "train":
            return Mapped(reasons=[OTHER_SIDE if other else None for other in held_out.tolist()])
        reasons: list[str | None] = [OTHER_SIDE] * batch.num_rows
        rows = np.flatnonzero(held_out)
        twins = chosen.choice.overlapping(hash_texts(batch.column("text").take(rows)))
        listed = {reason: among(ids[rows], keys) for reason, keys in chosen.dropped.items()}
        for at, row in enumerate(rows.tolist()):
            why = (reason for reason, found in listed.items() if found[at])
            reasons[row] = IN_TRAINING if twins[at] else next(why, None)
        return Mapped(reasons=reasons)


def side_stage(documents: tuple[str, ...], choice: Path, side: str) -> MapStage:
    """The stage `split`, which writes one side of the documents of a choice."""
    return MapStage(documents, "split", maps=(build("split", Side, {"choice": str(choice), "side": side}),))


@lru_cache(maxsize=4)
def _read(folder: Path, changed: int, size: int) -> _Chosen:
    """Every batch asks; the time of change and the size tell whether what was read still holds."""
    seed = json.loads((folder / LIMIT).read_text(encoding="utf-8"))["seed"]
    paths = {reason: folder / f"{name}.npy" for name, reason in _DROPPED.items()}
    dropped = {reason: np.load(path, mmap_mode="r") for reason, path in paths.items() if path.exists()}
    return _Chosen(Choice.load(folder), seed, dropped)
