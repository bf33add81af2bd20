"""The choice of validation: which texts of each domain are held out of training, by seeded hashes of the texts.

A text is held out with all of its copies. One that a domain holds out is held out of every domain (`joined`), so that no
text is both validated and trained on, wherever it stands. What a domain chooses itself depends on its own documents
alone, and what joins it on what the others chose and not on what joined them: so there are no chains.
"""

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
from corpus.data.dataset import Dataset
from corpus.errors import DataError, UsageError
from corpus.option import nearest

DOCUMENT_HASH = np.dtype([("text", "S16"), ("id", np.uint64), ("bytes", np.int64)])
"""Seeded xxh3-128 of the text, seeded xxh3-64 of the id, and the text's bytes."""
Hashes = npt.NDArray[np.void]
Keys = npt.NDArray[np.uint64]
"""Hashes of ids, or the ranks of texts."""
Texts = npt.NDArray[np.bytes_]
"""Hashes of texts: S16."""

FOLDER = "_choice"
"""Where a choice lies in its dataset: a folder for each domain, by its number among the domains of the manifest."""
LIMIT, LEFT, JOINED, REPEATED, TRAINED = "limit.json", "left.npy", "joined.npy", "repeated.npy", "trained.npy"
"""Of a domain: the limit of the ranks with their seed; texts up to it that are left to training (S16); texts that other
domains hold out (S16); the documents whose text an earlier one has in validation too (hashes of ids); and texts that
further training has (S16). All ascending."""

OTHER_SIDE = "split: other side"
"""Why documents are not in the dataset of a side: they are in that of the other. Counted, not recorded."""
REPEATED_TEXT = "repeated in validation"
IN_TRAINING = "also in training"
LINES_IN_TRAINING = "lines also in training"
NEAR_TRAINING = "near-duplicate in training"

_LARGEST = (1 << 64) - 1
_FEWEST_WAITING = 1 << 16


@dataclass(frozen=True)
class Wanted:
    """What the validation of a domain should have: a `fraction` of the texts, at least so many `bytes`, up to half of the
    domain's, and `documents`, up to a tenth of them; none of more than a `share` of its bytes, also up to a tenth."""

    fraction: Fraction
    bytes: int
    documents: int
    share: Fraction


@dataclass(frozen=True)
class Choice:
    """Which texts of a domain are held out: those with a rank up to `limit` but for those in `left`, and all in `joined`."""

    limit: int
    left: Texts
    joined: Texts
    seed: int = 0

    def own(self, texts: Texts) -> npt.NDArray[np.bool_]:
        """Which of `texts` (S16[n]) the domain chose itself."""
        return np.asarray(ranks(texts) <= np.uint64(self.limit)) & ~among(texts, self.left)

    def held_out(self, texts: Texts) -> npt.NDArray[np.bool_]:
        """Which of `texts` (S16[n]) are held out."""
        return self.own(texts) | among(texts, self.joined)

    def save(self, directory: Path) -> None:
        """Write `LIMIT` and `LEFT`."""
        limit = {"limit": f"{self.limit:016x}", "seed": self.seed}
        (directory / LIMIT).write_text(json.dumps(limit) + "\n", encoding="utf-8")
        np.save(directory / LEFT, self.left)

    @classmethod
    def load(cls, directory: Path, joined: Path | None = None) -> Choice:
        """Read what `save` wrote, and the texts that join from the folder `joined`; None: none do."""
        limit = json.loads((directory / LIMIT).read_text(encoding="utf-8"))
        further = np.empty(0, "S16") if joined is None else load_mapped(joined / JOINED)
        return cls(int(limit["limit"], 16), load_mapped(directory / LEFT), further, limit["seed"])


def choose(parts: Callable[[], Iterable[Hashes]], wanted: Wanted, seed: int = 0) -> tuple[Choice, Texts]:
    """The choice of a domain by itself, and the texts that it holds out (S16[n], ascending); `parts()` goes through the
    hashes of its documents, part by part, each time anew.

    The documents of the smallest ranks are tried in memory, as many as ought to do at first and twice as many whenever
    they do not: one pass for the sizes, and one each time. Raises `DataError` where no text can be split off.
    """
    documents, text = 0, 0
    for part in parts():
        documents, text = documents + len(part), text + int(part["bytes"].sum())
    if documents < 2:
        raise DataError(f"The input has {documents} documents, too few to split any off: give at least two.")
    plain = max(0, int(wanted.fraction * (1 << 64)) - 1)
    size, number = 2 * wanted.bytes + 1, 2 * wanted.documents + 1
    while True:
        held = _smallest(parts(), size, number, plain)
        front = _Front.of(held, documents, text)
        count, known = front.reaching(wanted, plain) if len(front.eligible) else (0, False)
        if count and (known or len(held) == documents):
            return front.choice(count, wanted, seed)
        if len(held) == documents:
            raise DataError(
                "The input has no text that could be split off, each one being over half of it: remove duplicates first, "
                "or give more documents."
            )
        size, number = 2 * size, 2 * number


@dataclass(frozen=True)
class _Front:
    """The texts of the smallest ranks, ascending: S16[n], the bytes of each, and the bytes and documents that are its
    copies together. `eligible` are the positions of those that are not over half of all by themselves."""

    texts: Texts
    size: npt.NDArray[np.int64]
    eligible: npt.NDArray[np.int64]
    half: int
    """How many of the eligible can be taken together without passing half of all documents or bytes; at least one."""
    tenth: int
    """The same of a tenth; those that are more by themselves do not count."""

    @classmethod
    def of(cls, held: Hashes, documents: int, text: int) -> _Front:
        """From some documents of `documents` with `text` bytes."""
        texts, first, copies = np.unique(held["text"], return_index=True, return_counts=True)
        size = held["bytes"][first]
        eligible = np.flatnonzero((size * copies <= text // 2) & (copies <= documents // 2))
        copies, weight = copies[eligible], (size * copies)[eligible]
        small = (weight <= text // 10) & (copies <= documents // 10)
        fits = [
            np.count_nonzero(
                (np.cumsum(weight * taken) <= text // part) & (np.cumsum(copies * taken) <= documents // part)
            )
            for taken, part in ((np.ones(len(weight), np.bool_), 2), (small, 10))
        ]
        return cls(texts, size, eligible, max(min(1, len(eligible)), int(fits[0])), int(fits[1]))

    def reaching(self, wanted: Wanted, plain: int) -> tuple[int, bool]:
        """How many of the eligible to take; and whether more texts would not change that.

        Those up to the rank `plain`, and as many as have the bytes that are wanted, up to half of all; then more, up to a
        tenth of all, until what stays of them (`_small_enough`) is the documents and bytes that are wanted.
        """
        least = int(np.count_nonzero(ranks(self.texts[self.eligible]) <= np.uint64(plain)))
        size = self.size[self.eligible]
        filled = int(np.searchsorted(np.cumsum(size), wanted.bytes)) + 1 if wanted.bytes else 0
        count = min(self.half, max(1, least, filled))
        most = max(count, min(self.half, self.tenth))
        known = most < len(size) and (filled <= len(size) or self.half < len(size))
        count = min(most, max(count, wanted.documents))
        while True:
            stay = _small_enough(size[:count], wanted.share)
            enough = np.count_nonzero(stay) >= wanted.documents and int(size[:count][stay].sum()) >= wanted.bytes
            if enough or count == most:
                return count, bool(enough) or known
            count = min(most, count + max(1, count // 64))

    def choice(self, count: int, wanted: Wanted, seed: int) -> tuple[Choice, Texts]:
        """Take the first `count` of the eligible but for those that are too large; where without these there is too little,
        they are taken too."""
        taken = self.eligible[:count]
        stay = _small_enough(self.size[taken], wanted.share)
        if int(self.size[taken][stay].sum()) >= max(1, wanted.bytes):
            taken = taken[stay]
        chosen = self.texts[taken]
        limit = int(ranks(chosen)[-1])
        up_to = self.texts[ranks(self.texts) <= np.uint64(limit)]
        return Choice(limit, up_to[~among(up_to, chosen)], np.empty(0, "S16"), seed), chosen


def _small_enough(size: npt.NDArray[np.int64], share: Fraction) -> npt.NDArray[np.bool_]:
    """Which documents to take, as many as possible, so that none has more than `share` of the bytes of those taken."""
    if share >= 1:
        return np.ones(len(size), np.bool_)
    ascending = np.sort(size)
    fit = np.flatnonzero(ascending <= float(share) * np.cumsum(ascending))
    return size <= ascending[fit[-1]] if len(fit) else np.zeros(len(size), np.bool_)


def _smallest(parts: Iterable[Hashes], size: int, number: int, plain: int) -> Hashes:
    """The documents of the smallest ranks, ascending: all up to the rank `plain`, and more until they are `number` and
    have `size` bytes of text; of equal ranks all."""
    held, bound = np.empty(0, DOCUMENT_HASH), _LARGEST
    waiting: list[Hashes] = []
    # trimmed whenever as many wait as are held, so that every document is sorted a few times at most
    for part in itertools.chain(parts, (None,)):
        if part is not None:
            waiting.append(part[ranks(part["text"]) <= np.uint64(bound)])
            if sum(map(len, waiting)) < max(len(held), _FEWEST_WAITING):
                continue
        held = np.concatenate([held, *waiting])
        waiting = []
        order = ranks(held["text"])
        sort = np.argsort(order, kind="stable")
        held, order = held[sort], order[sort]
        total = np.cumsum(held["bytes"])
        if len(held) >= number and total[-1] >= size:
            needed = max(number, int(np.searchsorted(total, size)) + 1)
            bound = max(plain, int(order[needed - 1]))
            held = held[: np.searchsorted(order, np.uint64(bound), side="right")].copy()
    return held


def ranks(texts: Texts) -> Keys:
    """The first 64 bits of hashes of texts, by which they are chosen: uint64[n], in the order of the hashes."""
    words = np.ascontiguousarray(texts, "S16").view(">u8").reshape(-1, 2)[:, 0]
    return np.asarray(words, np.uint64)


def hash_ids(ids: pa.Array, seed: int) -> Keys:
    """The seeded xxh3-64 of ids: uint64[n]."""
    seeded = seed & _LARGEST
    return np.array([xxhash.xxh3_64_intdigest(id.encode("utf-8"), seeded) for id in ids.to_pylist()], np.uint64)


def hash_texts(text: pa.Array, seed: int) -> Texts:
    """The seeded xxh3-128 of texts: S16[n]."""
    data, offsets = text_buffers(text)
    seeded = seed & _LARGEST
    pairs = itertools.pairwise(offsets.tolist())
    return np.array([xxhash.xxh3_128_digest(data.data[a:b], seeded) for a, b in pairs], "S16")


def hash_documents(batch: pa.RecordBatch, seed: int) -> Hashes:
    """`DOCUMENT_HASH`[rows] of documents with the columns `id` and `text`."""
    out = np.empty(batch.num_rows, DOCUMENT_HASH)
    out["id"] = hash_ids(batch.column("id"), seed)
    out["text"] = hash_texts(batch.column("text"), seed)
    out["bytes"] = np.diff(text_buffers(batch.column("text"))[1])
    return out


def among(values: npt.NDArray[Any], known: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which of `values` are in `known`, which is ascending and may be mapped from a file: it is searched, not read."""
    if not len(known) or not len(values):
        return np.zeros(len(values), np.bool_)
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.asarray(known[at] == values)


def read_choice(path: str, domain: str) -> Choice:
    """The choice of a domain in a dataset of kind choice, checked; what joins it, too."""
    place = choice_folder(dataset := Dataset.open(path, "choice"), domain)
    for file in dataset.files(place.as_posix()).values():
        file.check()
    return Choice.load(dataset.path / place, dataset.path / place)


def choice_folder(choice: Dataset, domain: str) -> Path:
    """Where the files of a domain lie in a choice."""
    domains = choice.manifest.extra["domains"]
    if domain not in domains:
        raise UsageError(f"{choice.path} has no choice for domain {domain}: {nearest(domain, domains)}")
    return Path(FOLDER, f"{domains.index(domain):05d}")


def load_mapped(path: Path) -> npt.NDArray[Any]:
    """An array mapped from its file."""
    return np.asarray(np.load(path, mmap_mode="r"))
