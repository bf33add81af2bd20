"""What training has of the held-out documents: the phases of a comparison that drops documents of validation."""

from __future__ import annotations

import heapq
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus.decontaminate.comparison import Comparison
from corpus.engine.commit import Commit
from corpus.engine.result import task_directory
from corpus.engine.stage import Phase
from corpus.engine.task import Task
from corpus.heldout.choice import FOLDER, Hashes, Keys

HELD_OUT = np.dtype([("id", np.uint64), ("bytes", np.int64)])
"""The hash of the id of a held-out document, and the bytes of its text."""
_DOCUMENTS, _DROPPED = "documents.npy", "dropped.npy"


@dataclass(frozen=True)
class Overlap(Comparison):
    """The held-out documents are gathered, a task for each piece of the documents; then they are compared with training,
    and those that training has too much of are dropped, but for as many as keep `min_bytes` of text in validation."""

    gather_phase: ClassVar[str]
    reason: ClassVar[str]
    """Why the documents are dropped."""
    file: ClassVar[str]
    """The list of them in the folder of the choice: uint64[k], the hashes of their ids, ascending."""
    kept_as: ClassVar[str]
    """What the manifest calls the number of those that stay though training has too much of them."""

    gathers: int
    """How many tasks gather."""
    min_bytes: int

    def phases(self) -> tuple[Phase, ...]:
        return (Phase(self.gather_phase, self.gathers), *super().phases())

    def hold_out(self, task: Task, hashes: Hashes, batches: Iterable[pa.RecordBatch]) -> None:
        """Gather the held-out documents of a piece: their `DOCUMENT_HASH`es, and their batches with `columns`."""
        documents = np.empty(len(hashes), HELD_OUT)
        documents["id"], documents["bytes"] = hashes["id"], hashes["bytes"]
        np.save(task.directory / _DOCUMENTS, documents)
        self.gather(task.directory, len(hashes), batches)

    @abstractmethod
    def gather(self, directory: Path, documents: int, batches: Iterable[pa.RecordBatch]) -> None:
        """Keep what the comparison needs of the documents of `batches`, which are `documents` in number."""

    def gathered(self, task: Task) -> list[Path]:
        """Where the tasks that gather left the held-out documents, in order."""
        return [task_directory(task.work, self.gather_phase, index) for index in range(self.gathers)]

    def drop(self, task: Task, ids: Keys, kept: int) -> None:
        """Leave the decision: the documents to drop, and how many others stay though training has too much of them."""
        np.save(task.directory / _DROPPED, np.sort(ids))
        task.note("dropped", len(ids))
        task.note("kept", kept)

    def dropped(self, work: Path) -> Keys:
        """What was decided: the hashes of ids, ascending."""
        return np.asarray(np.load(task_directory(work, self.decide_phase, 0) / _DROPPED, mmap_mode="r"))

    def finish(self, commit: Commit) -> None:
        """Add the decision to the output."""
        (decided,) = commit.results[self.decide_phase]
        commit.adopt(decided.directory / _DROPPED, f"{FOLDER}/{self.file}")
        commit.extra[self.kept_as] = decided.notes["kept"]


def held_out_documents(folders: Iterable[Path]) -> npt.NDArray[np.void]:
    """The held-out documents that tasks gathered in `folders`: `HELD_OUT`[n], in the order of the input."""
    return np.concatenate([np.empty(0, HELD_OUT), *(np.load(folder / _DOCUMENTS) for folder in folders)])


def keep_enough(
    dropped: npt.NDArray[np.bool_],
    overlap: Callable[[int], Fraction],
    size: npt.NDArray[np.int64],
    min_bytes: int,
) -> tuple[npt.NDArray[np.bool_], int]:
    """Which of the documents to drop (bool[n]) go indeed, so that the others have at least `min_bytes` and are not none.

    All have `size` bytes each. While more are needed, the one with the least `overlap` stays (of equals, the first).
    Also gives how many stayed so.
    """
    dropped = dropped.copy()
    left, others = int(size[~dropped].sum()), int((~dropped).sum())
    kept, several = 0, 64
    # those that stay are found without sorting all: many can be dropped
    while not (others and left >= min_bytes) and dropped.any():
        ranked = ((overlap(int(at)), int(at)) for at in np.flatnonzero(dropped))
        for _, at in heapq.nsmallest(several, ranked):
            if others and left >= min_bytes:
                break
            dropped[at] = False
            left, others, kept = left + int(size[at]), others + 1, kept + 1
        several *= 4
    return dropped, kept
