"""Threads out of comments that lie in any number of files, in memory that does not grow with them.

Every file is read once, into records of fixed size (the hashes of a comment's key and of its parent's) and their texts
(`CommentStore`). `link_threads` joins keys and parents in buckets of hashes, follows parents up to where threads begin by
pointer doubling, and lists the comments of each thread; all of it in arrays on the disk. A comment is its *position*: that
in the list of the comments of all files.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
import xxhash

from corpus.data.buffers import Array
from pipelines.readers.comments import Comment
from pipelines.readers.fields import plain

RECORD = np.dtype(
    [("key", "<u8"), ("parent", "<u8"), ("start", "<i8"), ("length", "<u4"), ("other", "<u2"), ("reason", "<u2")]
)
"""Of a raw record: hashes of key and parent, where its text lies, whether it is no comment (the text is then the item as
JSON), and why it has no text, as a number in `REASONS`."""
REASONS = ("", "no text", "deleted", "removed", "score below the minimum")
NO_PARENT = 0

_WRITTEN_RECORDS = 1 << 15
_BUCKET_RECORDS = 1 << 20
"""Comments of a bucket of hashes, about."""
_STEP = 1 << 20
_BATCH_COMMENTS = 4096
_READ_BYTES = 1 << 16
"""Bytes that are read between texts that are wanted, whatever these are."""


def key_hash(key: str) -> int:
    """uint64, never 0."""
    return xxhash.xxh3_64_intdigest(key.encode("utf-8", "replace")) or 1


class CommentWriter:
    """Writes the comments of a file into a folder, in their order."""

    def __init__(self, folder: Path) -> None:
        self._records = (folder / "records").open("wb")
        self._texts = (folder / "texts").open("wb")
        self._pending: list[tuple[int, int, int, int, int, int]] = []
        self._size = 0

    def __enter__(self) -> CommentWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._flush()
        self._records.close()
        self._texts.close()

    def comment(self, comment: Comment) -> None:
        """Add a comment."""
        kids = [key_hash(key) for key in comment.kids] if comment.kids else []
        facts = {"id": comment.key} | comment.facts
        entry = [comment.text, comment.rank, comment.author, comment.url, comment.language, comment.score, kids, facts]
        try:
            data = orjson.dumps(entry)
        except TypeError:  # what JSON cannot hold
            data = orjson.dumps(plain(entry))
        parent = key_hash(comment.parent) if comment.parent else NO_PARENT
        reason = REASONS.index(comment.dropped) if comment.dropped else 0
        self._add(key_hash(comment.key), parent, data, 0, reason)

    def other(self, value: Sequence[Any]) -> None:
        """Add a raw record that is no comment, as JSON."""
        self._add(0, NO_PARENT, orjson.dumps(value), 1, 0)

    def _add(self, key: int, parent: int, data: bytes, other: int, reason: int) -> None:
        self._pending.append((key, parent, self._size, len(data), other, reason))
        self._texts.write(data)
        self._size += len(data)
        if len(self._pending) >= _WRITTEN_RECORDS:
            self._flush()

    def _flush(self) -> None:
        self._records.write(np.array(self._pending, dtype=RECORD).tobytes())
        self._pending = []


def read_records(folder: Path) -> Array[Any]:
    """RECORD[comments] of a file's folder, mapped."""
    return mapped(folder / "records", RECORD)


def mapped(path: Path, kind: Any) -> Array[Any]:
    """An array that is a file, read-only; empty ones cannot be mapped."""
    if path.stat().st_size == 0:
        return np.zeros(0, dtype=kind)
    return np.memmap(path, dtype=kind, mode="r").view(np.ndarray)  # elements of a memmap are slow to get


# ── linking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def link_threads(folders: Sequence[Path], target: Path) -> None:
    """Write into `target`, of the comments of all `folders`:

    `first` int64[files + 1]: the positions of the files; `up` int64[comments]: the parent's position, its own where a
    thread begins, -1 for what is no comment or repeated; `root` int64[comments]: where its thread begins; `members`
    int64[…]: the positions of all comments by thread, and in it by position; `threads` int64[threads, 2]: position of the
    root, and where its members begin.
    """
    records = [read_records(folder) for folder in folders]
    first = np.concatenate(([0], np.cumsum([len(part) for part in records]))).astype(np.int64)
    total = int(first[-1])
    np.save(target / "first.npy", first)
    up = _writable(target / "up", total)
    up[:] = -1
    _join(records, first, up, target)
    root = _writable(target / "root", total)
    _follow(up, root, target)
    _list_members(root, target)
    for array in (up, root):
        if isinstance(array, np.memmap):
            array.flush()


def _writable(path: Path, size: int) -> Array[np.int64]:
    if size == 0:
        path.touch()
        return np.zeros(0, np.int64)
    return cast("Array[np.int64]", np.memmap(path, dtype=np.int64, mode="w+", shape=(size,)))


def _join(records: Sequence[Array[Any]], first: Array[np.int64], up: Array[np.int64], folder: Path) -> None:
    """Find the position of each comment's parent, bucket by bucket of hashes."""
    buckets = 1 << max(0, int(first[-1]) // _BUCKET_RECORDS).bit_length()
    keys = _scatter(records, first, "key", buckets, folder)
    parents = _scatter(records, first, "parent", buckets, folder)
    for key_path, parent_path in zip(keys, parents, strict=True):
        known = np.fromfile(key_path, np.uint64).reshape(-1, 2)
        order = np.argsort(known[:, 0], kind="stable")
        hashes, positions = known[order, 0], known[order, 1].astype(np.int64)
        earliest = np.flatnonzero(np.diff(hashes, prepend=hashes[:1] - np.uint64(1)))
        hashes, positions = hashes[earliest], positions[earliest]
        up[positions] = positions  # of equal keys the first comment has it
        wanted = np.fromfile(parent_path, np.uint64).reshape(-1, 2)
        np.save(parent_path.with_suffix(".npy"), _found(hashes, positions, wanted))
        key_path.unlink()
        parent_path.unlink()
    for parent_path in parents:  # when it is known which comments count
        pairs = np.load(parent_path.with_suffix(".npy"))
        pairs = pairs[up[pairs[:, 0]] >= 0]
        up[pairs[:, 0]] = pairs[:, 1]
        parent_path.with_suffix(".npy").unlink()


def _found(hashes: Array[np.uint64], positions: Array[np.int64], wanted: Array[np.uint64]) -> Array[np.int64]:
    """int64[…, 2]: comment and parent, of those whose parent there is."""
    place = np.searchsorted(hashes, wanted[:, 0])
    inside = np.flatnonzero(place < len(hashes))
    there = inside[np.equal(hashes[place[inside]], wanted[inside, 0])]
    return np.stack([wanted[there, 1].astype(np.int64), positions[place[there]]], axis=1)


def _scatter(
    records: Sequence[Array[Any]], first: Array[np.int64], name: str, buckets: int, folder: Path
) -> list[Path]:
    """Files of (hash, position), uint64 both, by the high bits of the hash, positions ascending."""
    paths = [folder / f"{name}-{number}.pairs" for number in range(buckets)]
    shift = np.uint64(64 - (buckets.bit_length() - 1))
    for path in paths:
        path.touch()
    for part, begin in zip(records, first, strict=False):
        for start in range(0, len(part), _STEP):
            block = part[start : start + _STEP]
            positions = np.arange(begin + start, begin + start + len(block), dtype=np.uint64)
            comments = (block["other"] == 0) & (block[name] != NO_PARENT)
            pairs = np.stack([block[name][comments], positions[comments]], axis=1)
            number = (pairs[:, 0] >> shift).astype(np.int64) if buckets > 1 else np.zeros(len(pairs), np.int64)
            order = np.argsort(number, kind="stable")
            bounds = np.searchsorted(number[order], np.arange(buckets + 1))
            for bucket in range(buckets):
                if bounds[bucket] < bounds[bucket + 1]:
                    with paths[bucket].open("ab") as file:
                        file.write(pairs[order[bounds[bucket] : bounds[bucket + 1]]].tobytes())
    return paths


def _follow(up: Array[np.int64], root: Array[np.int64], folder: Path) -> None:
    """Set `root` to where parents lead. Where they run in a circle, its first comment begins the thread."""
    root[:] = up
    left = before = -1
    while left:
        left = 0
        for start in range(0, len(root), _STEP):
            block = np.array(root[start : start + _STEP])
            counted = block >= 0
            block[counted] = root[block[counted]]
            root[start : start + _STEP] = block
            left += int((up[block[counted]] != block[counted]).sum())
        if left and left == before:  # each round but for circles brings one more to its root
            _cut_circles(up, root, folder)
            root[:] = up
            left = -1
        before = left


def _cut_circles(up: Array[np.int64], root: Array[np.int64], folder: Path) -> None:
    """Make the first comment of every circle its own parent."""
    walks = _writable(folder / "walks", len(up))  # by which walk a comment was seen
    walks[:] = -1
    for start in range(0, len(root), _STEP):
        block = np.array(root[start : start + _STEP])
        counted = np.flatnonzero(block >= 0)
        for begin in (start + counted[up[block[counted]] != block[counted]]).tolist():
            at = begin
            while walks[at] < 0:
                walks[at] = begin
                at = int(up[at])
            if walks[at] != begin or up[at] == at:
                continue
            first, now = at, int(up[at])
            while now != at:
                first, now = min(first, now), int(up[now])
            up[first] = first
    (folder / "walks").unlink()


def _list_members(root: Array[np.int64], target: Path) -> None:
    """Write `members` and `threads`, a range of roots at a time."""
    buckets = 1 << max(0, len(root) // _BUCKET_RECORDS).bit_length()
    width = -(-max(1, len(root)) // buckets)
    paths = [target / f"members-{number}.pairs" for number in range(buckets)]
    for path in paths:
        path.touch()
    for start in range(0, len(root), _STEP):
        block = np.array(root[start : start + _STEP])
        positions = start + np.flatnonzero(block >= 0)
        pairs = np.stack([root[positions], positions], axis=1)
        number = pairs[:, 0] // width
        for bucket in np.unique(number):
            with paths[bucket].open("ab") as file:
                file.write(pairs[number == bucket].tobytes())
    begin = 0
    with (target / "members").open("wb") as members, (target / "threads").open("wb") as threads:
        for path in paths:
            pairs = np.fromfile(path, np.int64).reshape(-1, 2)
            pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
            roots, starts = np.unique(pairs[:, 0], return_index=True)
            members.write(np.ascontiguousarray(pairs[:, 1]).tobytes())
            threads.write(np.stack([roots, starts + begin], axis=1).astype(np.int64).tobytes())
            begin += len(pairs)
            path.unlink()


# ── reading threads ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Node:
    """A comment in its thread."""

    position: int
    text: str
    rank: int
    author: str
    url: str
    language: str
    score: int | None
    kids: list[int]
    facts: dict[str, Any]
    replies: list[Node]


class Threads:
    """The threads that `link_threads` made of `folders` in `folder`, read one at a time."""

    def __init__(self, folders: Mapping[str, Path], folder: Path) -> None:
        self._names = list(folders)
        self._folders = list(folders.values())
        self.first: Array[np.int64] = np.load(folder / "first.npy")
        self._begins: list[int] = self.first.tolist()
        self.root = mapped(folder / "root", np.int64)
        self._up = mapped(folder / "up", np.int64)
        self._members = mapped(folder / "members", np.int64)
        self._threads = mapped(folder / "threads", np.int64).reshape(-1, 2)
        self._roots = np.ascontiguousarray(self._threads[:, 0])
        self._records: dict[int, Array[Any]] = {}
        self._texts: dict[int, int] = {}

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *error: object) -> None:
        for descriptor in self._texts.values():
            os.close(descriptor)

    def records(self, file: int) -> Array[Any]:
        """RECORD[comments] of a file."""
        if file not in self._records:
            self._records[file] = read_records(self._folders[file])
        return self._records[file]

    def place(self, position: int, file: int) -> tuple[int, str]:
        """The ordinal of a position, and the name of its file if that is another than `file`."""
        other = bisect_right(self._begins, position) - 1
        return position - self._begins[other], "" if other == file else self._names[other]

    def entries(self, positions: Array[np.int64]) -> list[tuple[list[Any], int]]:
        """What was written at each position, decoded, and the hash of its key."""
        files = np.searchsorted(self.first, positions, side="right") - 1
        numbers = sorted(set(files.tolist()))
        if len(numbers) == 1:
            return self._entries_of(numbers[0], positions)
        found: list[tuple[list[Any], int]] = [([], 0)] * len(positions)
        for file in numbers:
            here = np.flatnonzero(files == file)
            for place, entry in zip(here.tolist(), self._entries_of(file, positions[here]), strict=True):
                found[place] = entry
        return found

    def _entries_of(self, file: int, positions: Array[np.int64]) -> list[tuple[list[Any], int]]:
        """Those of one file; what lies close together is read at once."""
        records = self.records(file)[positions - self.first[file]]
        if file not in self._texts:
            self._texts[file] = os.open(self._folders[file] / "texts", os.O_RDONLY)
        text = self._texts[file]
        starts, lengths, keys = records["start"].tolist(), records["length"].tolist(), records["key"].tolist()
        begin = min(starts)
        size = max(starts) + lengths[starts.index(max(starts))] - begin
        if size <= 4 * sum(lengths) + _READ_BYTES:
            block = memoryview(os.pread(text, size, begin))
            places = zip(starts, lengths, keys, strict=True)
            return [(orjson.loads(block[at - begin : at - begin + length]), key) for at, length, key in places]
        places = zip(starts, lengths, keys, strict=True)
        return [(orjson.loads(os.pread(text, length, at)), key) for at, length, key in places]

    def thread(self, root: int) -> Node:
        """The comment at which a thread begins, with its replies below it, the best first."""
        return next(iter(self.threads(root, root + 1)))

    def threads(self, start: int, end: int) -> Iterator[Node]:
        """The threads that begin at the positions from `start` to `end`, in their order."""
        first, last = np.searchsorted(self._roots, (start, end)).tolist()
        starts = np.append(self._threads[first : last + 1, 1], len(self._members))[: last - first + 1].tolist()
        at = 0
        while at < last - first:
            stop = at + 1
            while stop < last - first and starts[stop + 1] - starts[at] <= _BATCH_COMMENTS:
                stop += 1
            members = self._members[starts[at] : starts[stop]]
            entries = self.entries(members)
            positions, parents = members.tolist(), self._up[members].tolist()
            for number in range(at, stop):
                low, high = starts[number] - starts[at], starts[number + 1] - starts[at]
                yield _tree(positions[low:high], parents[low:high], entries[low:high])
            at = stop


def _tree(positions: list[int], parents: list[int], entries: list[tuple[list[Any], int]]) -> Node:
    """The comments of a thread as a tree, by the one that is its own parent."""
    if len(positions) == 1:
        return _node(positions[0], entries[0][0])
    nodes = {position: _node(position, value) for position, (value, _) in zip(positions, entries, strict=True)}
    root = positions[0]
    for position, parent in zip(positions, parents, strict=True):
        if position == parent:
            root = position
        else:
            nodes[parent].replies.append(nodes[position])
    keys = {position: key for position, (_, key) in zip(positions, entries, strict=True)}
    for node in nodes.values():
        if len(node.replies) > 1:
            places = {key: place for place, key in enumerate(node.kids)}
            last = len(places)
            order = [(places.get(keys[reply.position], last), reply.rank, reply.position) for reply in node.replies]
            node.replies[:] = [nodes[position] for _, _, position in sorted(order)]
    return nodes[root]


def _node(position: int, value: list[Any]) -> Node:
    text, rank, author, url, language, score, kids, facts = value
    return Node(position, text, rank, author, url, language, score, kids, facts, [])


def walk(root: Node) -> Iterator[Node]:
    """The comments of a thread, each before its replies."""
    pending = [root]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(reversed(node.replies))


def save_folders(names: Sequence[str], folders: Sequence[Path], target: Path) -> None:
    """Note which files the positions are of, and where their comments lie, relative to `target`."""
    entries = [[name, os.path.relpath(folder, target)] for name, folder in zip(names, folders, strict=True)]
    (target / "files.json").write_text(json.dumps(entries), encoding="utf-8")


def load_folders(target: Path) -> dict[str, Path]:
    """The folders by the names of the files, in the order of the files."""
    entries = json.loads((target / "files.json").read_text(encoding="utf-8"))
    return {name: target / folder for name, folder in entries}
