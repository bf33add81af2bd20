"""Keys on disk: sorted runs per task, the keys that repeat found per hash partition, and what each task removes.

A key is one uint64 word, or two for 128 bits. A run file is int64 partitions and int64[partitions + 1] bounds, its sorted
distinct keys, for each a uint32: how many documents have it, and where documents are ranked for each a uint64: the least rank
of these. Partitions are ranges of the first word. A section file is
int64[2 · tasks + 1] bounds followed by keys: for each task the sorted keys of which all units go, then for each task
those of which its first one stays. How many runs and section files there are depends on memory; their contents one
after the other do not.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numba import types

from corpus.data.buffers import Array
from corpus.dedup.spill import run_path
from corpus.kernel import kernel

KEYS_PER_PARTITION = 1 << 23
"""Keys per hash partition; it decides how many tasks may work at once, not what comes out."""
TOP = 50
"""Of how many keys a partition tells that most documents have them."""
_LEAST_KEYS = 1 << 16
_KEYS = types.uint64[:, ::1]
_STAYS, _GOES, _FIRST_STAYS = np.uint8(0), np.uint8(1), np.uint8(2)


@kernel(types.void(_KEYS))
def _settle(keys: Any) -> None:
    """Order keys that are sorted by their first word by the second one, too."""
    begin = np.int64(0)
    while begin < keys.shape[0]:
        end = begin + 1
        mixed = False
        while end < keys.shape[0] and keys[end, 0] == keys[begin, 0]:
            mixed |= keys[end, 1] != keys[begin, 1]
            end += 1
        if mixed:
            second = keys[begin:end, 1].copy()
            second.sort()
            keys[begin:end, 1] = second
        begin = end


def sort_keys(keys: Array[np.uint64]) -> Array[np.uint64]:
    """uint64[n, words] in ascending order; sorted in place where it has one word."""
    if keys.shape[1] == 1:
        keys[:, 0].sort()
        return keys
    keys = keys[np.argsort(keys[:, 0])]
    _settle(keys)
    return keys


@kernel(types.int64(_KEYS, types.uint32[::1]))
def _distinct(keys: Any, counts: Any) -> Any:
    """Keep one of equal neighbours, in place, and how many there were in `counts`; the number left."""
    left = np.int64(0)
    for i in range(keys.shape[0]):
        same = left > 0
        for word in range(keys.shape[1]):
            same = same and keys[left - 1, word] == keys[i, word]
        if same:
            counts[left - 1] += np.uint32(1)
        else:
            for word in range(keys.shape[1]):
                keys[left, word] = keys[i, word]
            counts[left] = np.uint32(1)
            left += 1
    return left


class KeyRuns:
    """Collects the keys of a task's documents, one of each per document, and spills them as sorted runs.

    `most` is how many keys there may be at all; `memory` holds those not yet written and what sorting them takes.
    """

    def __init__(
        self, directory: Path, partitions: int, memory: int, most: int, words: int = 1, ranked: bool = False
    ) -> None:
        self.directory = directory
        self.partitions = partitions
        self.runs = 0
        bytes_per_key = 8 * words + (40 if ranked else 8 if words == 1 else 32)
        size = max(_LEAST_KEYS, min(most, memory // bytes_per_key))
        self._buffer = np.empty((size, words), dtype=np.uint64)
        self._ranks = np.empty(size if ranked else 0, dtype=np.uint64)
        self._used = 0

    def add(self, keys: Array[np.uint64], ranks: Array[np.uint64] | None = None) -> None:
        """Add the keys (uint64[n, words]) of whole documents, each key at most once per document, and the ranks (uint64[n])
        of their documents where these have one."""
        size = self._buffer.shape[0]
        if self._used + len(keys) > size:
            self._spill(self._buffer[: self._used], self._ranks[: self._used])
            self._used = 0
        if len(keys) > size:
            self._spill(keys.copy(), self._ranks if ranks is None else ranks)
            return
        self._buffer[self._used : self._used + len(keys)] = keys
        if ranks is not None:
            self._ranks[self._used : self._used + len(keys)] = ranks
        self._used += len(keys)

    def close(self) -> int:
        """Write the last run; the number of runs."""
        self._spill(self._buffer[: self._used], self._ranks[: self._used])
        self._used = 0
        return self.runs

    def _spill(self, keys: Array[np.uint64], ranks: Array[np.uint64]) -> None:
        if not len(keys):
            return
        if len(ranks):
            order = np.lexsort((ranks, *keys.T[::-1]))
            keys, ranks = keys[order], ranks[order]
            ranks = ranks[np.append(True, (keys[1:] != keys[:-1]).any(axis=1))]
        else:
            keys = sort_keys(keys)
        counts = np.empty(len(keys), dtype=np.uint32)
        left = _distinct(keys, counts)
        keys, counts = keys[:left], counts[:left]
        floors = np.array([_floor(p, self.partitions) for p in range(1, self.partitions)], np.uint64)
        bounds = np.searchsorted(keys[:, 0], floors)
        with run_path(self.directory, self.runs).open("wb") as file:
            file.write(np.concatenate(([self.partitions, 0], bounds, [left])).astype(np.int64).data)
            file.write(keys.data)
            file.write(counts.data)
            file.write(ranks.data)
        self.runs += 1


def section_path(directory: Path, number: int) -> Path:
    """Where section file `number` of a partition lies."""
    return directory / f"sections-{number:05d}"


def _floor(part: int, parts: int, low: int = 0, high: int = 1 << 64) -> int:
    """The least first word of one of equal parts of a range of them."""
    return low + (high - low) * part // parts


class _Slice:
    """The keys of one partition in a run; kept keys are a run whose bounds are of another number of partitions."""

    def __init__(self, path: Path, partition: int, partitions: int, words: int, ranked: bool) -> None:
        self.path = path
        self.words = words
        cut = int(np.fromfile(path, dtype=np.int64, count=1).item())
        self.base = 8 * (cut + 2)
        self.all: int = np.fromfile(path, dtype=np.int64, count=1, offset=8 * (cut + 1)).item()
        self.ranked = ranked
        # kept keys have no ranks: their documents stay as they are
        self.has_ranks = path.stat().st_size > self.base + (8 * words + 4) * self.all
        self.begin, self.end = 0, self.all
        if cut == partitions:
            begin, end = np.fromfile(path, dtype=np.int64, count=2, offset=8 * (partition + 1)).tolist()
        else:
            begin, end = (self.below(_floor(part, partitions)) for part in (partition, partition + 1))
        self.begin, self.end = begin, end

    def below(self, bound: int) -> int:
        """The position of the first key whose first word is not below `bound`."""
        if self.begin == self.end or bound >= 1 << 64:
            return self.end
        keys = np.memmap(self.path, dtype=np.uint64, mode="r", offset=self.base, shape=(self.end, self.words))
        return self.begin + int(np.searchsorted(keys[self.begin : self.end, 0], np.uint64(bound)))

    def read(self, begin: int, end: int) -> tuple[Array[np.uint64], Array[np.uint32], Array[np.uint64]]:
        """The keys at positions begin to end, how many documents have each, and the least rank of these, if any."""
        words = self.words
        keys = np.fromfile(self.path, np.uint64, (end - begin) * words, offset=self.base + 8 * words * begin)
        counts = np.fromfile(self.path, np.uint32, end - begin, offset=self.base + 8 * words * self.all + 4 * begin)
        if not (self.ranked and self.has_ranks):
            return keys.reshape(-1, words), counts, np.zeros(end - begin if self.ranked else 0, np.uint64)
        ranks = np.fromfile(
            self.path, np.uint64, end - begin, offset=self.base + (8 * words + 4) * self.all + 8 * begin
        )
        return keys.reshape(-1, words), counts, ranks


def merge_runs(path: Path, runs: Sequence[Path], partition: int, partitions: int, memory: int, words: int) -> int:
    """Write the keys of one partition of all runs as one run of one partition, each once, with how many documents have it; the
    number of keys. Pieces take about `memory` bytes."""
    slices = [_Slice(run, partition, partitions, words, False) for run in runs]
    total = sum(s.end - s.begin for s in slices)
    per_key = 8 + 24 * words + 8
    pieces = max(1, -(-total * per_key // max(memory, per_key * _LEAST_KEYS)))
    low, high = _floor(partition, partitions), _floor(partition + 1, partitions)
    counted = path.with_name("counts")
    written, starts = 0, [s.begin for s in slices]
    with path.open("wb") as file, counted.open("wb") as counts_file:
        file.write(bytes(24))
        for piece in range(pieces):
            ends = [s.below(_floor(piece + 1, pieces, low, high)) for s in slices]
            parts = [s.read(a, b) for s, a, b in zip(slices, starts, ends, strict=True)]
            keys = np.concatenate([np.zeros((0, words), np.uint64), *(part[0] for part in parts)])
            counts = np.concatenate([np.zeros(0, np.uint32), *(part[1] for part in parts)])
            order = np.argsort(keys[:, 0], kind="stable") if words == 1 else np.lexsort((keys[:, 1], keys[:, 0]))
            keys, counts = keys[order], counts[order]
            first = np.ones(len(keys), dtype=np.bool_)
            first[1:] = (keys[1:] != keys[:-1]).any(axis=1)
            sums = np.add.reduceat(counts, np.flatnonzero(first), dtype=np.uint32) if len(keys) else counts
            file.write(np.ascontiguousarray(keys[first]).data)
            counts_file.write(sums.data)
            written += len(sums)
            starts = ends
        counts_file.flush()
        with counted.open("rb") as source:
            shutil.copyfileobj(source, file)
        file.seek(0)
        file.write(np.array([1, 0, written], np.int64).data)
    counted.unlink()
    return written


@dataclass(frozen=True)
class Repeats:
    """What a partition found: its section files, and the repeated keys that most documents have, each with their number,
    by descending number and ascending key."""

    sections: int
    top: list[tuple[list[int], int]]


def find_repeats(
    directory: Path,
    tasks: Sequence[Sequence[Path]],
    partition: int,
    partitions: int,
    keep_first: bool,
    memory: int,
    words: int = 1,
    ranked: bool = False,
) -> Repeats:
    """Find the keys of one partition that two or more documents have, and write section files into `directory`.

    tasks: for each task of the scope, in order, its run files. With `keep_first` the first task that has a key keeps
    the key's first unit; with `ranked` too that of the document with the least rank stays. A section file takes at most
    `memory` bytes to make.
    """
    slices = [[_Slice(path, partition, partitions, words, ranked) for path in runs] for runs in tasks]
    total = sum(s.end - s.begin for runs in slices for s in runs)
    per_key = 40 + 24 * words + 56 * ranked  # keys, counts, owners, ranks as read, their order, all in that order
    pieces = max(1, -(-total * per_key // max(memory, per_key * _LEAST_KEYS)))
    low, high = _floor(partition, partitions), _floor(partition + 1, partitions)
    starts = [[s.begin for s in runs] for runs in slices]
    found: list[tuple[list[int], int]] = []
    for piece in range(pieces):
        bound = _floor(piece + 1, pieces, low, high)
        ends = [[s.below(bound) for s in runs] for runs in slices]
        parts = [
            (owner, *s.read(a, b))
            for owner, of_task in enumerate(zip(slices, starts, ends, strict=True))
            for s, a, b in zip(*of_task, strict=True)
        ]
        gone, first, top = _sections(parts, len(tasks), keep_first, words, ranked)
        found += top
        sizes = [len(section) for section in (*gone, *first)]
        with section_path(directory, piece).open("wb") as file:
            file.write(np.cumsum([0, *sizes], dtype=np.int64).data)
            for section in (*gone, *first):
                file.write(np.ascontiguousarray(section).data)
        starts = ends
    return Repeats(pieces, most_frequent(found))


def most_frequent(keys: Sequence[tuple[list[int], int]]) -> list[tuple[list[int], int]]:
    """The `TOP` keys with the greatest numbers; of equal ones the lowest keys."""
    return sorted(keys, key=lambda entry: (-entry[1], entry[0]))[:TOP]


@kernel(types.void(_KEYS, types.int32[::1], types.uint32[::1], types.boolean, types.uint8[::1], types.int64[::1]))
def _judge(keys: Any, owners: Any, counts: Any, keep_first: Any, fates: Any, totals: Any) -> None:
    """For keys in order, those of one task together: what becomes of each task's units of a repeated key, at the first
    place where task and key meet; and in `totals` at a key's first place how many documents have it."""
    begin = np.int64(0)
    while begin < keys.shape[0]:
        end = begin
        total = np.int64(0)
        while end < keys.shape[0]:
            same = True
            for word in range(keys.shape[1]):
                same = same and keys[end, word] == keys[begin, word]
            if not same:
                break
            total += counts[end]
            end += 1
        totals[begin] = total
        place = begin
        while place < end and total > 1:
            after, own = place, np.int64(0)
            while after < end and owners[after] == owners[place]:
                own += counts[after]
                after += 1
            if not keep_first or place > begin:
                fates[place] = _GOES
            elif own > 1:
                fates[place] = _FIRST_STAYS
            place = after
        begin = end


def _sections(
    parts: Sequence[tuple[int, Array[np.uint64], Array[np.uint32], Array[np.uint64]]],
    tasks: int,
    keep_first: bool,
    words: int,
    ranked: bool,
) -> tuple[list[Array[np.uint64]], list[Array[np.uint64]], list[tuple[list[int], int]]]:
    """Per task the keys whose units all go, and those whose first unit stays, from runs of (task, keys, counts, ranks);
    then the keys that most documents have."""
    keys = np.concatenate([np.zeros((0, words), np.uint64), *(part[1] for part in parts)])
    counts = np.concatenate([np.zeros(0, np.uint32), *(part[2] for part in parts)])
    owners = np.repeat(
        np.array([part[0] for part in parts], np.int32), np.array([len(part[1]) for part in parts], np.int64)
    )
    if ranked:
        order = _by_rank(keys, owners, np.concatenate([np.zeros(0, np.uint64), *(part[3] for part in parts)]))
    else:
        order = np.argsort(keys[:, 0], kind="stable") if words == 1 else np.lexsort((keys[:, 1], keys[:, 0]))
    keys, counts, owners = keys[order], counts[order], owners[order]
    del order
    fates = np.zeros(len(keys), dtype=np.uint8)
    totals = np.zeros(len(keys), dtype=np.int64)
    _judge(keys, owners, counts, keep_first, fates, totals)
    places = np.flatnonzero(totals > 1)
    repeated = totals[places]
    if len(places) > TOP:
        least = np.partition(repeated, -TOP)[-TOP]
        above, level = places[repeated > least], places[repeated == least]
        places = np.concatenate([above, level[: TOP - len(above)]])
    top = [(keys[place].tolist(), int(totals[place])) for place in places.tolist()]
    gone, first = fates == _GOES, fates == _FIRST_STAYS
    return _per_task(keys[gone], owners[gone], tasks), _per_task(keys[first], owners[first], tasks), top


def _by_rank(keys: Array[np.uint64], owners: Array[np.int32], ranks: Array[np.uint64]) -> Array[np.int64]:
    """The order of keys in which those of one task are together, and of the tasks that with the least rank is first."""
    order = np.lexsort((ranks, owners, *keys.T[::-1]))
    keys, owners, ranks = keys[order], owners[order], ranks[order]
    begins = np.ones(len(keys), np.bool_)
    begins[1:] = (keys[1:] != keys[:-1]).any(axis=1) | (owners[1:] != owners[:-1])
    least = ranks[begins][np.cumsum(begins) - 1]
    return order[np.lexsort((owners, least, *keys.T[::-1]))]


def _per_task(keys: Array[np.uint64], owners: Array[np.int32], count: int) -> list[Array[np.uint64]]:
    order = np.argsort(owners, kind="stable")
    bounds = np.searchsorted(owners[order], np.arange(count + 1, dtype=np.int32))
    keys = keys[order]
    return [keys[a:b] for a, b in pairwise(bounds.tolist())]


def removals(
    sections: Sequence[Path], task: int, tasks: int, memory: int, words: int = 1
) -> Iterator[tuple[Array[np.uint64], Array[np.uint64]]]:
    """What a task removes: (keys whose units all go, keys whose first one stays), in pieces of at most about `memory`
    bytes; at least one piece, each sorted.

    sections: the section files of the task's scope by ascending keys; task: its number among the scope's `tasks`.
    """
    empty = np.zeros((0, words), dtype=np.uint64)
    gone, first = [empty], [empty]
    held = 0
    for path in sections:
        pair = []
        for number in (task, tasks + task):
            begin, end = np.fromfile(path, dtype=np.int64, count=2, offset=8 * number).tolist()
            start = 8 * (2 * tasks + 1 + begin * words)
            pair.append(np.fromfile(path, np.uint64, (end - begin) * words, offset=start).reshape(-1, words))
        size = 8 * words * (len(pair[0]) + len(pair[1]))
        if held and held + size > memory:
            yield np.concatenate(gone), np.concatenate(first)
            gone, first, held = [empty], [empty], 0
        gone.append(pair[0])
        first.append(pair[1])
        held += size
    yield np.concatenate(gone), np.concatenate(first)
