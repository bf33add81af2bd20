"""Which of a few documents (validation) are near-duplicates of any of many others (training), exactly.

Two documents are as alike as the Jaccard index of their sets of word 5-grams of folded text, those of `corpus dedup` at
level `near`; here no pair is missed. Of a document with n shingles one that is alike by t or more shares at least
⌈t n⌉, so lacks at most a = n - ⌈t n⌉ of them, whichever they are. The index holds, of each of the few documents, the
2 a + 1 shingles that fewest of them have (all, if it has less); a training document with a + 1 of these (or all but a)
is compared in full. The few documents' sets are on disk. The index is cut by documents into pieces that memory holds:
16 bytes for each shingle in it and 33 for a document; 40 and 200 while it is made.

A document is listed with the first training document that is alike enough, in the order of the input, and is not looked
for any longer; so texts that all of training has cost little.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from numba import types

from corpus.dedup.similar.clusters import IdReader, IdWriter, Numbering
from corpus.dedup.similar.near import NearDedupStage
from corpus.dedup.similar.shingles import SetReader, SetWriter, count_shared, shingle_hashes, shingle_sets
from corpus.heldout.choice import spare
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
        pa.field("dropped", pa.bool_(), nullable=False),
    ]
)
"""One row per validation document with a near-duplicate in training, in the order of the input: its id, that of the
first such training document, their Jaccard index, the different shingles that both have and that each has, and whether
the document was dropped (or stays, because validation would have too little text)."""
FOUND_SCHEMA = pa.schema(
    [("number", pa.int64()), ("training", pa.string())] + [(n, pa.int64()) for n in ("shared", "size", "training_size")]
)
"""A match of one task; `number`: of the validation document among the few."""

_FEW = np.dtype([("row", np.int64), ("bytes", np.int64)])
_DROPPED = np.dtype([("task", np.int64), ("row", np.int64)])
_ENTRY_BYTES, _DOCUMENT_BYTES = 40, 200
_LEAST_MEMORY = 1 << 20
_FREQUENCY_BITS = 22
_CHUNK = 1 << 20
_MOST_BITS = 30

_U64_IN = types.Array(types.uint64, 1, "C", readonly=True)
_U32_IN = types.Array(types.uint32, 1, "C", readonly=True)
_I64_IN = types.Array(types.int64, 1, "C", readonly=True)
_I64 = types.Array(types.int64, 1, "C")
_FLAGS = types.Array(types.boolean, 1, "C")


def save_sets(directory: Path, batches: Iterable[pa.RecordBatch], rows: Ints, sizes: Ints) -> None:
    """Keep ids and shingle sets of the documents at `rows` (ascending) of all `batches`; `sizes`: their bytes."""
    sets, ids = SetWriter(directory, len(rows)), IdWriter(directory)
    first = number = 0
    for batch in batches:
        begin, end = np.searchsorted(rows, (first, first + batch.num_rows)).tolist()
        own = batch.take(pa.array(rows[begin:end] - first))
        ids.write(own.column("id"))
        for shingles in shingle_sets(own.column("text"), WIDTH):
            sets.write(number, shingles)
            number += 1
        first += batch.num_rows
    sets.close()
    ids.close()
    documents = np.empty(len(rows), _FEW)
    documents["row"], documents["bytes"] = rows, sizes
    np.save(directory / "documents.npy", documents)


@dataclass(frozen=True)
class Few:
    """The few documents, by their number in the order of the input, as tasks left them in `folders` (`save_sets`)."""

    numbering: Numbering
    folders: Sequence[Path]

    @classmethod
    def of(cls, tasks: Sequence[tuple[Path, int]]) -> Few:
        """From the folder and the number of documents of each task."""
        return cls(Numbering.of(documents for _, documents in tasks), [folder for folder, _ in tasks])

    def __len__(self) -> int:
        return self.numbering.documents

    def sets(self, memory: int) -> SetReader:
        """Their shingle sets by number."""
        return SetReader(self.numbering, self.folders, memory)

    def id(self, number: int) -> str:
        """The id of one."""
        return IdReader(self.numbering, self.folders).id(number)

    def places(self) -> npt.NDArray[np.void]:
        """The task, row there and bytes of each."""
        out = np.empty(len(self), [*_DROPPED.descr, ("bytes", np.int64)])
        for task, folder in enumerate(self.folders):
            own = out[self.numbering.bases[task] : self.numbering.bases[task + 1]]
            documents = np.load(folder / "documents.npy")
            own["task"], own["row"], own["bytes"] = task, documents["row"], documents["bytes"]
        return out

    def frequencies(self) -> tuple[npt.NDArray[np.uint32], np.uint64]:
        """About how many documents have a shingle: uint32[2^b] by the first b bits of its hash; and 64 - b. Shingles
        that begin alike are counted together: which ones are taken for rare decides how fast it goes, nothing else."""
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
class NearIndex:
    """Some of the few documents by their rarest shingles."""

    hashes: Hashes
    """uint64[m], ascending: a shingle for each document that has it."""
    documents: npt.NDArray[np.uint32]
    """uint32[m]: which, by their place in this piece."""
    starts: Ints
    """int64[2^bits + 1]: the first of `hashes` with those first bits."""
    needed: Ints
    """int64[documents]: how many of a document's shingles here one as alike as asked for has at least."""
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
        bits = min(_MOST_BITS, max(1, len(hashes).bit_length() - 2))
        firsts = np.arange(1 << bits, dtype=np.uint64) << np.uint64(64 - bits)
        starts = np.append(np.searchsorted(hashes, firsts), len(hashes)).astype(np.int64)
        return cls(hashes, documents, starts, np.array(needed, np.int64), np.array([first]))

    def save(self, directory: Path, piece: int) -> None:
        """Write it as files."""
        for field in fields(self):
            np.save(directory / f"{piece:05d}-{field.name}.npy", getattr(self, field.name))

    @classmethod
    def load(cls, directory: Path, piece: int) -> NearIndex:
        """Map it into memory, which all processes then share."""
        paths = [directory / f"{piece:05d}-{field.name}.npy" for field in fields(cls)]
        return cls(*(np.asarray(np.load(path, mmap_mode="r")) for path in paths))


def save_indexes(directory: Path, few: Few, likeness: Fraction, memory: int) -> int:
    """Index the few documents in pieces that are made within `memory`; how many pieces."""
    counts, shift = few.frequencies()
    sets = few.sets(0)
    limit = max(_LEAST_MEMORY, memory - counts.nbytes)
    pieces = first = used = 0
    rarest: list[Hashes] = []
    needed: list[int] = []
    for number in range(len(few)):
        own, need = rarest_shingles(sets.read(number), counts, shift, likeness)
        size = _ENTRY_BYTES * len(own) + _DOCUMENT_BYTES
        if rarest and used + size > limit:
            NearIndex.of(first, rarest, needed).save(directory, pieces)
            pieces, first, used = pieces + 1, number, 0
            rarest, needed = [], []
        rarest.append(own)
        needed.append(need)
        used += size
    if rarest:
        NearIndex.of(first, rarest, needed).save(directory, pieces)
        pieces += 1
    return pieces


def rarest_shingles(
    shingles: Hashes, counts: npt.NDArray[np.uint32], shift: np.uint64, likeness: Fraction
) -> tuple[Hashes, int]:
    """The shingles of a document to index, and how many of them one with a Jaccard index of `likeness` has at least."""
    lacking = len(shingles) - _ceil(likeness * len(shingles))
    taken = min(len(shingles), 2 * lacking + 1)
    order = np.lexsort((shingles, counts[shingles >> shift]))[:taken]
    return shingles[order], taken - lacking


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
    (in `out`). `counts[d]` are those of the text `last[d]`; `before`: texts looked at before these."""
    while row < bounds.size - 1:
        count = np.int64(0)
        for at in range(bounds[row], bounds[row + 1]):
            value = shingles[at]
            bucket = np.int64(value >> shift)
            for place in range(starts[bucket], starts[bucket + 1]):
                if hashes[place] < value:
                    continue
                if hashes[place] > value:
                    break
                document = documents[place]
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
    index: NearIndex, few: Few, likeness: Fraction, batches: Iterable[pa.RecordBatch], memory: int
) -> Iterator[dict[str, Any]]:
    """The first document of `batches` (`id`, `text`) that is alike to each document of `index` (`FOUND_SCHEMA`)."""
    sets, found = few.sets(memory), np.zeros(len(index.needed), np.bool_)
    counts, last = np.zeros(len(found), np.int64), np.full(len(found), -1)
    out = np.empty(len(found), np.int64)
    table = (index.hashes, index.documents, index.starts, np.uint64(65 - len(index.starts).bit_length()), index.needed)
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
                shared = _shared(own, sets, number, likeness)
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


def _shared(own: Hashes, sets: SetReader, number: int, likeness: Fraction) -> int:
    """How many shingles two documents share, if they are alike enough; else 0."""
    size = sets.size(number)
    if not _enough(min(size, len(own)), size, len(own), likeness):
        return 0
    shared = count_shared(own, sets.read(number))
    return shared if _enough(shared, size, len(own), likeness) else 0


def _enough(shared: int, left: int, right: int, likeness: Fraction) -> bool:
    return shared * likeness.denominator >= (left + right - shared) * likeness.numerator


def save_matches(directory: Path, found: Sequence[dict[str, Any]]) -> None:
    """Leave the matches of a task."""
    pq.write_table(pa.Table.from_pylist(list(found), schema=FOUND_SCHEMA), str(directory / "found"))


def decide(directory: Path, few: Few, folders: Iterable[Path], min_bytes: int) -> int:
    """Which of the few documents are dropped, by the matches of all tasks in order: `dropped.npy` and the table of
    matches. Gives how many stay though they are near-duplicates, because there would be less than `min_bytes`."""
    first: dict[int, dict[str, Any]] = {}
    for folder in folders:
        for match in pq.read_table(str(folder / "found")).to_pylist():
            first.setdefault(match["number"], match)
    places = few.places()
    bad = np.zeros(len(places), np.bool_)
    bad[list(first)] = True
    dropped, kept = spare(bad, lambda at: _likeness(first[at]), places["bytes"], min_bytes)
    np.save(directory / "dropped.npy", places[dropped][["task", "row"]].astype(_DROPPED))
    rows = [
        {"id": few.id(at), "similarity": float(_likeness(first[at])), "dropped": bool(dropped[at])}
        | {name: first[at][name] for name in ("training", "shared", "size", "training_size")}
        for at in sorted(first)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=MATCH_SCHEMA), str(directory / MATCHES), compression="zstd")
    return kept


def _likeness(match: dict[str, Any]) -> Fraction:
    return Fraction(match["shared"], match["size"] + match["training_size"] - match["shared"])


def dropped_rows(directory: Path, task: int) -> Ints:
    """The rows of a task's documents that are dropped, from what `decide` left in `directory`."""
    dropped = np.load(directory / "dropped.npy")
    return np.asarray(dropped["row"][dropped["task"] == task])
