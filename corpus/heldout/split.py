"""Documents -> the training or the validation side of them, by a hash of the document's id.

A document is on the validation side when the seeded hash of its id is below the fraction asked for. Where that gives
less than `min_bytes` of text, the documents with the next smallest hashes join, until it is enough or half of all text
is reached; at least one joins. The stage makes one side; run it once for each, and both choose alike.

A validation document is dropped from validation where its whole text also occurs in training, or where training has the
lines on which more than `line_overlap` of its text stands, or, with `near_overlap`, where the Jaccard index of its word
5-grams (`corpus.heldout.near`) and those of a training document is that or more. Where the latter two would leave less than
`min_bytes`, those with the least of such lines, or the least alike, stay. For these two, datasets of `training` count as
training as well, with all their documents.

Phases: `hash` (id, text and size of every document: 32 bytes each, on disk), `choose` (the limit of the hashes, and the
texts on both sides; holds those arrays for validation), for validation `lines` (the lines of its documents: 16 bytes
each, on disk), `table` (tables of their hashes, in pieces that memory holds), `scan` (the lines of training, one time for
each piece) and `compare`, for near-duplicates `shingles` (the 5-grams of what is left: 8 bytes each, on disk), `index` (an
inverted index of them in pieces), `match` (training by it, one time for each piece) and `decide`, and `write`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus.engine.commit import Commit
from corpus.engine.document_stage import DocumentStage
from corpus.engine.inputs import Piece, dataset_inputs, input_pieces, open_inputs
from corpus.engine.result import TaskResult, task_directory
from corpus.engine.stage import Estimate, InputRef, Phase
from corpus.engine.task import Task
from corpus.errors import DataError, UsageError
from corpus.heldout.choice import DOCUMENT_HASH, Choice, Hashes, choose, hash_documents
from corpus.option import SHARDS_ARE_INHERITED, option
from corpus.quantity import parse_fraction, parse_likeness, parse_share

if TYPE_CHECKING:
    from corpus.data.dataset import Dataset
    from corpus.heldout.near import Few
    from corpus.heldout.overlap import FewLines

OTHER_SIDE = "split: other side"
"""Why documents are not in this dataset: they are in the other one of the pair. Counted, not recorded."""
IN_TRAINING = "also in training"
LINES_IN_TRAINING = "lines also in training"
NEAR_TRAINING = "near-duplicate in training"
_CHOSEN_BYTES = 160
"""Memory for each document of validation while they are chosen."""
_CHUNK = 1 << 17


@dataclass(frozen=True)
class SplitConfig:
    """Settings of `corpus split`."""

    removed: ClassVar[Mapping[str, str]] = SHARDS_ARE_INHERITED

    side: Literal["train", "validation"] = option("train", "Which of the two sides to write.")
    validation: str = option("0.1%", "Part of the documents that is for validation, as 0.1% or 0.001; at most 50%.")
    min_bytes: int = option(16_000, "Text that validation has at least (it fills a row), up to half of all text.")
    line_overlap: str = option(
        "50%", "Drop validation documents with more of their text than this on lines of training; 100% keeps them."
    )
    near_overlap: str | None = option(
        None,
        "Drop validation documents at least so alike (Jaccard index of word 5-grams) to one of training, as 75%.",
        metavar="SHARE",
    )
    training: tuple[str, ...] = option(
        (),
        "Documents that are trained on too, as of other domains: their lines and near-duplicates count as training's.",
        metavar="DOCS",
    )
    seed: int = option(0, "Seed of the choice; both sides need the same.")

    def __post_init__(self) -> None:
        parse_fraction(self.validation)
        parse_share(self.line_overlap)
        if self.near_overlap is not None:
            parse_likeness(self.near_overlap)
        if self.min_bytes < 0:
            raise UsageError(f"--min-bytes {self.min_bytes} is less than zero; give the bytes of text you need.")
        if self.training and self.near_overlap is None and parse_share(self.line_overlap) == 1:
            raise UsageError(
                "--training is of no use with --line-overlap 100%: give less than that, or --near-overlap as 75%."
            )


@dataclass(frozen=True)
class SplitStage(DocumentStage):
    """Documents -> the documents of one side."""

    name: ClassVar[str] = "split"

    settings: SplitConfig

    @property
    def validation(self) -> bool:
        """Whether the validation side is written."""
        return self.settings.side == "validation"

    @property
    def compared(self) -> bool:
        """Whether lines are looked at: only those of validation are, since training keeps everything."""
        return self.validation and parse_share(self.settings.line_overlap) < 1

    @property
    def likeness(self) -> Fraction | None:
        """How alike near-duplicates are; None where they are not looked for."""
        wanted = self.settings.near_overlap
        return None if wanted is None or not self.validation else parse_likeness(wanted)

    def step_config(self) -> Mapping[str, Any]:
        settings = self.settings
        lines = {"line_overlap": str(parse_share(settings.line_overlap))} if self.validation else {}
        near = {} if self.likeness is None else {"near_overlap": str(self.likeness)}
        # how many of the inputs, the last ones, are only compared with
        training = {"training": len(self._training())} if self._training() else {}
        return {
            "side": settings.side,
            "validation": str(parse_fraction(settings.validation)),
            "min_bytes": settings.min_bytes,
            "seed": settings.seed,
        } | (lines | near | training)

    def inputs(self) -> tuple[InputRef, ...]:
        own = super().inputs()
        further = dataset_inputs(self._training())
        for path, ref in zip((dataset.path for dataset in self._training()), further, strict=True):
            if any(ref.digest == other.digest for other in own):
                raise UsageError(f"--training {path} is among the documents to split: leave it out there.")
        return (*own, *further)

    def input_paths(self) -> tuple[Path, ...]:
        return (*super().input_paths(), *map(Path, self.settings.training))

    def work_phases(self) -> tuple[Phase, ...]:
        tasks, looked = self._tasks, self._looked
        lines = (Phase("lines", tasks), Phase("table", 1), Phase("scan", looked), Phase("compare", 1))
        near = (Phase("shingles", tasks), Phase("index", 1), Phase("match", looked), Phase("decide", 1))
        looks = (*(lines if self.compared else ()), *(() if self.likeness is None else near))
        return (Phase("hash", tasks), Phase("choose", 1), *looks, Phase("write", tasks))

    @property
    def _tasks(self) -> int:
        return len(self.pieces)

    @property
    def _looked(self) -> int:
        """Tasks that look through training: those of the documents, and then those of further training."""
        return self._tasks + len(self._further)

    def _training(self) -> tuple[Dataset, ...]:
        """Further training: the training side itself is the same with and without."""
        training = self.settings.training
        return open_inputs(training) if training and self.validation else ()

    @cached_property
    def _further(self) -> list[Piece]:
        return input_pieces(self._training())

    def estimate(self) -> Estimate:
        rows = self.input_rows
        size = self.input_bytes()
        part = max(
            parse_fraction(self.settings.validation), Fraction(min(self.settings.min_bytes, size // 2), max(1, size))
        )
        # two bytes of shingles for each of text, 8 for a word; of lines 16 for a line, and as much in their table
        looks = 2 * (self.compared + (self.likeness is not None))
        disk = size + int(looks * size * part) + DOCUMENT_HASH.itemsize * rows
        return Estimate(memory=64_000_000 + int(_CHOSEN_BYTES * rows * part), disk=disk)

    def work(self, phase: str, index: int, task: Task) -> None:
        steps = {
            "hash": self._hash,
            "choose": self._choose,
            "lines": self._lines,
            "table": self._table,
            "scan": self._scan,
            "compare": self._compare,
            "shingles": self._shingles,
            "index": self._index,
            "match": self._match,
            "decide": self._decide,
            "write": self._write,
        }
        steps[phase](index, task)

    def _hash(self, index: int, task: Task) -> None:
        domains: set[str] = set()
        with (task.directory / "hashes").open("wb") as file:
            for batch in self.pieces[index].batches(["id", "text", "domain"]):
                hash_documents(batch, self.settings.seed).tofile(file)
                domains.update(batch.column("domain").unique().to_pylist())
                task.progress(documents=batch.num_rows, bytes=batch.nbytes)
        task.note("domains", sorted(domains))

    def _choose(self, index: int, task: Task) -> None:
        tasks = self._tasks
        fraction = parse_fraction(self.settings.validation)
        domains = sorted({name for result in task.results("hash", tasks) for name in result.notes["domains"]})
        if len(domains) > 1:
            raise DataError(
                f"The documents are of several domains ({', '.join(domains)}); split each by itself, so that each gets "
                "validation documents."
            )
        try:
            choice = choose(lambda: _all_hashes(task.work, tasks), fraction, self.settings.min_bytes)
        except DataError as error:
            raise DataError(f"{', '.join(self.documents)}: {error.message}") from None
        task.note("limit", choice.limit)
        np.save(task.directory / "shared.npy", choice.shared)

    def _parts(self, index: int, task: Task, columns: list[str] | None) -> Iterator[tuple[pa.RecordBatch, Hashes]]:
        """The documents of a group of shards with their hashes."""
        with _hash_file(task.work, index).open("rb") as file:
            for batch in self.pieces[index].batches(columns):
                yield batch, np.fromfile(file, DOCUMENT_HASH, batch.num_rows)
                task.progress(documents=batch.num_rows, bytes=batch.nbytes)

    def _trained(self, index: int, task: Task, choice: Choice, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """The documents of training in a group of shards, further training behind the documents."""
        if index < self._tasks:
            for batch, hashes in self._parts(index, task, columns):
                yield batch.filter(pa.array(~choice.chosen(hashes)))
        else:
            for batch in self._further[index - self._tasks].batches(columns):
                yield batch
                task.progress(documents=batch.num_rows, bytes=batch.nbytes)

    def _lines(self, index: int, task: Task) -> None:
        """The lines of the validation documents that have no twin in training: `LINE`[lines]."""
        from corpus.heldout.overlap import save_lines

        choice = _choice(task.work)

        def good() -> Iterator[tuple[npt.NDArray[np.uint64], pa.Array]]:
            for batch, hashes in self._parts(index, task, ["text"]):
                rows = choice.chosen(hashes) & ~choice.overlapping(hashes)
                yield hashes["id"][rows], batch.column("text").filter(pa.array(rows))

        save_lines(task.directory, good())

    def _few_lines(self, task: Task) -> FewLines:
        """Those lines."""
        from corpus.heldout.overlap import FewLines

        return FewLines.of([result.directory for result in task.results("lines", self._tasks)])

    def _table(self, index: int, task: Task) -> None:
        task.note("bounds", self._few_lines(task).save_tables(task.directory, task.memory))

    def _scan(self, index: int, task: Task) -> None:
        """Which of the lines of validation documents training has, in one group of shards."""
        from corpus.heldout.overlap import LineTable, save_seen

        choice = _choice(task.work)
        (made,) = task.results("table", 1)
        for piece in range(len(made.notes["bounds"]) - 1):
            texts = (batch.column("text") for batch in self._trained(index, task, choice, ["text"]))
            save_seen(task.directory, piece, LineTable.load(made.directory, piece), texts)

    def _compare(self, index: int, task: Task) -> None:
        from corpus.heldout.overlap import overlapping

        few = self._few_lines(task)
        (made,) = task.results("table", 1)
        scans = [result.directory for result in task.results("scan", self._looked)]
        size, shared = few.shared(made.directory, made.notes["bounds"], scans)
        most = parse_share(self.settings.line_overlap)
        dropped, kept = overlapping(few.ids, size, shared, most, self.settings.min_bytes)
        np.save(task.directory / "dropped.npy", dropped)
        task.note("kept", kept)

    def _drops(self, choice: Choice, task: Task, hashes: Hashes) -> dict[str, npt.NDArray[np.bool_]]:
        """Which validation documents to drop for their text, and which others for their lines."""
        if not self.validation:
            return {}
        twice = choice.chosen(hashes) & choice.overlapping(hashes)
        alike = np.empty(0, np.uint64)
        if self.compared:
            alike = np.load(task_directory(task.work, "compare", 0) / "dropped.npy")
        lines = choice.chosen(hashes) & ~twice & np.isin(hashes["id"], alike)
        return {IN_TRAINING: twice, LINES_IN_TRAINING: lines}

    def _shingles(self, index: int, task: Task) -> None:
        """The shingle sets of the validation documents that are not dropped yet."""
        from corpus.heldout.near import save_sets

        choice, hashes = _choice(task.work), np.fromfile(_hash_file(task.work, index), DOCUMENT_HASH)
        left = choice.chosen(hashes)
        for gone in self._drops(choice, task, hashes).values():
            left &= ~gone
        batches = (batch for batch, _ in self._parts(index, task, ["id", "text"]))
        save_sets(task.directory, batches, np.flatnonzero(left), hashes["bytes"][left])
        task.note("documents", int(left.sum()))

    def _few(self, task: Task) -> Few:
        """Those documents."""
        from corpus.heldout.near import Few

        results = task.results("shingles", self._tasks)
        return Few.of([(result.directory, int(result.notes["documents"])) for result in results])

    def _index(self, index: int, task: Task) -> None:
        from corpus.heldout.near import save_indexes

        assert self.likeness is not None
        task.note("pieces", save_indexes(task.directory, self._few(task), self.likeness, task.memory))

    def _match(self, index: int, task: Task) -> None:
        """For each of those documents, the first that is so alike in one group of shards of training."""
        from corpus.heldout.near import NearIndex, find_first, save_matches

        assert self.likeness is not None
        choice, few = _choice(task.work), self._few(task)
        (made,) = task.results("index", 1)
        found: list[dict[str, Any]] = []
        for piece in range(made.notes["pieces"]):
            batches = self._trained(index, task, choice, ["id", "text"])
            found += find_first(NearIndex.load(made.directory, piece), few, self.likeness, batches, task.memory // 4)
        save_matches(task.directory, found)

    def _decide(self, index: int, task: Task) -> None:
        from corpus.heldout.near import decide

        folders = [result.directory for result in task.results("match", self._looked)]
        task.note("kept", decide(task.directory, self._few(task), folders, self.settings.min_bytes))

    def _write(self, index: int, task: Task) -> None:
        choice = _choice(task.work)
        near = np.empty(0, np.int64)
        if self.likeness is not None:
            from corpus.heldout.near import dropped_rows

            near = dropped_rows(task_directory(task.work, "decide", 0), index)
        writer, first = self.writer(task), 0
        for batch, part in self._parts(index, task, None):
            mine = choice.chosen(part) == self.validation
            drops = self._drops(choice, task, part)
            if self.likeness is not None:
                drops[NEAR_TRAINING] = np.isin(np.arange(first, first + len(part)), near)
            keep = mine.copy()
            for reason, rows in drops.items():
                keep &= ~rows
                for at in np.flatnonzero(rows):
                    task.drop(batch.column("id")[at].as_py(), reason, batch.column("text")[at].as_py())
            writer.write(batch.filter(pa.array(keep)))
            task.count(seen=len(part), dropped={OTHER_SIDE: int((~mine).sum())})
            first += len(part)

    def finish(self, commit: Commit) -> None:
        super().finish(commit)
        (chosen,) = commit.results["choose"]
        commit.extra |= {
            "unlisted": [OTHER_SIDE],
            "split": self.settings.side,
            "limit": f"{chosen.notes['limit']:016x}",
        }
        if self.compared:
            commit.extra["kept_with_overlap"] = commit.results["compare"][0].notes["kept"]
        if self.likeness is not None:
            from corpus.heldout.near import MATCHES

            decided = commit.results["decide"][0]
            commit.extra["kept_near_duplicates"] = decided.notes["kept"]
            commit.adopt(decided.directory / MATCHES, f"_matches/{MATCHES}")


def _choice(work: Path) -> Choice:
    result = TaskResult.load(task_directory(work, "choose", 0))
    return Choice(int(result.notes["limit"]), np.load(result.directory / "shared.npy"))


def _hash_file(work: Path, index: int) -> Path:
    return task_directory(work, "hash", index) / "hashes"


def _all_hashes(work: Path, tasks: int) -> Iterator[Hashes]:
    """The hashes of all documents, a part at a time."""
    for index in range(tasks):
        with _hash_file(work, index).open("rb") as file:
            while len(part := np.fromfile(file, DOCUMENT_HASH, _CHUNK)):
                yield part
