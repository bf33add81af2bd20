"""The tasks of mixing that see training sequences: interleave the domains, distribute the documents, pack."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from corpus.data.schema import packed_schema
from corpus.engine.result import task_directory
from corpus.engine.task import Task
from corpus.mixture.pack.arrays import look_up
from corpus.mixture.pack.buckets import Ordered, chunks_of
from corpus.mixture.pack.ids import merge_partition, partitions_of, save_hashed
from corpus.mixture.pack.layout import PlacedShard
from corpus.mixture.pack.listing import DOCUMENTS_SCHEMA, LISTING_FORMAT, ShardListing
from corpus.mixture.pack.order import Ints, interleave
from corpus.mixture.pack.packing import Packing
from corpus.mixture.pack.sequences import block_batch, pack_block, unmarked
from corpus.mixture.pack.shards import ShardIndex, ShardReader
from corpus.mixture.pack.spill import SEGMENT_RECORD, SegmentRecords, Spill, read_runs, run_bytes
from corpus.mixture.pack.stream import RowOrder, Segments, cut_documents, cut_stream, first_rows
from corpus.mixture.pack.trained import Marks

_SEGMENT_BYTES = 256
"""Memory of a segment between the look-up of its document and the spill."""


def interleave_rows(packing: Packing, index: int, task: Task) -> None:
    """Settle the number of sequences of each domain and epoch, their positions in the set, and the ledger."""
    assert index == 0
    layout = packing.layout
    results = task.results("order", len(layout.bucket_groups))
    rows = []
    for number, domain in enumerate(layout.plan.domains):
        own = [r for group, r in zip(layout.bucket_groups, results, strict=True) if group.domain == number]
        used = sum(result.notes["used"] for result in own)
        if packing.best_fit:
            bucket_rows = np.concatenate([np.load(result.directory / "rows.npy") for result in own])
            before = np.concatenate([[0], np.cumsum(bucket_rows)])
            bounds = before[:: layout.buckets_per_epoch(number)]
            domain = domain.fitted(int(bounds[-1]), used, layout.plan.width)
        else:
            before = np.empty(0, np.int64)
            bounds = first_rows(domain.unique, domain.epochs_begun, domain.rows, layout.plan.sequence_length)
        np.save(task.directory / f"before-{number:05d}.npy", before)
        np.save(task.directory / f"bounds-{number:05d}.npy", bounds)
        rows.append(domain.rows)
        cut = sum(result.notes["cut"] for result in own)
        dropped = {"tail": domain.tail, "cut": cut, "unused": domain.beyond - cut}
        task.count(seen=sum(dropped.values()), dropped=dropped)
        task.note(domain.domain, {"rows": domain.rows, "used": used, "cut": cut})
    files = [task.directory / f"positions-{number:05d}" for number in range(len(rows))]
    for path in files:
        path.touch()
    begin = 0
    for part in interleave(np.array(rows, np.int64)):
        order = np.argsort(part, kind="stable")
        bounds = np.searchsorted(part[order], np.arange(len(rows) + 1))
        for path, (low, high) in zip(files, itertools.pairwise(bounds), strict=True):
            with path.open("ab") as file:
                (begin + order[low:high]).tofile(file)
        begin += len(part)


def distribute(packing: Packing, index: int, task: Task) -> None:
    """Send the documents of one group of token shards to the blocks that hold them, and list them."""
    layout = packing.layout
    spill = Spill(task.directory, layout.wide_spill, task.memory // 2, packing.block_rows(task.work))
    hashes: list[npt.NDArray[np.uint64]] = []
    with pq.ParquetWriter(str(task.directory / "documents"), DOCUMENTS_SCHEMA, **LISTING_FORMAT) as writer:
        for member, ref in enumerate(layout.groups[index]):
            ref.file.check()
            folder = task_directory(task.work, "index", index)
            found = ShardIndex(
                np.load(folder / f"starts-{member:05d}.npy", mmap_mode="r"),
                np.load(folder / f"lengths-{member:05d}.npy", mmap_mode="r"),
            )
            listing = ShardListing(writer, ref.file.path, ref.dataset)
            placed = layout.placed(ref)
            if placed is None:
                nothing = np.empty(0, np.int64)
                listing.add(found.lengths, nothing, nothing, nothing)
            else:
                _distribute_shard(packing, *placed, found, listing, spill, task)
            listing.close()
            hashes += listing.hashes
            task.progress(bytes=ref.bytes)
    spill.close()
    before = sum(ref.rows for group in layout.groups[:index] for ref in group)
    save_hashed(task.directory, np.concatenate([np.empty(0, np.uint64), *hashes]), before)
    task.note("rows", sum(map(len, hashes)))


def _distribute_shard(
    packing: Packing,
    number: int,
    shard: PlacedShard,
    index: ShardIndex,
    listing: ShardListing,
    spill: Spill,
    task: Task,
) -> None:
    layout = packing.layout
    domain = _DomainRows(packing, number, task.work)
    tokenizer, file = layout.tokenizer, shard.ref.file.path
    marks = Marks.of(file, masked=layout.masked[shard.ref.dataset]) if layout.trained else None
    earlier = layout.shards[number][: layout.shards[number].index(shard)]
    chunk = sum(len(list(chunks_of(packing, number, other.ref.rows))) for other in earlier)
    with ShardReader(file, index, int(tokenizer["eod_id"]), int(tokenizer["vocab_size"]), marks) as reader:
        for begin, end in chunks_of(packing, number, len(index.lengths)):
            lengths = index.lengths[begin:end]
            at = domain.at(chunk, shard.first + begin, len(lengths))
            for low, high in _steps(domain.segment_bytes(lengths), task.memory // 8):
                segments, position = domain.segments(at[:, low:high], lengths[low:high])
                listing.add(lengths[low:high], segments.document, position, segments.epoch)
                first = begin + low
                spill.add(reader, first, segments, _records(segments, position, shard.base + first, number))
            chunk += 1


def _records(segments: Segments, position: Ints, base: int, domain: int) -> SegmentRecords:
    """The segments as the spill holds them; their documents begin at `base` of `_documents/`."""
    records = np.empty(len(position), SEGMENT_RECORD)
    for name in ("start", "length", "target", "epoch"):
        records[name] = getattr(segments, name)
    records["position"], records["document"], records["domain"] = position, segments.document + base, domain
    return records


class _DomainRows:
    """The sequences of a domain, from what the order and interleave phases left below `work`."""

    def __init__(self, packing: Packing, number: int, work: Path) -> None:
        folder = task_directory(work, "interleave", 0)
        domain = packing.layout.plan.domains[number]
        self._packing = packing
        self._number = number
        self._ordered = Ordered(packing, number, work)
        self._before = np.load(folder / f"before-{number:05d}.npy")
        self._positions = folder / f"positions-{number:05d}"
        bounds = np.load(folder / f"bounds-{number:05d}.npy")
        self._order = RowOrder(domain.domain, packing.seed, packing.shuffled, bounds)

    def at(self, chunk: int, first: int, count: int) -> Ints:
        """The offsets in each epoch of the `count` documents from `first` on, chunk `chunk` of the domain."""
        return self._ordered.read(chunk, first, count, self._before)

    def segment_bytes(self, lengths: npt.NDArray[np.uint32]) -> Ints:
        """An upper bound on the memory that the segments of documents of these lengths take in all epochs."""
        plan = self._packing.layout.plan
        each = lengths // np.int64(plan.sequence_length) + 2
        return each * (_SEGMENT_BYTES * plan.domains[self._number].epochs_begun)

    def segments(self, at: Ints, lengths: npt.NDArray[np.uint32]) -> tuple[Segments, Ints]:
        """The segments of documents at the offsets `at`, and the positions in the set of their sequences."""
        plan = self._packing.layout.plan
        at = np.ascontiguousarray(at)
        sizes = lengths.astype(np.int64)
        if self._packing.best_fit:
            segments = cut_documents(at, sizes, plan.width)
        else:
            segments = cut_stream(at, sizes, plan.sequence_length, int(self._order.bounds[-1]))
        return segments, look_up(self._positions, self._order.ranks_of(segments.row))


def pack_shard(packing: Packing, index: int, task: Task) -> None:
    """Write the sequences of one output shard; none where best-fit took fewer shards than its upper bound."""
    layout = packing.layout
    width = layout.plan.width
    names = [domain.domain for domain in layout.plan.domains]
    rows = packing.block_rows(task.work)
    if index * rows.shard_rows >= rows.rows:
        return
    folders = [task_directory(task.work, "distribute", number) for number in range(len(layout.groups))]
    writer = task.writer(packed_schema(width, layout.wide, layout.trained), shard_bytes=1 << 62, suffix=".arrow")
    begin = index * rows.per_shard
    held = sum(run_bytes(folder, begin, begin + rows.per_shard, layout.wide_spill) for folder in folders)
    for low, high in _steps(np.asarray(held), task.memory // 2):
        first, end = rows.range_of(begin + low, begin + high)
        if first == end:
            continue
        runs = itertools.chain.from_iterable(
            read_runs(folder, begin + low, begin + high, layout.wide_spill) for folder in folders
        )
        block = pack_block(runs, first, end, width, int(layout.tokenizer["eod_id"]), layout.wide_spill)
        if layout.trained:
            block = unmarked(block, layout.wide)
            task.total(trained=int(block.trained[:, 1:].sum()) if block.trained is not None else 0)
        assert packing.best_fit or block.real == block.tokens.size, "sequences without all of their tokens"
        writer.write(block_batch(block, names, layout.wide))
        targets = block.real - (end - first)
        task.count(seen=targets, kept=targets)
        task.total(tokens=targets)
        task.progress(bytes=block.tokens.nbytes)


def _steps(sizes: Ints, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of consecutive items of at most `most` bytes together, or of one larger item."""
    ends = np.cumsum(sizes)
    low = 0
    while low < len(sizes):
        high = int(np.searchsorted(ends, ends[low] - sizes[low] + most, side="right"))
        yield low, max(high, low + 1)
        low = max(high, low + 1)


def index_ids(packing: Packing, index: int, task: Task) -> None:
    """Write one partition of the index from documents' ids to their numbers."""
    directories = (task_directory(task.work, "distribute", number) for number in range(len(packing.layout.groups)))
    np.save(task.directory / "ids.npy", merge_partition(directories, index, partitions_of(packing.layout.listed)))
