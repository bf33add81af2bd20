"""Documents of a domain -> those that a verdict over several domains (`corpus.dedup.verdict`) leaves it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus.data.dataset import Dataset
from corpus.data.files import digest_of
from corpus.dedup.verdict import FOLDER, REMOVED
from corpus.engine.document_stage import DocumentStage
from corpus.engine.stage import Phase
from corpus.engine.task import Task
from corpus.errors import UsageError


@dataclass(frozen=True)
class WithoutStage(DocumentStage):
    """One dataset of a domain without the documents that a verdict removes. What it depends on is what goes and why, not
    the other domains nor their order."""

    name: ClassVar[str] = "dedup"

    verdict: str

    def check(self) -> None:
        super().check()
        _ = self._files

    def step_config(self) -> Mapping[str, Any]:
        judged = self._verdict.manifest
        files = {path.name: entry for path, entry in self._files.items()}
        return {"across": judged.config, "removed": digest_of([files, self._reasons])}

    def input_paths(self) -> tuple[Path, ...]:
        return (*super().input_paths(), Path(self.verdict))

    def work_phases(self) -> tuple[Phase, ...]:
        return (Phase("write", len(self.pieces)),)

    @cached_property
    def _verdict(self) -> Dataset:
        return Dataset.open(self.verdict, "verdict")

    @cached_property
    def _place(self) -> int:
        """The number of the documents among the datasets of the verdict."""
        (dataset,) = self.datasets
        judged: list[str] = self._verdict.manifest.extra["datasets"]
        if dataset.digest not in judged:
            raise UsageError(f"{self.verdict} has not judged {dataset.path}, or it has changed since: judge it anew.")
        return judged.index(dataset.digest)

    @cached_property
    def _files(self) -> dict[Path, str]:
        """The files of the verdict on this domain, with their checksums."""
        place = Path(FOLDER, f"{self._place:05d}")
        files = self._verdict.manifest.files
        return {Path(entry.name): entry.checksum for entry in files if Path(entry.name).parent == place}

    @cached_property
    def _reasons(self) -> list[str]:
        """Why documents go, by the domain of those that stay for them."""
        extra = self._verdict.manifest.extra
        own = self._place
        return [
            extra["reason"] if number == own else f"{extra['reason']} in {name}"
            for number, name in enumerate(extra["domains"])
        ]

    def _removed(self, index: int) -> npt.NDArray[np.void]:
        file = self._verdict.files(f"{FOLDER}/{self._place:05d}").get(f"{index:05d}.npy")
        return np.empty(0, REMOVED) if file is None else file.array()

    def work(self, phase: str, index: int, task: Task) -> None:
        removed, writer, first = self._removed(index), self.writer(task), 0
        for batch in self.pieces[index].batches():
            begin, end = np.searchsorted(removed["row"], (first, first + batch.num_rows)).tolist()
            stays = np.ones(batch.num_rows, np.bool_)
            stays[removed["row"][begin:end].astype(np.int64) - first] = False
            for row, domain in zip(np.flatnonzero(~stays).tolist(), removed["domain"][begin:end].tolist(), strict=True):
                task.drop(batch["id"][row].as_py(), self._reasons[domain], batch["text"][row].as_py())
            task.count(seen=batch.num_rows)
            writer.write(batch.filter(pa.array(stays)) if begin < end else batch)
            task.progress(documents=batch.num_rows, bytes=batch.nbytes)
            first += batch.num_rows


def verdict_lines(verdict: Dataset) -> Iterator[str]:
    """What a verdict removes, a line for each two domains."""
    pairs = verdict.manifest.extra.get("pairs", [])
    for removed, group in groupby(pairs, key=lambda pair: pair["removed"]):
        said = ", ".join(f"{pair['documents']:,} for those of {pair['kept']}" for pair in group)
        yield f"{removed}: {said}"
