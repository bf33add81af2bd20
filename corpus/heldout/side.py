"""Map `side`: the documents of one side of a split, by a choice that was made before (`corpus.heldout.stage`)."""

from __future__ import annotations

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
    JOINED,
    LEFT,
    LIMIT,
    LINES_IN_TRAINING,
    NEAR_TRAINING,
    OTHER_SIDE,
    REPEATED,
    REPEATED_TEXT,
    TRAINED,
    Choice,
    Keys,
    Texts,
    among,
    choice_folder,
    hash_ids,
    hash_texts,
    load_mapped,
    read_choice,
)
from corpus.option import option, option_required

SIDES = ("train", "validation")
_OF_BOTH = (LIMIT, LEFT, JOINED)
"""The files that say which texts are held out."""
_DROPPED = {TRAINED: IN_TRAINING, "lines.npy": LINES_IN_TRAINING, "near.npy": NEAR_TRAINING}
"""Why the documents with the texts of these lists are dropped from validation."""


@dataclass(frozen=True)
class _Chosen:
    """The choice of a domain as it was read: its tables are mapped from their files."""

    choice: Choice
    repeated: Keys
    dropped: Mapping[str, Texts]


@dataclass(frozen=True)
class Side(DocumentMap):
    """Keeps the documents of one side of a domain, by their texts and, for one of several equal ones, by their ids.

    What decides the result is which texts are held out for `train`, and for `validation` also what is dropped of it; so
    the training side is the same whatever validation is compared with, and what other domains do not share changes
    neither.
    """

    name: ClassVar[str] = "side"
    unlisted: ClassVar[frozenset[str]] = frozenset({OTHER_SIDE})

    choice: str = option_required("The directory of the choice.", metavar="DIR")
    domain: str = option_required("The domain of the documents.")
    side: Literal["train", "validation"] = option("train", "Which of the two sides to keep.")

    def __post_init__(self) -> None:
        if self.side not in SIDES:
            raise UsageError(f"side is '{self.side}': give train or validation.")

    def files(self) -> Mapping[str, Path]:
        dataset = Dataset.open(self.choice, "choice")
        place = choice_folder(dataset, self.domain)
        tables = [Path(entry.name) for entry in dataset.manifest.files if Path(entry.name).parent == place]
        wanted = [path for path in tables if path.name in _OF_BOTH or self.side == "validation"]
        return {"choice" if path.name == LIMIT else path.stem: dataset.path / path for path in wanted}

    def prepare(self) -> None:
        self._chosen()

    def _chosen(self) -> _Chosen:
        return _read(self.choice, self.domain, _state(Path(self.choice)))

    def apply(self, batch: DocumentBatch) -> Mapped:
        chosen = self._chosen()
        texts = hash_texts(batch.column("text"), chosen.choice.seed)
        held_out = chosen.choice.held_out(texts)
        if self.side == "train":
            return Mapped(reasons=[OTHER_SIDE if other else None for other in held_out.tolist()])
        reasons: list[str | None] = [OTHER_SIDE] * batch.num_rows
        rows = np.flatnonzero(held_out)
        repeated = among(hash_ids(batch.column("id").take(rows), chosen.choice.seed), chosen.repeated)
        listed = {reason: among(texts[rows], table) for reason, table in chosen.dropped.items()}
        for at, row in enumerate(rows.tolist()):
            why = (reason for reason, found in listed.items() if found[at])
            reasons[row] = REPEATED_TEXT if repeated[at] else next(why, None)
        return Mapped(reasons=reasons)


def side_stage(documents: tuple[str, ...], choice: Path, domain: str, side: str) -> MapStage:
    """The stage `split`, which writes one side of the documents of a domain of a choice."""
    settings = {"choice": str(choice), "domain": domain, "side": side}
    return MapStage(documents, "split", maps=(build("split", Side, settings),))


@lru_cache(maxsize=4)
def _read(choice: str, domain: str, state: tuple[tuple[int, int], ...]) -> _Chosen:
    """Every batch asks; the state of the files tells whether what was read, and checked, still holds."""
    dataset = Dataset.open(choice, "choice")
    folder = dataset.path / choice_folder(dataset, domain)
    chosen = read_choice(choice, domain)
    lists = {reason: folder / name for name, reason in _DROPPED.items()}
    dropped = {reason: load_mapped(path) for reason, path in lists.items() if path.exists()}
    return _Chosen(chosen, load_mapped(folder / REPEATED), dropped)


def _state(choice: Path) -> tuple[tuple[int, int], ...]:
    """When each file of a choice was changed, and its size."""
    states = (path.stat() for path in sorted((choice / FOLDER).glob("*/*")))
    return tuple((state.st_mtime_ns, state.st_size) for state in states)
