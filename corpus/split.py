"""Documents -> the training or the validation side of them, by a hash of the document's id.

A document is on the validation side when the seeded hash of its id is below the fraction asked for. Where that gives
less than `min_bytes` of text, the documents with the next smallest hashes join, until it is enough or half of all text
is reached; at least one joins. A validation document whose whole text also occurs in training is dropped from
validation. The stage makes one side; run it once for each, and both choose alike.

Phases: `hash` (id, text and size of every document: 32 bytes each, on disk), `choose` (the limit of the hashes, and the
texts on both sides; holds the validation side of those arrays and one task's share of the others), `write`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from corpus.errors import DataError, UsageError
from corpus.option import option
from corpus.stage.commit import Commit
from corpus.stage.documents import dataset_inputs, group_batches, open_inputs, shard_groups, text_bytes
from corpus.stage.stage import Estimate, InputRef, Phase, Stage, task_directory
from corpus.stage.task import Task

OTHER_SIDE = "split: other side"
"""Why documents are not in this dataset: they are in the other one of the pair. Counted, not recorded."""
IN_TRAINING = "also in training"
_FRACTION = re.compile(r"((?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?)\s*(%?)")

DOCUMENT_HASH = np.dtype([("id", np.uint64), ("text", "S16"), ("bytes", np.int64)])
"""xxh3-64 of the id, xxh3-128 of the text, and the text's bytes."""
Hashes = npt.NDArray[np.void]


@dataclass(frozen=True)
class SplitConfig:
    """Settings of `corpus split`."""

    side: Literal["train", "validation"] = option("train", "Which of the two sides to write.")
    validation: str = option("0.1%", "Part of the documents that is for validation, as 0.1% or 0.001; at most 50%.")
    min_bytes: int = option(16_000, "Text that validation has at least (it fills a row), up to half of all text.")
    seed: int = option(0, "Seed of the choice; both sides need the same.")
    shard_bytes: int = option(256_000_000, "Data bytes after which an output shard is closed.")

    def __post_init__(self) -> None:
        parse_fraction(self.validation)
        if self.min_bytes < 0:
            raise UsageError(f"--min-bytes {self.min_bytes} is less than zero; give the bytes of text you need.")


def parse_fraction(text: str) -> Fraction:
    """`0.1%` or `0.001` as an exact fraction; a `UsageError` unless it is over 0 and at most a half."""
    match = _FRACTION.fullmatch(text.strip())
    value = Fraction(match[1]) / (100 if match[2] else 1) if match else Fraction(0)
    if not 0 < value <= Fraction(1, 2):
        raise UsageError(f"--validation {text} is no part of the documents; give a number over 0 up to 50%, as 0.1%.")
    return value


@dataclass(frozen=True)
class Choice:
    """Validation documents are those whose id has a hash up to `limit`, but for those with a text among `shared`
    (S16[k]), which also occur in training."""

    limit: int
    shared: npt.NDArray[np.bytes_]

    def chosen(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Which documents are not in training."""
        return np.asarray(hashes["id"] <= np.uint64(self.limit))

    def overlapping(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Which documents have a text that is on both sides."""
        return np.isin(hashes["text"], self.shared)


def choose(parts: Callable[[], Iterable[Hashes]], fraction: Fraction, min_bytes: int) -> Choice:
    """Choose the validation side of all documents; `parts()` goes through their hashes, part by part, each time anew.

    Raises `DataError` where no document can be split off.
    """
    documents, text = 0, 0
    for part in parts():
        documents, text = documents + len(part), text + int(part["bytes"].sum())
    if documents < 2:
        raise DataError(f"The input has {documents} documents, too few to split any off: give at least two.")
    plain = max(0, int(fraction * (1 << 64)) - 1)
    wanted = min_bytes
    while True:
        limit = max(plain, _reaching(parts, wanted, text // 2))
        choice = Choice(limit, _shared(parts, limit))
        taken = kept = survivors = 0
        for part in parts():
            own = part[choice.chosen(part)]
            good = own[~choice.overlapping(own)]
            taken, kept, survivors = (
                taken + int(own["bytes"].sum()),
                kept + int(good["bytes"].sum()),
                survivors + len(good),
            )
        if survivors and (kept >= min_bytes or 2 * taken >= text or taken < wanted):
            return choice
        if not survivors and (2 * taken >= text or taken < wanted):
            raise DataError("Every document that could be split off also occurs in training: remove duplicates first.")
        wanted = taken + max(1, min_bytes - kept)


def _reaching(parts: Callable[[], Iterable[Hashes]], wanted: int, most: int) -> int:
    """The hash of the last document when the smallest hashes are taken until they have `wanted` bytes of text, or the
    next would make more than `most`; at least one is taken."""
    best = np.empty(0, DOCUMENT_HASH)
    for part in parts():
        best = np.concatenate([best, part])
        best = best[np.argsort(best["id"], kind="stable")]
        before = np.cumsum(best["bytes"]) - best["bytes"]
        best = best[: max(1, int(np.searchsorted(before, wanted)))]
    total = np.cumsum(best["bytes"])
    allowed = max(1, int(np.searchsorted(total, most, side="right")))
    return int(best["id"][min(len(best), allowed) - 1])


def _shared(parts: Callable[[], Iterable[Hashes]], limit: int) -> npt.NDArray[np.bytes_]:
    """The texts of documents up to `limit` that other documents have too."""
    own = [part["text"][part["id"] <= np.uint64(limit)] for part in parts()]
    texts = np.unique(np.concatenate(own))
    found = [np.intersect1d(texts, part["text"][part["id"] > np.uint64(limit)]) for part in parts()]
    return np.unique(np.concatenate(found))


@dataclass(frozen=True)
class SplitStage(Stage):
    """Documents -> the documents of one side."""

    documents: tuple[str, ...]
    settings: SplitConfig

    name: ClassVar[str] = "split"
    kind: ClassVar[str] = "documents"
    unit: ClassVar[str] = "documents"

    def config(self) -> Mapping[str, Any]:
        settings = self.settings
        return {
            "side": settings.side,
            "validation": str(parse_fraction(settings.validation)),
            "min_bytes": settings.min_bytes,
            "seed": settings.seed,
            "shard_bytes": settings.shard_bytes,
        }

    def inputs(self) -> tuple[InputRef, ...]:
        return dataset_inputs(open_inputs(self.documents))

    def phases(self) -> tuple[Phase, ...]:
        tasks = len(shard_groups(open_inputs(self.documents)))
        return Phase("hash", tasks), Phase("choose", 1), Phase("write", tasks)

    def input_bytes(self) -> int:
        return text_bytes(open_inputs(self.documents))

    def estimate(self) -> Estimate:
        rows = sum(dataset.manifest.rows for dataset in open_inputs(self.documents))
        return Estimate(memory=64_000_000, disk=self.input_bytes() + DOCUMENT_HASH.itemsize * rows)

    def run(self, phase: str, index: int, task: Task) -> None:
        {"hash": self._hash, "choose": self._choose, "write": self._write}[phase](index, task)

    def _hash(self, index: int, task: Task) -> None:
        group = shard_groups(open_inputs(self.documents))[index]
        found = [np.empty(0, DOCUMENT_HASH)]
        for batch in group_batches(group, ["id", "text"]):
            found.append(hash_documents(batch, self.settings.seed))
            task.progress(documents=batch.num_rows, bytes=batch.nbytes)
        np.save(task.directory / "hashes.npy", np.concatenate(found))

    def _choose(self, index: int, task: Task) -> None:
        tasks = len(shard_groups(open_inputs(self.documents)))
        fraction = parse_fraction(self.settings.validation)
        try:
            choice = choose(lambda: (_hashes(task.work, n) for n in range(tasks)), fraction, self.settings.min_bytes)
        except DataError as error:
            raise DataError(f"{', '.join(self.documents)}: {error.message}") from None
        task.note("limit", choice.limit)
        np.save(task.directory / "shared.npy", choice.shared)

    def _write(self, index: int, task: Task) -> None:
        (chosen,) = task.results("choose", 1)
        choice = Choice(int(chosen.notes["limit"]), np.load(chosen.directory / "shared.npy"))
        hashes = _hashes(task.work, index)
        writer = task.documents(self.settings.shard_bytes)
        validation = self.settings.side == "validation"
        row = 0
        for batch in group_batches(shard_groups(open_inputs(self.documents))[index]):
            part = hashes[row : row + batch.num_rows]
            row += batch.num_rows
            mine = choice.chosen(part) == validation
            twice = mine & choice.overlapping(part) if validation else np.zeros(len(part), np.bool_)
            for at in np.flatnonzero(twice):
                task.drop(batch.column("id")[at].as_py(), IN_TRAINING, batch.column("text")[at].as_py())
            keep = mine & ~twice
            writer.write(batch.filter(pa.array(keep)))
            task.count(seen=len(part), kept=int(keep.sum()), dropped={OTHER_SIDE: int((~mine).sum())})
            task.progress(documents=batch.num_rows, bytes=batch.nbytes)

    def finish(self, commit: Commit) -> None:
        (chosen,) = commit.results["choose"]
        commit.extra |= {"split": self.settings.side, "limit": f"{chosen.notes['limit']:016x}"}


def hash_documents(batch: pa.RecordBatch, seed: int) -> Hashes:
    """`DOCUMENT_HASH`[rows] of documents with the columns `id` and `text`."""
    out = np.empty(batch.num_rows, DOCUMENT_HASH)
    ids = batch.column("id").to_pylist()
    seeded = seed & ((1 << 64) - 1)
    out["id"] = [xxhash.xxh3_64_intdigest(id.encode("utf-8"), seeded) for id in ids]
    text = batch.column("text").cast(pa.large_string())
    offsets = np.frombuffer(text.buffers()[1], np.int64)[text.offset : text.offset + len(text) + 1]
    data = memoryview(text.buffers()[2] or b"")
    bounds = offsets.tolist()
    out["text"] = [xxhash.xxh3_128_digest(data[a:b]) for a, b in itertools.pairwise(bounds)]
    out["bytes"] = np.diff(offsets)
    return out


def _hashes(work: Path, index: int) -> Hashes:
    found: Hashes = np.load(task_directory(work, "hash", index) / "hashes.npy")
    return found
