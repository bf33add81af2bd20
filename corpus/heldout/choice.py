"""The choice of a validation side: by seeded hashes of ids, with as much text as is asked for and no text of training."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from corpus.data.buffers import text_buffers
from corpus.errors import DataError

DOCUMENT_HASH = np.dtype([("id", np.uint64), ("text", "S16"), ("bytes", np.int64)])
"""xxh3-64 of the id, xxh3-128 of the text, and the text's bytes."""
Hashes = npt.NDArray[np.void]
Keys = npt.NDArray[np.uint64]
"""Hashes of ids."""

FOLDER = "_choice"
"""Where a choice lies in its dataset."""
LIMIT, TEXTS = "limit.json", "texts.npy"
"""The limit of the hashes with their seed; the texts of held-out documents that are also in training."""

OTHER_SIDE = "split: other side"
"""Why documents are not in the dataset of a side: they are in that of the other. Counted, not recorded."""
IN_TRAINING = "also in training"
LINES_IN_TRAINING = "lines also in training"
NEAR_TRAINING = "near-duplicate in training"

_LARGEST = (1 << 64) - 1
_FEWEST_WAITING = 1 << 16


@dataclass(frozen=True)
class Choice:
    """Held out are the documents whose id has a hash up to `limit`. Those with a text among `shared` (S16[k], ascending)
    are in neither side, since training has it too; the others are for validation."""

    limit: int
    shared: npt.NDArray[np.bytes_]
    held_out: int = 0
    """How many documents are held out."""
    twins: int = 0
    """How many of these have a text that training has too."""

    def chosen(self, ids: Keys) -> npt.NDArray[np.bool_]:
        """Which documents are held out."""
        return np.asarray(ids <= np.uint64(self.limit))

    def overlapping(self, texts: npt.NDArray[np.bytes_]) -> npt.NDArray[np.bool_]:
        """Which texts are among those that training has too."""
        return among(texts, self.shared)

    def good(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Which documents (`DOCUMENT_HASH`[n]) are held out and have a text that training has not."""
        return self.chosen(hashes["id"]) & ~self.overlapping(hashes["text"])

    def save(self, directory: Path, seed: int) -> None:
        """Write `LIMIT` and `TEXTS`."""
        limit = {"limit": f"{self.limit:016x}", "seed": seed}
        (directory / LIMIT).write_text(json.dumps(limit) + "\n", encoding="utf-8")
        np.save(directory / TEXTS, self.shared)

    @classmethod
    def load(cls, directory: Path) -> Choice:
        """Read what `save` wrote, without the numbers of documents."""
        limit = json.loads((directory / LIMIT).read_text(encoding="utf-8"))
        return cls(int(limit["limit"], 16), np.asarray(np.load(directory / TEXTS, mmap_mode="r")))


def choose(parts: Callable[[], Iterable[Hashes]], fraction: Fraction, min_bytes: int) -> Choice:
    """Choose the validation side of all documents; `parts()` goes through their hashes, part by part, each time anew.

    The documents with the smallest hashes are tried in memory, twice as many as their bytes ask for at first. That is
    one pass for the sizes and two for every doubling. Raises `DataError` where no document can be split off.
    """
    documents, text = 0, 0
    for part in parts():
        documents, text = documents + len(part), text + int(part["bytes"].sum())
    if documents < 2:
        raise DataError(f"The input has {documents} documents, too few to split any off: give at least two.")
    plain = max(0, int(fraction * (1 << 64)) - 1)
    wanted = min_bytes
    while True:
        held_bytes = 2 * wanted + 1
        front = _Front.of(parts, held_bytes, plain)
        while wanted <= held_bytes or held_bytes > text // 2:
            limit = max(plain, front.reaching(wanted, text // 2))
            count, good = front.good(limit)
            taken, kept = int(front.held["bytes"][:count].sum()), int(front.held["bytes"][:count][good].sum())
            if good.any() and (kept >= min_bytes or 2 * taken >= text or taken < wanted):
                return Choice(limit, np.unique(front.held["text"][:count][~good]), count, int((~good).sum()))
            if not good.any() and (2 * taken >= text or taken < wanted):
                raise DataError(
                    "Every document that could be split off also occurs in training: remove duplicates first."
                )
            wanted = taken + max(1, min_bytes - kept)


@dataclass(frozen=True)
class _Front:
    """The documents with the smallest hashes of ids (`DOCUMENT_HASH`[n], ascending), and for each the position of the
    last one with its text: int64[n], n if it is not among them."""

    held: Hashes
    last: npt.NDArray[np.int64]

    @classmethod
    def of(cls, parts: Callable[[], Iterable[Hashes]], wanted: int, plain: int) -> _Front:
        """All up to the hash `plain`, and more until they have `wanted` bytes of text; at least one."""
        held, bound = _smallest(parts(), wanted, plain)
        texts, number = np.unique(held["text"], return_inverse=True)
        last = np.zeros(len(texts), np.int64)
        np.maximum.at(last, number, np.arange(len(held)))
        for part in parts():
            beyond = part["text"][part["id"] > np.uint64(bound)]
            at = np.minimum(np.searchsorted(texts, beyond), len(texts) - 1)
            last[at[texts[at] == beyond]] = len(held)
        return cls(held, last[number])

    def reaching(self, wanted: int, most: int) -> int:
        """The hash of the last document when the first ones are taken until they have `wanted` bytes of text, or the
        next would make more than `most`; at least one is taken."""
        total = np.cumsum(self.held["bytes"])
        needed = max(1, int(np.searchsorted(total - self.held["bytes"], wanted)))
        allowed = max(1, int(np.searchsorted(total, most, side="right")))
        return int(self.held["id"][min(needed, allowed) - 1])

    def good(self, limit: int) -> tuple[int, npt.NDArray[np.bool_]]:
        """How many documents have hashes up to `limit`, and which of them have a text that none beyond it has."""
        count = int(np.searchsorted(self.held["id"], np.uint64(limit), side="right"))
        return count, self.last[:count] < count


def _smallest(parts: Iterable[Hashes], wanted: int, plain: int) -> tuple[Hashes, int]:
    """The documents up to a hash, ascending, and that hash: see `_Front.of`."""
    held, bound = np.empty(0, DOCUMENT_HASH), _LARGEST
    waiting: list[Hashes] = []
    # trimmed whenever as many wait as are held, so that every document is sorted a few times at most
    for part in itertools.chain(parts, (None,)):
        if part is not None:
            waiting.append(part[part["id"] <= np.uint64(bound)])
            if sum(map(len, waiting)) < max(len(held), _FEWEST_WAITING):
                continue
        held = np.concatenate([held, *waiting])
        waiting = []
        held = held[np.argsort(held["id"], kind="stable")]
        total = np.cumsum(held["bytes"])
        if len(held) and total[-1] >= wanted:
            needed = max(1, int(np.searchsorted(total - held["bytes"], wanted)))
            bound = max(plain, int(held["id"][needed - 1]))
            held = held[: np.searchsorted(held["id"], np.uint64(bound), side="right")].copy()
    return held, bound


def hash_ids(ids: pa.Array, seed: int) -> Keys:
    """The seeded xxh3-64 of ids: uint64[n]."""
    seeded = seed & ((1 << 64) - 1)
    return np.array([xxhash.xxh3_64_intdigest(id.encode("utf-8"), seeded) for id in ids.to_pylist()], np.uint64)


def hash_texts(text: pa.Array) -> npt.NDArray[np.bytes_]:
    """The xxh3-128 of texts: S16[n]."""
    data, offsets = text_buffers(text)
    return np.array([xxhash.xxh3_128_digest(data.data[a:b]) for a, b in itertools.pairwise(offsets.tolist())], "S16")


def hash_documents(batch: pa.RecordBatch, seed: int) -> Hashes:
    """`DOCUMENT_HASH`[rows] of documents with the columns `id` and `text`."""
    out = np.empty(batch.num_rows, DOCUMENT_HASH)
    out["id"] = hash_ids(batch.column("id"), seed)
    out["text"] = hash_texts(batch.column("text"))
    out["bytes"] = np.diff(text_buffers(batch.column("text"))[1])
    return out


def among(values: npt.NDArray[Any], known: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which of `values` are in `known`, which is ascending and may be mapped from a file: it is searched, not read."""
    if not len(known) or not len(values):
        return np.zeros(len(values), np.bool_)
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.asarray(known[at] == values)
