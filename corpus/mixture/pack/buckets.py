"""The offset of every document in every epoch, with sequential reads and little memory.

An epoch is a permutation of a domain's documents; the offset of a document in it is the sum of the lengths before it.
The positions of an epoch are cut into *buckets*. The index phase sends the length of each document to the bucket that
holds it: sorted by bucket, and within a bucket in the order of the files. The order phase takes one bucket after the
other, moves its lengths to their positions, sums them up (or fits them into sequences), and leaves the results in the
order in which the lengths came. So the distribute phase, which reads the files in that order again, finds the results
of each bucket one after the other.

Disk: 8 bytes per document and epoch each way, 16 back for best-fit. Memory: one bucket.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from corpus.engine.result import task_directory
from corpus.engine.task import Task
from corpus.errors import DataError
from corpus.mixture.pack import layout as sizes
from corpus.mixture.pack.arrays import shard_file, stretch
from corpus.mixture.pack.best_fit import fit
from corpus.mixture.pack.layout import BucketGroup, PlacedShard
from corpus.mixture.pack.order import Ints, positions
from corpus.mixture.pack.packing import Packing
from corpus.mixture.pack.shards import index_shard
from corpus.mixture.pack.stream import NOWHERE, document_key

_ENTRY = np.dtype([("position", "<u4"), ("length", "<u4")])
"""A document on its way to a bucket: its position there, and its length."""


def index_shards(packing: Packing, index: int, task: Task) -> None:
    """Find the documents of one group of token shards, and send their lengths to the buckets of their epochs."""
    for member, ref in enumerate(packing.layout.groups[index]):
        found = index_shard(ref.file, packing.layout.wide)
        if len(found.starts) != ref.rows:
            ref.file.check()
            raise DataError(
                f"{ref.file.path} has {len(found.starts)} documents, its manifest says {ref.rows}; tokenize again."
            )
        np.save(task.directory / f"starts-{member:05d}.npy", found.starts)
        np.save(task.directory / f"lengths-{member:05d}.npy", found.lengths)
        placed = packing.layout.placed(ref)
        if placed is not None:
            _send_lengths(packing, *placed, found.lengths, task)
        task.progress(documents=ref.rows, bytes=ref.bytes)


def _send_lengths(
    packing: Packing, number: int, shard: PlacedShard, lengths: npt.NDArray[np.uint32], task: Task
) -> None:
    """Write the entries of a shard's documents, chunk after chunk and in each bucket after bucket; the bounds of the
    buckets; and the tokens of each bucket."""
    per_epoch = packing.layout.buckets_per_epoch(number)
    buckets = per_epoch * packing.layout.plan.domains[number].epochs_begun
    totals = np.zeros(buckets, np.int64)
    chunks = list(chunks_of(packing, number, len(lengths)))
    bounds = np.zeros((len(chunks), buckets + 1), np.int64)
    written = 0
    with (task.directory / f"entries-{shard.member:05d}.npy").open("wb") as file:
        for row, (begin, end) in zip(bounds, chunks, strict=True):
            row[0] = written
            own = lengths[begin:end]
            for epoch, (bucket, position, order) in enumerate(
                _buckets_of(packing, number, shard.first + begin, len(own))
            ):
                entries = np.empty(len(own), _ENTRY)
                entries["position"], entries["length"] = position[order], own[order]
                entries.tofile(file)
                first = epoch * per_epoch
                ends = np.searchsorted(bucket[order], np.arange(per_epoch), side="right")
                row[first + 1 : first + per_epoch + 1] = written + ends
                sums = np.concatenate([[0], np.cumsum(own[order], dtype=np.int64)])[ends]
                totals[first : first + per_epoch] += np.diff(sums, prepend=0)
                written += len(own)
    np.save(task.directory / f"bounds-{shard.member:05d}.npy", bounds)
    np.save(task.directory / f"totals-{shard.member:05d}.npy", totals)


def chunks_of(packing: Packing, number: int, documents: int) -> Iterator[tuple[int, int]]:
    """The documents of a shard in chunks [begin, end) that fit into memory with all their epochs."""
    step = packing.layout.chunk_documents(number)
    for begin in range(0, documents, step):
        yield begin, min(begin + step, documents)


def _buckets_of(packing: Packing, number: int, begin: int, count: int) -> Iterator[tuple[Ints, Ints, Ints]]:
    """For each epoch of a domain and `count` documents from `begin` on: the bucket of each within the epoch, its
    position in the bucket, and the documents sorted by bucket."""
    layout = packing.layout
    documents = np.arange(begin, begin + count, dtype=np.int64)
    for epoch in range(layout.plan.domains[number].epochs_begun):
        key = document_key(packing.seed, layout.plan.domains[number].domain, epoch)
        position = positions(documents, layout.documents[number], key)
        bucket = position // sizes.BUCKET_DOCUMENTS
        yield bucket, position - bucket * sizes.BUCKET_DOCUMENTS, np.argsort(bucket, kind="stable")


def order_buckets(packing: Packing, index: int, task: Task) -> None:
    """Find the offsets in the stream of a domain, or for best-fit the sequences, of the documents of some buckets."""
    layout = packing.layout
    group = layout.bucket_groups[index]
    domain = layout.plan.domains[group.domain]
    before = _tokens_before(packing, group.domain, task.work)
    sent = _Sent(packing, group, task.work)
    found: list[Ints] = []
    counts: list[Ints] = []
    rows: list[int] = []
    used = cut = 0
    for bucket in range(group.begin, group.end):
        entries, sizes_sent = sent.read(bucket)
        lengths = np.empty(len(entries), np.uint32)
        lengths[entries["position"]] = entries["length"]
        ends = before[bucket] + np.cumsum(lengths, dtype=np.int64)
        if packing.best_fit:
            whole = int(np.searchsorted(ends, domain.stream, side="right"))
            at = np.full((len(entries), 2), NOWHERE, np.int64)
            at[:whole], own = fit(lengths[:whole], layout.plan.width)
            used += int(lengths[:whole].sum(dtype=np.int64))
            rows.append(own)
        else:
            at = ends - lengths
            if before[bucket] < domain.stream <= before[bucket + 1]:
                cut = int(ends[np.searchsorted(ends, domain.stream)] - domain.stream)
        found.append(at[entries["position"]])
        counts.append(sizes_sent)
    np.concatenate(found).tofile(task.directory / "at")
    _ranges(counts).tofile(task.directory / "ranges")
    np.save(task.directory / "rows.npy", np.array(rows, np.int64))
    task.note("used", used)
    task.note("cut", cut)


def _ranges(counts: list[Ints]) -> Ints:
    """int64[chunks, buckets, 2]: the range of each chunk and bucket in the results of a task."""
    grid = np.stack(counts)
    ends = np.cumsum(grid.reshape(-1)).reshape(grid.shape)
    return np.ascontiguousarray(np.stack([ends - grid, ends], axis=-1).transpose(1, 0, 2))


def _tokens_before(packing: Packing, number: int, work: Path) -> Ints:
    """int64[buckets + 1]: the tokens of a domain's stream before each bucket, and all of them; a `DataError` where the
    manifests say otherwise."""
    layout = packing.layout
    domain = layout.plan.domains[number]
    totals = np.zeros(layout.buckets_per_epoch(number) * domain.epochs_begun, np.int64)
    for shard in layout.shards[number]:
        totals += np.load(shard_file(work, shard, "totals"))
    unique = int(totals[: layout.buckets_per_epoch(number)].sum())
    if unique != domain.unique:
        for shard in layout.shards[number]:
            shard.ref.file.check()
        raise DataError(
            f"The shards of '{domain.domain}' hold {unique:,} tokens, their manifests say {domain.unique:,}; tokenize "
            "them again."
        )
    return np.concatenate([[0], np.cumsum(totals)])


class _Sent:
    """The entries that the index phase sent to the buckets of a task."""

    def __init__(self, packing: Packing, group: BucketGroup, work: Path) -> None:
        self._begin = group.begin
        self._shards = [
            (
                shard_file(work, shard, "entries"),
                np.load(shard_file(work, shard, "bounds"))[:, group.begin : group.end + 1].copy(),
            )
            for shard in packing.layout.shards[group.domain]
        ]

    def read(self, bucket: int) -> tuple[npt.NDArray[Any], Ints]:
        """All entries of a bucket, and the number of them that each chunk sent."""
        parts = [np.empty(0, _ENTRY)]
        counts: list[int] = []
        for path, bounds in self._shards:
            at = bucket - self._begin
            for begin, end in bounds[:, at : at + 2].tolist():
                parts.append(stretch(path, _ENTRY, begin, end))
                counts.append(end - begin)
        return np.concatenate(parts), np.array(counts, np.int64)


class Ordered:
    """What the order phase found for a domain, read chunk after chunk of its documents."""

    def __init__(self, packing: Packing, number: int, work: Path) -> None:
        self._packing = packing
        self._number = number
        self._tasks = [
            (group, task_directory(work, "order", index))
            for index, group in enumerate(packing.layout.bucket_groups)
            if group.domain == number
        ]

    def read(self, chunk: int, first: int, count: int, rows_before: Ints) -> Ints:
        """What was found for the `count` documents from `first` on, chunk `chunk` of the domain: int64[epochs, count],
        or [epochs, count, 2] for best-fit, where `rows_before` are the sequences before each bucket."""
        width = self._packing.layout.plan.width
        columns = 2 if self._packing.best_fit else 1
        parts: list[Ints] = []
        for group, folder in self._tasks:
            size = 2 * (group.end - group.begin)
            ranges = stretch(folder / "ranges", np.int64, chunk * size, (chunk + 1) * size).reshape(-1, 2)
            for bucket, (begin, end) in enumerate(ranges.tolist(), group.begin):
                part = stretch(folder / "at", np.int64, begin * columns, end * columns)
                if self._packing.best_fit:
                    part = part.reshape(-1, 2)
                    part += np.where(part < 0, 0, rows_before[bucket] * np.array([1, width]))
                parts.append(part)
        found = np.concatenate(parts)
        found = found.reshape(-1, count, *found.shape[1:])
        out = np.empty_like(found)
        for epoch, (_, _, order) in enumerate(_buckets_of(self._packing, self._number, first, count)):
            out[epoch, order] = found[epoch]
        return out
