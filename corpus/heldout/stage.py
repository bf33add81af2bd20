"""Documents of one or several domains -> the choice of those that are held out of training for validation.

A text is held out when the rank of its seeded hash is below the fraction asked for. Where that gives a domain less than
`min_bytes` of text, those of the next ranks join, until it is enough or half of the domain is reached; at least one joins.
For `min_documents` more join, up to a tenth of the domain. Texts of more than `max_share_of_one_document` of a domain's
validation stay in training, if a tenth of the domain has enough others. A text that one domain holds out is held out of all (`corpus.heldout.choice`); of equal texts in the validation of
a domain one stays. The sides are written by `corpus.heldout.side`.

Validation then loses what training has too: with `overlap` lines the documents with more than `line_overlap` of their text
on lines of training, with near also those with a similarity (Jaccard index) of `near_overlap` or more of their word 5-grams
(`corpus.heldout.near`) and those of a training document. Training is the training side of all domains, and the datasets of
`training` with all their documents; texts that these have are dropped from validation too.

Phases: `hash` (text, id and size of every document: 32 bytes each, on disk), `choose` (a task for each domain: the limit of
the ranks; holds the texts of small ranks), `join` (a task for each domain: the texts of others that it has, and repeated
ones; holds the held-out texts of all, and its own held-out documents), for lines `lines` (those of held-out documents: 16
bytes each, on disk), `table` (tables of their hashes, in parts that memory holds), `scan` (the lines of training, one time
for each part) and `compare`, for near-duplicates `shingles` (the 5-grams of what is left: 8 bytes each, on disk), `index` (an
inverted index of them in parts), `match` (training by it, one time for each part) and `decide`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from corpus.data.dataset import Dataset
from corpus.data.manifest import Counts
from corpus.decontaminate.comparison import read_piece
from corpus.engine.commit import Commit
from corpus.engine.inputs import Piece, dataset_inputs, inherited_domains, input_pieces, open_inputs
from corpus.engine.piecewise import ReadingStage
from corpus.engine.result import task_directory
from corpus.engine.stage import Estimate, InputRef, Phase
from corpus.engine.task import Task
from corpus.errors import DataError, UsageError
from corpus.heldout.accounts import accounts, removed_pairs
from corpus.heldout.choice import (
    DOCUMENT_HASH,
    FOLDER,
    JOINED,
    LEFT,
    LIMIT,
    REPEATED,
    TRAINED,
    Choice,
    Hashes,
    among,
    choose,
    hash_documents,
    load_mapped,
    read_choice,
)
from corpus.heldout.config import ChoiceConfig
from corpus.heldout.join import CHOSEN, join
from corpus.heldout.overlap import PAIRS

if TYPE_CHECKING:
    from corpus.heldout.overlap import Overlap

_CHOSEN_BYTES = 160
"""Memory for each held-out document while they are chosen."""
_CHUNK = 1 << 17


@dataclass(frozen=True)
class ChoiceStage(ReadingStage):
    """Documents -> for each domain the held-out texts, and which of their documents to drop."""

    name: ClassVar[str] = "choose-validation"
    kind: ClassVar[str] = "choice"
    unit: ClassVar[str] = "documents"

    settings: ChoiceConfig
    settled: tuple[tuple[str, str], ...] = ()
    """Domains whose validation was chosen before, by a choice of each domain alone, since models are trained on the others of
    its texts: name and directory of the choice. No text joins it; what it trains on is dropped from other validation."""

    def config(self) -> Mapping[str, Any]:
        settings = self.settings
        near = {} if settings.near is None else {"near_overlap": str(settings.near)}
        # how many of the inputs, the last ones, are only compared with
        training: dict[str, Any] = {"training": len(self._training)} if self._training else {}
        training |= {"settled": [name for name, _ in self.settled]} if self.settled else {}
        return {
            "validation": str(settings.wanted.fraction),
            "min_documents": settings.min_documents,
            "min_bytes": settings.min_bytes,
            "max_share_of_one_document": str(settings.wanted.share),
            "line_overlap": str(settings.lines),
            "seed": settings.seed,
        } | (near | training)

    def check(self) -> None:
        super().check()
        _ = self.domains

    def inputs(self) -> tuple[InputRef, ...]:
        own = super().inputs()
        further = dataset_inputs(self._training)
        for path, ref in zip((dataset.path for dataset in self._training), further, strict=True):
            if any(ref.digest == other.digest for other in own):
                raise UsageError(f"--training {path} is among the documents to split: leave it out there.")
        choices = ((f"choice {name}", Dataset.open(path, "choice").digest) for name, path in self.settled)
        return (*own, *further, *(InputRef(name, digest, digest) for name, digest in choices))

    def input_paths(self) -> tuple[Path, ...]:
        settled = (path for _, path in self.settled)
        return (*super().input_paths(), *map(Path, (*self.settings.training, *settled)))

    def may_be_empty(self) -> bool:
        """A choice has no rows."""
        return True

    @cached_property
    def domains(self) -> dict[str, tuple[Dataset, ...]]:
        """The datasets of each domain, in the order of the inputs. One of several domains is a UsageError."""
        found: dict[str, tuple[Dataset, ...]] = {}
        for dataset in self.datasets:
            names = inherited_domains([dataset])
            if len(names) != 1:
                said = f"is of several domains ({', '.join(names)})" if names else "does not say of which domain it is"
                raise UsageError(
                    f"{dataset.path} {said}: give a dataset for each domain, so that each gets validation documents."
                )
            found[names[0]] = (*found.get(names[0], ()), dataset)
        return found

    @cached_property
    def _places(self) -> list[int]:
        """The number of the domain of each piece; those of each dataset of further training have a number after them."""
        number = {dataset.path: at for at, own in enumerate(self.domains.values()) for dataset in own}
        own = [number[self.datasets[piece.dataset].path] for piece in self.pieces]
        return own + [len(self.domains) + piece.dataset for piece in self._further]

    @cached_property
    def _place_names(self) -> list[str]:
        return [*self.domains, *(f"{' '.join(inherited_domains([one]))} (--training)" for one in self._training)]

    @cached_property
    def overlaps(self) -> tuple[Overlap, ...]:
        """The comparisons with training, in order: a document that one drops is not compared by the next."""
        found: list[Overlap] = []
        places, settings = tuple(self._places), self.settings
        common = (len(places), places[: len(self.pieces)], places)
        if settings.lines < 1:
            from corpus.heldout.lines import LineOverlap

            found.append(LineOverlap(*common, settings.lines))
        if settings.near is not None:
            from corpus.heldout.near import NearOverlap

            found.append(NearOverlap(*common, settings.near))
        return tuple(found)

    def phases(self) -> tuple[Phase, ...]:
        compared = (phase for overlap in self.overlaps for phase in overlap.phases())
        domains = len(self.domains)
        return (Phase("hash", len(self._places)), Phase("choose", domains), Phase("join", domains), *compared)

    @cached_property
    def _training(self) -> tuple[Dataset, ...]:
        """Further training: which documents are held out is the same with and without."""
        return open_inputs(self.settings.training) if self.settings.training else ()

    @cached_property
    def _further(self) -> list[Piece]:
        return input_pieces(self._training)

    def estimate(self) -> Estimate:
        rows, size, settings = self.input_rows, self.input_bytes(), self.settings
        least = min(settings.min_bytes * len(self.domains), size // 2)
        part = max(settings.wanted.fraction, Fraction(least, max(1, size)))
        # two bytes of shingles for each of text, 8 for a word; of lines 16 for a line, and as much in their table
        disk = int(2 * len(self.overlaps) * size * part) + DOCUMENT_HASH.itemsize * rows
        return Estimate(memory=64_000_000 + int(_CHOSEN_BYTES * rows * part), disk=disk)

    def run(self, phase: str, index: int, task: Task) -> None:
        if phase == "hash":
            self._hash(index, task)
        elif phase == "choose":
            self._choose(index, task)
        elif phase == "join":
            self._join(index, task)
        else:
            self._compare(phase, index, task)

    def _hash(self, index: int, task: Task) -> None:
        own = index < len(self.pieces)
        piece = self.pieces[index] if own else self._further[index - len(self.pieces)]
        domains: set[str] = set()
        rows = 0
        with (task.directory / "hashes").open("wb") as file:
            for batch in read_piece(piece, task, ["id", "text", "domain"]):
                hash_documents(batch, self.settings.seed).tofile(file)
                domains.update(batch.column("domain").unique().to_pylist())
                rows += batch.num_rows
        if own:
            task.count(seen=rows, kept=rows)
            if strangers := domains - {self._place_names[self._places[index]]}:
                raise DataError(
                    f"{piece.file.path} has documents of domain {min(strangers)}, which its manifest does not name: make the "
                    "dataset again."
                )

    def _choose(self, index: int, task: Task) -> None:
        name = list(self.domains)[index]
        if name in dict(self.settled):
            choice = read_choice(dict(self.settled)[name], name)
            own = [part["text"][choice.own(part["text"])] for part in self._hashes(task.work, index)]
            choice.save(task.directory)
            np.save(task.directory / CHOSEN, np.unique(np.concatenate([np.empty(0, "S16"), *own])))
            return
        try:
            choice, texts = choose(lambda: self._hashes(task.work, index), self.settings.wanted, self.settings.seed)
        except DataError as error:
            raise DataError(f"domain {name}: {error.message}") from None
        choice.save(task.directory)
        np.save(task.directory / CHOSEN, texts)

    def _join(self, index: int, task: Task) -> None:
        """What the other domains' choices, and copies, mean for a domain."""
        folders = [task_directory(task.work, "choose", number) for number in range(len(self.domains))]
        names = list(self.domains)
        trained = [partial(self._trained_hashes, task.work, place) for place in self._trained_places if place != index]
        own, known = (0, [folders[index]]) if names[index] in dict(self.settled) else (index, folders)
        try:
            joined = join(own, known, self._hashes(task.work, index), trained)
        except DataError as error:
            raise DataError(f"domain {names[index]}: {error.message}") from None
        joined.save(task)

    def _hashes(self, work: Path, wanted: int) -> Iterator[Hashes]:
        """The hashes of all documents of a place, a part at a time."""
        for number, place in enumerate(self._places):
            if place == wanted:
                with _hash_file(work, number).open("rb") as file:
                    while len(part := np.fromfile(file, DOCUMENT_HASH, _CHUNK)):
                        yield part

    @property
    def _trained_places(self) -> list[int]:
        """The places whose training is fixed: further training, and the settled domains."""
        settled = [number for number, name in enumerate(self.domains) if name in dict(self.settled)]
        return [*range(len(self.domains), len(self._place_names)), *settled]

    def _trained_hashes(self, work: Path, place: int) -> Iterator[Hashes]:
        """The hashes of the documents of such a place that are trained on."""
        choice = Choice.load(task_directory(work, "choose", place)) if place < len(self.domains) else None
        for part in self._hashes(work, place):
            yield part if choice is None else part[~choice.own(part["text"])]

    def _compare(self, phase: str, index: int, task: Task) -> None:
        """Do one task of the comparison that has the phase."""
        names = [[entry.name for entry in overlap.phases()] for overlap in self.overlaps]
        number = next(number for number, own in enumerate(names) if phase in own)
        overlap = self.overlaps[number]
        if phase == overlap.gather_phase:
            self._hold_out(number, index, task)
        else:
            overlap.run(phase, task, lambda: self._trained(index, task, overlap.columns))

    def _choice(self, work: Path, place: int) -> Choice:
        return Choice.load(task_directory(work, "choose", place), task_directory(work, "join", place))

    def _hold_out(self, number: int, index: int, task: Task) -> None:
        """Gather the validation documents of a piece that no earlier comparison has dropped."""
        overlap, place = self.overlaps[number], self._places[index]
        joined = task_directory(task.work, "join", place)
        hashes = np.fromfile(_hash_file(task.work, index), DOCUMENT_HASH)
        left = self._choice(task.work, place).held_out(hashes["text"])
        left &= ~among(hashes["id"], load_mapped(joined / REPEATED))
        for dropped in (load_mapped(joined / TRAINED), *(one.dropped(task.work) for one in self.overlaps[:number])):
            left &= ~among(hashes["text"], dropped)

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
        choice = self._choice(task.work, self._places[index])
        with _hash_file(task.work, index).open("rb") as file:
            for batch in read_piece(self.pieces[index], task, columns):
                hashes = np.fromfile(file, DOCUMENT_HASH, batch.num_rows)
                yield batch.filter(pa.array(~choice.held_out(hashes["text"])))

    def finish(self, commit: Commit) -> None:
        chosen, joined = commit.results["choose"], commit.results["join"]
        for number, (own, further) in enumerate(zip(chosen, joined, strict=True)):
            folder = f"{FOLDER}/{number:05d}"
            for name in (LIMIT, LEFT):
                commit.adopt(own.directory / name, f"{folder}/{name}")
            for name in (JOINED, REPEATED, TRAINED):
                commit.adopt(further.directory / name, f"{folder}/{name}")
        for overlap in self.overlaps:
            overlap.finish(commit)
        rows = accounts(list(self.domains), self.overlaps, commit)
        commit.extra["domains"] = list(self.domains)
        commit.extra["validation"] = rows
        commit.extra[PAIRS] = removed_pairs(self._place_names, self._trained_places, self.overlaps, commit)
        total: dict[str, int] = {}
        for row in rows:
            for reason, count in row["dropped"].items():
                total[reason] = total.get(reason, 0) + count
        kept = sum(row["kept"] for row in rows)
        commit.counts[self.unit] = Counts(sum(row["documents"] for row in rows), kept, 0, total)
        commit.totals["documents"] = kept


def _hash_file(work: Path, index: int) -> Path:
    return task_directory(work, "hash", index) / "hashes"
