"""What training has of the held-out documents: the phases of a comparison that drops documents of validation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
from corpus.heldout.choice import FOLDER, Hashes, Texts, load_mapped

_DOCUMENTS, _DROPPED = "documents.npy", "dropped.npy"
PAIRS = "pairs"
"""The note of the deciding task: [domain of validation, place of training, documents dropped] for each pair with any."""


@dataclass(frozen=True)
class Overlap(Comparison):
    """The held-out documents are gathered, a task for each piece of the documents; then they are compared with training,
    and those that training has too much of are dropped. What becomes of a document follows from its text and from
    training, so copies of it in several domains are dropped together."""

    gather_phase: ClassVar[str]
    reason: ClassVar[str]
    """Why the documents are dropped."""
    file: ClassVar[str]
    """The list of them in the folder of each domain: S16[k], the hashes of their texts, ascending."""

    gathers: Sequence[int]
    """The domain of each task that gathers, by its number."""
    places: Sequence[int]
    """What training each scan reads: the number of a domain, or higher ones for further training."""

    def phases(self) -> tuple[Phase, ...]:
        """The phases, in order."""
        return (Phase(self.gather_phase, len(self.gathers)), *super().phases())

    def hold_out(self, task: Task, hashes: Hashes, batches: Iterable[pa.RecordBatch]) -> None:
        """Gather the held-out documents of a piece: their `DOCUMENT_HASH`es, and their batches with `columns`."""
        np.save(task.directory / _DOCUMENTS, hashes["text"])
        self.gather(task.directory, len(hashes), batches)

    @abstractmethod
    def gather(self, directory: Path, documents: int, batches: Iterable[pa.RecordBatch]) -> None:
        """Keep what the comparison needs of the documents of `batches`, which are `documents` in number."""

    def gathered(self, task: Task) -> list[Path]:
        """Where the tasks that gather left the held-out documents, in order."""
        return [task_directory(task.work, self.gather_phase, index) for index in range(len(self.gathers))]

    def drop(self, task: Task, dropped: npt.NDArray[np.bool_], places: npt.NDArray[np.int64]) -> None:
        """Leave the decision: which of the gathered documents to drop, and what training is named for each (a place)."""
        own = [np.load(folder / _DOCUMENTS) for folder in self.gathered(task)]
        texts = np.concatenate([np.empty(0, "S16"), *own])
        domains = np.repeat(np.array(self.gathers, np.int64), [len(part) for part in own])
        pairs, counts = np.unique(np.stack([domains, places])[:, dropped], axis=1, return_counts=True)
        np.save(task.directory / _DROPPED, np.unique(texts[dropped]))
        for domain in sorted(set(self.gathers)):
            np.save(_of_domain(task.directory, domain), np.unique(texts[dropped & (domains == domain)]))
        task.note(PAIRS, [[*pair, count] for pair, count in zip(pairs.T.tolist(), counts.tolist(), strict=True)])

    def dropped(self, work: Path) -> Texts:
        """What was decided: the hashes of texts (S16[k], ascending)."""
        return load_mapped(task_directory(work, self.decide_phase, 0) / _DROPPED)

    def finish(self, commit: Commit) -> None:
        """Add the decision to the output."""
        (decided,) = commit.results[self.decide_phase]
        for domain in sorted(set(self.gathers)):
            commit.adopt(_of_domain(decided.directory, domain), f"{FOLDER}/{domain:05d}/{self.file}")


def _of_domain(directory: Path, domain: int) -> Path:
    return directory / f"{domain:05d}-{_DROPPED}"
