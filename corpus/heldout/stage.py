"""Documents -> the choice of those that are held out of training for validation, by a hash of the document's id.

A document is held out when the seeded hash of its id is below the fraction asked for. Where that gives less than
`min_bytes` of text, the documents with the next smallest hashes join, until it is enough or half of all text is reached;
at least one joins. All others are training. The two sides are written by `corpus.heldout.side`.

A held-out document is dropped from validation where its whole text also occurs in training, or where training has the
lines on which more than `line_overlap` of its text stands, or, with `near_overlap`, where the similarity (Jaccard index)
of its word 5-grams (`corpus.heldout.near`) and those of a training document is that or more. Where the latter two would
leave less than `min_bytes`, those with the least of such lines, or the least similar, stay. For these two, datasets of
`training` count as training as well, with all their documents.

Phases: `hash` (id, text and size of every document: 32 bytes each, on disk), `choose` (the limit of the hashes, and the
texts on both sides; holds those arrays for validation), for lines `lines` (those of held-out documents: 16 bytes each, on
disk), `table` (tables of their hashes, in parts that memory holds), `scan` (the lines of training, one time for each part)
and `compare`, for near-duplicates `shingles` (the 5-grams of what is left: 8 bytes each, on disk), `index` (an inverted
index of them in parts), `match` (training by it, one time for each part) and `decide`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from corpus.data.manifest import Counts
from corpus.decontaminate.comparison import read_piece
from corpus.engine.commit import Commit
from corpus.engine.inputs import Piece, dataset_inputs, input_pieces, open_inputs
from corpus.engine.piecewise import ReadingStage
from corpus.engine.result import task_directory
from corpus.engine.stage import Estimate, InputRef, Phase
from corpus.engine.task import Task
from corpus.errors import DataError, UsageError
from corpus.heldout.choice import (
    DOCUMENT_HASH,
    FOLDER,
    IN_TRAINING,
    LIMIT,
    OTHER_SIDE,
    TEXTS,
    Choice,
    Hashes,
    among,
    choose,
    hash_documents,
)
from corpus.option import SHARDS_ARE_INHERITED, option
from corpus.quantity import parse_fraction, parse_share, parse_similarity

if TYPE_CHECKING:
    from corpus.data.dataset import Dataset
    from corpus.heldout.overlap import Overlap

_CHOSEN_BYTES = 160
"""Memory for each held-out document while they are chosen."""
_CHUNK = 1 << 17


@dataclass(frozen=True)
class ChoiceConfig:
    """Settings of `corpus split`: which documents are for validation."""

    removed: ClassVar[Mapping[str, str]] = SHARDS_ARE_INHERITED

    validation: str = option("0.1%", "Part of the documents that is for validation, as 0.1% or 0.001; at most 50%.")
    min_bytes: int = option(16_000, "Text that validation has at least (it fills a row), up to half of all text.")
    line_overlap: str = option(
        "50%", "Drop validation documents with more of their text than this on lines of training; 100% keeps them."
    )
    near_overlap: str | None = option(
        None,
        "Drop validation documents at least this similar (Jaccard index of word 5-grams) to one of training, as 75%.",
        metavar="SHARE",
    )
    training: tuple[str, ...] = option(
        (),
        "Documents that are trained on too, as of other domains: their lines and near-duplicates count as training's.",
        metavar="DOCS",
    )
    seed: int = option(0, "Seed of the choice.")

    def __post_init__(self) -> None:
        parse_fraction(self.validation)
        parse_share(self.line_overlap)
        if self.near_overlap is not None:
            parse_similarity(self.near_overlap)
        if self.min_bytes < 0:
            raise UsageError(f"--min-bytes {self.min_bytes} is less than zero; give the bytes of text you need.")
        if self.training and self.near_overlap is None and parse_share(self.line_overlap) == 1:
            raise UsageError(
                "--training is of no use with --line-overlap 100%: give less than that, or --near-overlap as 75%."
            )


@dataclass(frozen=True)
class ChoiceStage(ReadingStage):
    """Documents -> the limit of the hashes of ids, and the held-out documents to drop."""

    name: ClassVar[str] = "choose-validation"
    kind: ClassVar[str] = "choice"
    unit: ClassVar[str] = "documents"

    settings: ChoiceConfig

    def config(self) -> Mapping[str, Any]:
        settings = self.settings
        wanted = settings.near_overlap
        near = {} if wanted is None else {"near_overlap": str(parse_similarity(wanted))}
        # how many of the inputs, the last ones, are only compared with
        training = {"training": len(self._training)} if self._training else {}
        return {
            "validation": str(parse_fraction(settings.validation)),
            "min_bytes": settings.min_bytes,
            "line_overlap": str(parse_share(settings.line_overlap)),
            "seed": settings.seed,
        } | (near | training)

    def inputs(self) -> tuple[InputRef, ...]:
        own = super().inputs()
        further = dataset_inputs(self._training)
        for path, ref in zip((dataset.path for dataset in self._training), further, strict=True):
            if any(ref.digest == other.digest for other in own):
                raise UsageError(f"--training {path} is among the documents to split: leave it out there.")
        return (*own, *further)

    def input_paths(self) -> tuple[Path, ...]:
        return (*super().input_paths(), *map(Path, self.settings.training))

    def may_be_empty(self) -> bool:
        """A choice has no rows."""
        return True

    @cached_property
    def overlaps(self) -> tuple[Overlap, ...]:
        """The comparisons with training, in order: a document that one drops is not compared by the next."""
        found: list[Overlap] = []
        tasks, scans = len(self.pieces), len(self.pieces) + len(self._further)
        settings = self.settings
        if parse_share(settings.line_overlap) < 1:
            from corpus.heldout.lines import LineOverlap

            found.append(LineOverlap(scans, tasks, settings.min_bytes, parse_share(settings.line_overlap)))
        if settings.near_overlap is not None:
            from corpus.heldout.near import NearOverlap

            found.append(NearOverlap(scans, tasks, settings.min_bytes, parse_similarity(settings.near_overlap)))
        return tuple(found)

    def phases(self) -> tuple[Phase, ...]:
        compared = (phase for overlap in self.overlaps for phase in overlap.phases())
        return (Phase("hash", len(self.pieces)), Phase("choose", 1), *compared)

    @cached_property
    def _training(self) -> tuple[Dataset, ...]:
        """Further training: which documents are held out is the same with and without."""
        return open_inputs(self.settings.training) if self.settings.training else ()

    @cached_property
    def _further(self) -> list[Piece]:
        return input_pieces(self._training)

    def estimate(self) -> Estimate:
        rows, size, settings = self.input_rows, self.input_bytes(), self.settings
        part = max(parse_fraction(settings.validation), Fraction(min(settings.min_bytes, size // 2), max(1, size)))
        # two bytes of shingles for each of text, 8 for a word; of lines 16 for a line, and as much in their table
        disk = int(2 * len(self.overlaps) * size * part) + DOCUMENT_HASH.itemsize * rows
        return Estimate(memory=64_000_000 + int(_CHOSEN_BYTES * rows * part), disk=disk)

    def run(self, phase: str, index: int, task: Task) -> None:
        if phase == "hash":
            self._hash(index, task)
        elif phase == "choose":
            self._choose(task)
        else:
            self._compare(phase, index, task)

    def _compare(self, phase: str, index: int, task: Task) -> None:
        """Do one task of the comparison that has the phase."""
        names = [[entry.name for entry in overlap.phases()] for overlap in self.overlaps]
        number = next(number for number, own in enumerate(names) if phase in own)
        overlap = self.overlaps[number]
        if phase == overlap.gather_phase:
            self._hold_out(number, index, task)
        else:
            overlap.run(phase, task, lambda: self._trained(index, task, overlap.columns))

    def _hash(self, index: int, task: Task) -> None:
        domains: set[str] = set()
        rows = 0
        with (task.directory / "hashes").open("wb") as file:
            for batch in read_piece(self.pieces[index], task, ["id", "text", "domain"]):
                hash_documents(batch, self.settings.seed).tofile(file)
                domains.update(batch.column("domain").unique().to_pylist())
                rows += batch.num_rows
        task.count(seen=rows, kept=rows)
        task.note("domains", sorted(domains))

    def _choose(self, task: Task) -> None:
        tasks = len(self.pieces)
        domains = sorted({name for result in task.results("hash", tasks) for name in result.notes["domains"]})
        if len(domains) > 1:
            raise DataError(
                f"The documents are of several domains ({', '.join(domains)}); split each by itself, so that each gets "
                "validation documents."
            )
        fraction = parse_fraction(self.settings.validation)
        try:
            choice = choose(lambda: _all_hashes(task.work, tasks), fraction, self.settings.min_bytes)
        except DataError as error:
            raise DataError(f"{', '.join(self.documents)}: {error.message}") from None
        choice.save(task.directory, self.settings.seed)
        task.note("limit", f"{choice.limit:016x}")
        task.note("held_out", choice.held_out)
        task.note("twins", choice.twins)

    def _hold_out(self, number: int, index: int, task: Task) -> None:
        """Gather the held-out documents of a piece that neither their text nor an earlier comparison has dropped."""
        overlap = self.overlaps[number]
        hashes = np.fromfile(_hash_file(task.work, index), DOCUMENT_HASH)
        left = _choice(task.work).good(hashes)
        for earlier in self.overlaps[:number]:
            left &= ~among(hashes["id"], earlier.dropped(task.work))

        def batches() -> Iterator[pa.RecordBatch]:
            first = 0
            for batch in read_piece(self.pieces[index], task, overlap.columns):
                yield batch.filter(pa.array(left[first : first + batch.num_rows]))
                first += batch.num_rows

        overlap.hold_out(task, hashes[left], batches())

    def _trained(self, index: int, task: Task, columns: Iterable[str]) -> Iterator[pa.RecordBatch]:
        """The documents of training in a piece; those of further training come after the documents."""
        if index >= len(self.pieces):
            yield from read_piece(self._further[index - len(self.pieces)], task, columns)
            return
        choice = _choice(task.work)
        with _hash_file(task.work, index).open("rb") as file:
            for batch in read_piece(self.pieces[index], task, columns):
                hashes = np.fromfile(file, DOCUMENT_HASH, batch.num_rows)
                yield batch.filter(pa.array(~choice.chosen(hashes["id"])))

    def finish(self, commit: Commit) -> None:
        (chosen,) = commit.results["choose"]
        commit.extra["limit"] = chosen.notes["limit"]
        commit.adopt(chosen.directory / LIMIT, f"{FOLDER}/{LIMIT}")
        commit.adopt(chosen.directory / TEXTS, f"{FOLDER}/{TEXTS}")
        seen = commit.counts[self.unit].seen
        dropped = {OTHER_SIDE: seen - chosen.notes["held_out"], IN_TRAINING: chosen.notes["twins"]}
        for overlap in self.overlaps:
            overlap.finish(commit)
            dropped[overlap.reason] = commit.results[overlap.decide_phase][0].notes["dropped"]
        kept = seen - sum(dropped.values())
        commit.counts[self.unit] = Counts(seen, kept, 0, {reason: n for reason, n in dropped.items() if n})
        commit.totals["documents"] = kept


def _choice(work: Path) -> Choice:
    return Choice.load(task_directory(work, "choose", 0))


def _hash_file(work: Path, index: int) -> Path:
    return task_directory(work, "hash", index) / "hashes"


def _all_hashes(work: Path, tasks: int) -> Iterator[Hashes]:
    """The hashes of all documents, a part at a time."""
    for index in range(tasks):
        with _hash_file(work, index).open("rb") as file:
            while len(part := np.fromfile(file, DOCUMENT_HASH, _CHUNK)):
                yield part
