"""Where each document lies in each pass, with sequential reads and little memory.

A pass is a permutation of a domain's documents; where a document begins in it is the sum of the lengths before it. The
places of a pass are cut into *lots*. The index phase sends the length of each document to the lot that holds it: sorted
by lot, and within a lot in the order of the files. The order phase takes one lot after the other, puts its lengths to
their places, sums them up (or fits them into rows), and leaves the results in the order in which the lengths came. So
the distribute phase, which goes through the files in that order again, finds each lot's results one after the other.

Disk: 8 bytes per document and pass each way, 16 back for best-fit. Memory: one lot.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from corpus.engine.stage import task_directory
from corpus.engine.task import Task
from corpus.errors import DataError
from corpus.mixture.pack import layout as sizes
from corpus.mixture.pack.arrays import shard_file, stretch
from corpus.mixture.pack.best_fit import fit
from corpus.mixture.pack.layout import LotGroup, PlacedShard
from corpus.mixture.pack.order import Ints, places
from corpus.mixture.pack.packing import Packing
from corpus.mixture.pack.shards import index_shard
from corpus.mixture.pack.stream import NOWHERE, document_key

_ENTRY = np.dtype([("place", "<u4"), ("length", "<u4")])
"""A document on its way to a lot: its place there, and its length."""


def index_shards(packing: Packing, index: int, task: Task) -> None:
    """Find the documents of one group of token shards, and send their lengths to the lots of their passes."""
    for member, ref in enumerate(packing.layout.groups[index]):
        found = index_shard(ref.path, packing.layout.wide)
        if len(found.starts) != ref.rows:
            raise DataError(
                f"{ref.path} has {len(found.starts)} documents, its manifest says {ref.rows}; tokenize again."
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
    """Write, chunk after chunk of the shard's documents, their entries lot after lot; where each lot begins; and the
    tokens of each lot."""
    per_pass = packing.layout.lots_per_pass(number)
    lots = per_pass * packing.layout.plan.domains[number].passes
    totals = np.zeros(lots, np.int64)
    chunks = list(chunks_of(packing, number, len(lengths)))
    bounds = np.zeros((len(chunks), lots + 1), np.int64)
    written = 0
    with (task.directory / f"entries-{shard.member:05d}.npy").open("wb") as file:
        for row, (begin, end) in zip(bounds, chunks, strict=True):
            row[0] = written
            own = lengths[begin:end]
            for passed, (lot, place, order) in enumerate(_lots_of(packing, number, shard.first + begin, len(own))):
                entries = np.empty(len(own), _ENTRY)
                entries["place"], entries["length"] = place[order], own[order]
                entries.tofile(file)
                first = passed * per_pass
                ends = np.searchsorted(lot[order], np.arange(per_pass), side="right")
                row[first + 1 : first + per_pass + 1] = written + ends
                sums = np.concatenate([[0], np.cumsum(own[order], dtype=np.int64)])[ends]
                totals[first : first + per_pass] += np.diff(sums, prepend=0)
                written += len(own)
    np.save(task.directory / f"bounds-{shard.member:05d}.npy", bounds)
    np.save(task.directory / f"totals-{shard.member:05d}.npy", totals)


def chunks_of(packing: Packing, number: int, documents: int) -> Iterator[tuple[int, int]]:
    """The documents of a shard, so many at a time that they with all their passes are few."""
    step = packing.layout.chunk_documents(number)
    for begin in range(0, documents, step):
        yield begin, min(begin + step, documents)


def _lots_of(packing: Packing, number: int, begin: int, count: int) -> Iterator[tuple[Ints, Ints, Ints]]:
    """For each pass over a domain where `count` documents from `begin` on lie: the lot of each within the pass, its place
    there, and the documents sorted by lot."""
    layout = packing.layout
    documents = np.arange(begin, begin + count, dtype=np.int64)
    for passed in range(layout.plan.domains[number].passes):
        key = document_key(packing.seed, layout.plan.domains[number].domain, passed)
        place = places(documents, layout.documents[number], key)
        lot = place // sizes.LOT_DOCUMENTS
        yield lot, place - lot * sizes.LOT_DOCUMENTS, np.argsort(lot, kind="stable")


def order_lots(packing: Packing, index: int, task: Task) -> None:
    """Find where the documents of some lots of a domain lie in its stream, or in which rows they fit; entry by entry."""
    layout = packing.layout
    group = layout.lots[index]
    domain = layout.plan.domains[group.domain]
    before = _tokens_before(packing, group.domain, task.work)
    sent = _Sent(packing, group, task.work)
    found: list[Ints] = []
    counts: list[Ints] = []
    rows: list[int] = []
    used = cut = 0
    for lot in range(group.begin, group.end):
        entries, sizes_sent = sent.read(lot)
        lengths = np.empty(len(entries), np.uint32)
        lengths[entries["place"]] = entries["length"]
        ends = before[lot] + np.cumsum(lengths, dtype=np.int64)
        if packing.best_fit:
            whole = int(np.searchsorted(ends, domain.stream, side="right"))
            at = np.full((len(entries), 2), NOWHERE, np.int64)
            at[:whole], own = fit(lengths[:whole], layout.plan.width)
            used += int(lengths[:whole].sum(dtype=np.int64))
            rows.append(own)
        else:
            at = ends - lengths
            if before[lot] < domain.stream <= before[lot + 1]:
                cut = int(ends[np.searchsorted(ends, domain.stream)] - domain.stream)
        found.append(at[entries["place"]])
        counts.append(sizes_sent)
    np.concatenate(found).tofile(task.directory / "at")
    _ranges(counts).tofile(task.directory / "ranges")
    np.save(task.directory / "rows.npy", np.array(rows, np.int64))
    task.note("used", used)
    task.note("cut", cut)


def _ranges(counts: list[Ints]) -> Ints:
    """int64[chunks, lots, 2]: where in all results of a task those of each chunk and lot begin and end."""
    grid = np.stack(counts)
    ends = np.cumsum(grid.reshape(-1)).reshape(grid.shape)
    return np.ascontiguousarray(np.stack([ends - grid, ends], axis=-1).transpose(1, 0, 2))


def _tokens_before(packing: Packing, number: int, work: Path) -> Ints:
    """int64[lots + 1]: the tokens of a domain's stream before each lot, and all; a `DataError` where they are not those
    of the manifests."""
    layout = packing.layout
    domain = layout.plan.domains[number]
    totals = np.zeros(layout.lots_per_pass(number) * domain.passes, np.int64)
    for shard in layout.shards[number]:
        totals += np.load(shard_file(work, shard, "totals"))
    unique = int(totals[: layout.lots_per_pass(number)].sum())
    if unique != domain.unique:
        raise DataError(
            f"The shards of '{domain.domain}' hold {unique:,} tokens, their manifests say {domain.unique:,}; tokenize "
            "them again."
        )
    return np.concatenate([[0], np.cumsum(totals)])


class _Sent:
    """The entries that the index phase sent to the lots of a task."""

    def __init__(self, packing: Packing, group: LotGroup, work: Path) -> None:
        self._begin = group.begin
        self._shards = [
            (
                shard_file(work, shard, "entries"),
                np.load(shard_file(work, shard, "bounds"))[:, group.begin : group.end + 1].copy(),
            )
            for shard in packing.layout.shards[group.domain]
        ]

    def read(self, lot: int) -> tuple[npt.NDArray[Any], Ints]:
        """All entries of a lot, and how many of them each chunk sent."""
        parts = [np.empty(0, _ENTRY)]
        counts: list[int] = []
        for path, bounds in self._shards:
            at = lot - self._begin
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
            for index, group in enumerate(packing.layout.lots)
            if group.domain == number
        ]

    def read(self, chunk: int, first: int, count: int, rows_before: Ints) -> Ints:
        """What was found for the `count` documents from `first` on, chunk `chunk` of the domain: int64[passes, count],
        or [passes, count, 2] for best-fit, whose rows are counted from those `rows_before` each lot."""
        width = self._packing.layout.plan.width
        columns = 2 if self._packing.best_fit else 1
        parts: list[Ints] = []
        for group, folder in self._tasks:
            size = 2 * (group.end - group.begin)
            ranges = stretch(folder / "ranges", np.int64, chunk * size, (chunk + 1) * size).reshape(-1, 2)
            for lot, (begin, end) in enumerate(ranges.tolist(), group.begin):
                part = stretch(folder / "at", np.int64, begin * columns, end * columns)
                if self._packing.best_fit:
                    part = part.reshape(-1, 2)
                    part += np.where(part < 0, 0, rows_before[lot] * np.array([1, width]))
                parts.append(part)
        found = np.concatenate(parts)
        found = found.reshape(-1, count, *found.shape[1:])
        out = np.empty_like(found)
        for passed, (_, _, order) in enumerate(_lots_of(self._packing, self._number, first, count)):
            out[passed, order] = found[passed]
        return out
