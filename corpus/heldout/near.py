"""Which of the held-out documents are near-duplicates of any in training, exactly.

The similarity of two documents is the Jaccard index of their sets of word 5-grams of folded text, those of `corpus
dedup` at level `near`; here no pair is missed. Of a document with n shingles one with a similarity of t or more shares
at least ⌈t n⌉, so lacks at most a = n - ⌈t n⌉ of them, whichever they are. The index holds, of each held-out document,
the 2 a + 1 shingles that fewest of them have (all, if it has less); a training document with a + 1 of these (or all but
a) is compared in full. The sets of the held-out documents are on disk. The index is cut by documents into parts that
memory holds: 16 bytes for each shingle in it and 33 for a document; 40 and 200 while it is made.

A document is listed with the first training document that is similar enough, in the order of the input, and is not
looked for any longer; so texts that all of training has cost little.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from numba import types

from corpus.decontaminate.comparison import PARTS
from corpus.decontaminate.mapped import MappedArrays, bucket_shift, bucket_starts, parts_within
from corpus.dedup.similar.clusters import IdReader, IdWriter, Numbering
from corpus.dedup.similar.near import NearDedupStage
from corpus.dedup.similar.shingles import SetReader, SetWriter, count_shared, shingle_hashes, shingle_sets
from corpus.engine.commit import Commit
from corpus.engine.result import TaskResult
from corpus.engine.task import Task
from corpus.heldout.choice import NEAR_TRAINING
from corpus.heldout.overlap import Overlap
from corpus.kernel import kernel

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

WIDTH = NearDedupStage.width
MATCHES = "00000.matches"
"""The table of matches, in Parquet, below `_matches`."""
MATCH_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("training", pa.string(), nullable=False),
        pa.field("similarity", pa.float64(), nullable=False),
        pa.field("shared", pa.uint64(), nullable=False),
        pa.field("size", pa.uint64(), nullable=False),
        pa.field("training_size", pa.uint64(), nullable=False),
    ]
)
"""One row per document dropped from validation for a near-duplicate in training, in the order of the input: its id, that
of the first such training document, their Jaccard index, and the different shingles that both have and that each has."""
FOUND_SCHEMA = pa.schema(
    [("number", pa.int64()), ("training", pa.string())] + [(n, pa.int64()) for n in ("shared", "size", "training_size")]
)
"""A match of one task; `number`: of the held-out document."""

_ENTRY_BYTES, _DOCUMENT_BYTES = 40, 200
_LEAST_MEMORY = 1 << 20
_FREQUENCY_BITS = 22
_CHUNK = 1 << 20

_U64_IN = types.Array(types.uint64, 1, "C", readonly=True)
_U32_IN = types.Array(types.uint32, 1, "C", readonly=True)
_I64_IN = types.Array(types.int64, 1, "C", readonly=True)
_I64 = types.Array(types.int64, 1, "C")
_FLAGS = types.Array(types.boolean, 1, "C")


def save_sets(directory: Path, documents: int, batches: Iterable[pa.RecordBatch]) -> None:
    """Keep ids and shingle sets of all documents of `batches`, which are `documents` in number."""
    sets, ids = SetWriter(directory, documents), IdWriter(directory)
    number = 0
    for batch in batches:
        ids.write(batch.column("id"))
        for shingles in shingle_sets(batch.column("text"), WIDTH):
            sets.write(number, shingles)
            number += 1
    sets.close()
    ids.close()


@dataclass(frozen=True)
class HeldOutSets:
    """The shingle sets and ids of the held-out documents, by their number in the order of the input, as tasks left them
    in `folders` (`save_sets`)."""

    numbering: Numbering
    folders: Sequence[Path]

    @classmethod
    def of(cls, folders: Sequence[Path]) -> HeldOutSets:
        """From the folder of each task."""
        rows = ((folder / "set-bounds").stat().st_size // 8 - 1 for folder in folders)
        return cls(Numbering.of(rows), folders)

    def __len__(self) -> int:
        return self.numbering.documents

    def sets(self, memory: int) -> SetReader:
        """Their shingle sets by number."""
        return SetReader(self.numbering, self.folders, memory)

    def id(self, number: int) -> str:
        """The id of a document."""
        return IdReader(self.numbering, self.folders).id(number)

    def sizes(self) -> Iterator[int]:
        """How many shingles each document has."""
        for folder in self.folders:
            yield from np.diff(np.fromfile(folder / "set-bounds", np.int64)).tolist()

    def frequencies(self) -> tuple[npt.NDArray[np.uint32], np.uint64]:
        """About how many documents have a shingle: uint32[2^b] by the first b bits of its hash; and 64 - b. Shingles
        with the same first bits are counted together: which ones are taken for rare decides how fast it goes, nothing else."""
        total = sum((folder / "sets").stat().st_size // 8 for folder in self.folders)
        bits = min(_FREQUENCY_BITS, max(1, total.bit_length()))
        shift = np.uint64(64 - bits)
        counts = np.zeros(1 << bits, np.uint32)
        for folder in self.folders:
            with (folder / "sets").open("rb") as file:
                while data := file.read(8 * _CHUNK):
                    np.add.at(counts, np.frombuffer(data, np.uint64) >> shift, 1)
        return counts, shift


@dataclass(frozen=True)
class NearIndex(MappedArrays):
    """Some of the held-out documents by their rarest shingles."""

    hashes: Hashes
    """uint64[m], ascending: a shingle for each document that has it."""
    documents: npt.NDArray[np.uint32]
    """uint32[m]: which, by their position in this part."""
    starts: Ints
    """int64[2^bits + 1]: the first of `hashes` with those first bits."""
    needed: Ints
    """int64[documents]: how many of a document's shingles here one that is similar enough has at least."""
    first: Ints
    """int64[1]: the number of the first document."""

    @classmethod
    def of(cls, first: int, rarest: Sequence[Hashes], needed: Sequence[int]) -> NearIndex:
        """The index of the documents from number `first` on."""
        hashes = np.concatenate([np.empty(0, np.uint64), *rarest])
        documents = np.repeat(np.arange(len(rarest), dtype=np.uint32), [len(own) for own in rarest])
        order = np.argsort(hashes, kind="stable")
        hashes, documents = hashes[order], documents[order]
        del order
        starts = bucket_starts(hashes, each=4)
        return cls(hashes, documents, starts, np.array(needed, np.int64), np.array([first]))


def save_indexes(directory: Path, held_out: HeldOutSets, similarity: Fraction, memory: int) -> int:
    """Index the held-out documents in parts that are made within `memory`; how many parts."""
    counts, shift = held_out.frequencies()
    sets = held_out.sets(0)
    limit = max(_LEAST_MEMORY, memory - counts.nbytes)
    needs = [_ENTRY_BYTES * _indexed(size, similarity)[0] + _DOCUMENT_BYTES for size in held_out.sizes()]
    bounds = parts_within(needs, limit)
    for part, (first, end) in enumerate(itertools.pairwise(bounds)):
        own = [rarest_shingles(sets.read(number), counts, shift, similarity) for number in range(first, end)]
        NearIndex.of(first, [rarest for rarest, _ in own], [needed for _, needed in own]).save(directory, part)
    return len(bounds) - 1


def rarest_shingles(
    shingles: Hashes, counts: npt.NDArray[np.uint32], shift: np.uint64, similarity: Fraction
) -> tuple[Hashes, int]:
    """The shingles of a document to index, and how many of them one with that `similarity` has at least."""
    taken, needed = _indexed(len(shingles), similarity)
    order = np.lexsort((shingles, counts[shingles >> shift]))[:taken]
    return shingles[order], needed


def _indexed(size: int, similarity: Fraction) -> tuple[int, int]:
    """How many of a document's `size` shingles are indexed, and how many of these a similar one has at least."""
    lacking = size - _ceil(similarity * size)
    taken = min(size, 2 * lacking + 1)
    return taken, taken - lacking


def _ceil(value: Fraction) -> int:
    return -(-value.numerator // value.denominator)


@kernel(
    types.UniTuple(types.int64, 2)(
        *(_U64_IN, _I64_IN, types.int64, types.int64),
        *(_U64_IN, _U32_IN, _I64_IN, types.uint64, _I64_IN),
        *(_FLAGS, _I64, _I64, _I64),
    )
)
def _candidates(
    shingles: Any, bounds: Any, row: Any, before: Any, hashes: Any, documents: Any, starts: Any, shift: Any,
    needed: Any, found: Any, counts: Any, last: Any, out: Any,
) -> Any:  # fmt: skip
    """The next text from `row` on that has enough of the shingles of documents not `found`, and how many such documents
    (in `out`). `counts[d]` are those of the text `last[d]`; `before`: texts before these."""
    while row < bounds.size - 1:
        count = np.int64(0)
        for at in range(bounds[row], bounds[row + 1]):
            value = shingles[at]
            bucket = np.int64(value >> shift)
            for position in range(starts[bucket], starts[bucket + 1]):
                if hashes[position] < value:
                    continue
                if hashes[position] > value:
                    break
                document = documents[position]
                if found[document]:
                    continue
                if last[document] != before + row:
                    last[document] = before + row
                    counts[document] = 0
                # a shingle that the text repeats counts each time: too many are compared then, never too few
                counts[document] += 1
                if counts[document] == needed[document]:
                    out[count] = document
                    count += 1
        if count:
            return row, count
        row += 1
    return row, np.int64(0)


def find_first(
    index: NearIndex, held_out: HeldOutSets, similarity: Fraction, batches: Iterable[pa.RecordBatch], memory: int
) -> Iterator[dict[str, Any]]:
    """The first document of `batches` (`id`, `text`) that is similar enough to each document of `index` (`FOUND_SCHEMA`)."""
    sets, found = held_out.sets(memory), np.zeros(len(index.needed), np.bool_)
    counts, last = np.zeros(len(found), np.int64), np.full(len(found), -1)
    out = np.empty(len(found), np.int64)
    table = (index.hashes, index.documents, index.starts, bucket_shift(index.starts), index.needed)
    before = 0
    for batch in batches:
        if found.all():
            return
        shingles, bounds = shingle_hashes(batch.column("text"), WIDTH)
        row = 0
        while True:
            row, several = _candidates(shingles, bounds, row, before, *table, found, counts, last, out)
            if not several:
                break
            own = np.unique(shingles[bounds[row] : bounds[row + 1]])
            for document in out[:several].tolist():
                number = int(index.first[0]) + document
                shared = _shared(own, sets, number, similarity)
                if shared:
                    found[document] = True
                    yield {
                        "number": number,
                        "training": batch.column("id")[row].as_py(),
                        "shared": shared,
                        "size": sets.size(number),
                        "training_size": len(own),
                    }
            row += 1
        before += batch.num_rows


def _shared(own: Hashes, sets: SetReader, number: int, similarity: Fraction) -> int:
    """How many shingles two documents share, if they are similar enough; else 0."""
    size = sets.size(number)
    if not _enough(min(size, len(own)), size, len(own), similarity):
        return 0
    shared = count_shared(own, sets.read(number))
    return shared if _enough(shared, size, len(own), similarity) else 0


def _enough(shared: int, left: int, right: int, similarity: Fraction) -> bool:
    return shared * similarity.denominator >= (left + right - shared) * similarity.numerator


def save_found(directory: Path, part: int, found: Iterable[dict[str, Any]]) -> None:
    """Leave the matches of a task with a part of the index."""
    pq.write_table(pa.Table.from_pylist(list(found), schema=FOUND_SCHEMA), str(directory / f"{part:05d}-found"))


def first_matches(folders: Iterable[Path], parts: int) -> dict[int, dict[str, Any]]:
    """The first match of each document by its number, with the position (`scan`) of its task; `folders` are those of all
    tasks in order."""
    first: dict[int, dict[str, Any]] = {}
    for scan, folder in enumerate(folders):
        for part in range(parts):
            for match in pq.read_table(str(folder / f"{part:05d}-found")).to_pylist():
                first.setdefault(match["number"], match | {"scan": scan})
    return first


def _similarity(match: dict[str, Any]) -> Fraction:
    return Fraction(match["shared"], match["size"] + match["training_size"] - match["shared"])


@dataclass(frozen=True)
class NearOverlap(Overlap):
    """Drops documents with a near-duplicate in training, and lists them in the table of matches."""

    gather_phase: ClassVar[str] = "shingles"
    index_phase: ClassVar[str] = "index"
    scan_phase: ClassVar[str] = "match"
    decide_phase: ClassVar[str] = "decide"
    columns: ClassVar[tuple[str, ...]] = ("id", "text")
    reason: ClassVar[str] = NEAR_TRAINING
    file: ClassVar[str] = "near.npy"

    similarity: Fraction

    def gather(self, directory: Path, documents: int, batches: Iterable[pa.RecordBatch]) -> None:
        save_sets(directory, documents, batches)

    def index(self, task: Task) -> int:
        return save_indexes(task.directory, HeldOutSets.of(self.gathered(task)), self.similarity, task.memory)

    def scan(self, task: Task, made: Path, part: int, batches: Iterable[pa.RecordBatch]) -> None:
        held_out = HeldOutSets.of(self.gathered(task))
        index = NearIndex.load(made, part)
        save_found(task.directory, part, find_first(index, held_out, self.similarity, batches, task.memory // 4))

    def decide(self, task: Task, made: TaskResult, scans: Sequence[TaskResult]) -> None:
        held_out = HeldOutSets.of(self.gathered(task))
        first = first_matches((result.directory for result in scans), made.notes[PARTS])
        dropped, places = np.zeros(len(held_out), np.bool_), np.zeros(len(held_out), np.int64)
        rows = []
        for at in sorted(first):
            match = first[at]
            dropped[at], places[at] = True, self.places[match["scan"]]
            rows.append(
                {"id": held_out.id(at), "similarity": float(_similarity(match))}
                | {name: match[name] for name in ("training", "shared", "size", "training_size")}
            )
        path = task.directory / MATCHES
        pq.write_table(pa.Table.from_pylist(rows, schema=MATCH_SCHEMA), str(path), compression="zstd")
        self.drop(task, dropped, places)

    def finish(self, commit: Commit) -> None:
        super().finish(commit)
        (decided,) = commit.results[self.decide_phase]
        commit.adopt(decided.directory / MATCHES, f"_matches/{MATCHES}")
