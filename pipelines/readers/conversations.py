"""Conversations: comments to threads, one document each (PaLM, section 3: half of its data are social media conversations).

The unit is the comment: a thread's document has the ordinal of the comment at which it begins, and all others are merged
into it. A comment whose parent is in no file begins a thread. Deleted and removed comments are dropped by name and keep
their place in the thread, so that what replies to them stays where it was.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

import numpy as np

from corpus.data.columns import AUTHOR, DATE, TITLE, Column
from corpus.ingest.compression import QUARANTINE_BYTES, Damage
from corpus.ingest.reader import Item, Merged, RawFile, Reader, Record, Skipped, Unreadable
from corpus.option import option
from pipelines.formats.json import transposed
from pipelines.readers.comments import Comment, CommentFields, comments_of, metadata_of
from pipelines.readers.fields import NoDocument
from pipelines.readers.jsonl import JsonlReader, Object, read_objects
from pipelines.readers.threads import (
    REASONS,
    CommentWriter,
    Node,
    Threads,
    link_threads,
    load_folders,
    save_folders,
    walk,
)

_WHOLE = ("id", "message_id", "user_message_id", "message_tree_id", "prompt", "text", "body", "title")
"""Keys of objects that are comments, whatever lists of objects they hold."""
_STEP = 1 << 14
_HELD_NODES = 20_000
"""Comments of threads that are held for the next comment of one of them."""


@dataclass(frozen=True)
class ConversationsReader:
    """`corpus ingest conversations`."""

    domain: ClassVar[str] = "conversations"
    streams: ClassVar[bool] = True
    patterns: ClassVar[tuple[str, ...]] = JsonlReader.patterns
    doc: ClassVar[str] = (
        "Conversations: Pushshift, Hacker News, OpenAssistant, or any comments with an id and a parent."
    )
    columns: ClassVar[tuple[Column, ...]] = (TITLE, AUTHOR, DATE)

    documents: str = option(
        "thread",
        "A document for each thread, the best replies first; for its best path alone; or for each path to a last reply.",
        choices=("thread", "best", "paths"),
    )
    min_score: int | None = option(None, "Drop comments of a lower score; their replies stay.")
    speakers: str = option(
        "none",
        "What stands before a comment: nothing, its author's name, or a letter.",
        choices=("none", "name", "letter"),
    )
    text_field: str = option("", "Key of the text, where comments have no known layout.")
    id_field: str = option("", "Key of a comment's id.")
    parent_field: str = option("", "Key of the id that a comment replies to.")
    score_field: str = option("", "Key of the score.")
    author_field: str = option("", "Key of the author's name.")

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """The items of a file whose threads are in it alone."""
        surveyed, gathered = scratch / "surveyed", scratch / "gathered"
        surveyed.mkdir()
        gathered.mkdir()
        self.survey(file, surveyed)
        self.gather([(file.name, surveyed)], gathered)
        yield from self.prepared(gathered).read(file, scratch)

    def survey(self, file: RawFile, folder: Path) -> None:
        """Write the comments of `file`, and what is none, into `folder`."""
        keys = CommentFields(self.text_field, self.id_field, self.parent_field, self.score_field, self.author_field)
        wanted = tuple(key for key in (*_WHOLE, self.text_field, self.id_field) if key)
        with CommentWriter(folder) as writer:
            for found in read_objects(file.path, wanted):
                if isinstance(found, Damage):
                    _write_damage(writer, found.offset, found.length, found.reason, found.data)
                    continue
                self._write(writer, found, keys)

    def _write(self, writer: CommentWriter, found: Object, keys: CommentFields) -> None:
        """Add the comments of an object, or of the rows that it holds column by column."""
        for row in _rows(found.row):
            try:
                comments = list(comments_of(row, keys))
            except (NoDocument, RecursionError) as error:
                reason = str(error) if isinstance(error, NoDocument) else "nested too deeply"
                _write_damage(writer, found.offset, len(found.data), reason, found.data)
                continue
            for comment in comments:
                writer.comment(self._scored(comment))

    def _scored(self, comment: Comment) -> Comment:
        low = self.min_score is not None and comment.score is not None and comment.score < self.min_score
        if low and not comment.dropped:
            comment.text, comment.dropped = "", REASONS[-1]
        return comment

    def gather(self, surveys: Sequence[tuple[str, Path]], folder: Path) -> None:
        """Link the comments of all files to threads."""
        link_threads([path for _, path in surveys], folder)
        save_folders([name for name, _ in surveys], [path for _, path in surveys], folder)

    def prepared(self, gathered: Path) -> Reader:
        """The reader of threads."""
        settings = {entry.name: getattr(self, entry.name) for entry in fields(ConversationsReader)}
        return LinkedConversations(**settings, gathered=gathered)


@dataclass(frozen=True)
class LinkedConversations(ConversationsReader):
    """Reads conversations whose threads are linked, in the folder `gathered`."""

    gathered: Path = Path()

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """An item for each comment, and for each record that holds none."""
        folders = load_folders(self.gathered)
        number = list(folders).index(file.name)
        with Threads(folders, self.gathered) as threads:
            first = int(threads.first[number])
            plans = _Plans(threads, self, number)
            records = threads.records(number)
            for start in range(0, len(records), _STEP):
                block = records[start : start + _STEP]
                roots = threads.root[first + start : first + start + len(block)].tolist()
                others, reasons = block["other"].tolist(), block["reason"].tolist()
                whole = threads.threads(first + start, first + start + len(block))
                for ordinal, (other, root, reason) in enumerate(zip(others, roots, reasons, strict=True), start):
                    position = first + ordinal
                    if other:
                        yield _other(ordinal, threads.entries(np.array([position]))[0][0])
                    elif root < 0:
                        yield Skipped(ordinal, "repeated")
                    elif reason and root != position:
                        yield Skipped(ordinal, REASONS[reason])
                    elif self.documents == "thread" and root != position:
                        yield Merged(ordinal, *threads.place(root, number))
                    elif self.documents == "thread":
                        nodes = list(walk(next(whole)))
                        found = document(ordinal, nodes[0], nodes, self.speakers)
                        yield found or Skipped(ordinal, REASONS[reason] or "no text")
                    else:
                        yield plans.item(ordinal, position, root, REASONS[reason])


class _Plans:
    """What becomes of the comments of a thread; those of the last threads are held."""

    def __init__(self, threads: Threads, reader: ConversationsReader, file: int) -> None:
        self._threads = threads
        self._reader = reader
        self._file = file
        self._held: dict[int, _Plan] = {}
        self._nodes = 0

    def item(self, ordinal: int, position: int, root: int, reason: str) -> Item:
        """The item of the comment at a position."""
        plan = self._held.pop(root, None)
        if plan is None:
            plan = _Plan(self._threads.thread(root), self._reader)
            self._nodes += plan.size
        self._held[root] = plan
        while self._nodes > _HELD_NODES and len(self._held) > 1:
            self._nodes -= self._held.pop(next(iter(self._held))).size
        item = plan.item(ordinal, position, reason)
        return item if isinstance(item, Record | Skipped) else Merged(ordinal, *self._threads.place(item, self._file))


class _Plan:
    """The documents of a thread, each by the comment that has its ordinal."""

    def __init__(self, root: Node, reader: ConversationsReader) -> None:
        self._root = root
        self._reader = reader
        self._above: dict[int, Node] = {}
        nodes = list(walk(root))
        self.size = len(nodes)
        self._spoken: set[int] = set()  # those with a text at or below them
        self._ends: dict[int, Node] = {}  # of each with a text, the last on the best path from it
        for node in reversed(nodes):
            spoken = [reply for reply in node.replies if reply.position in self._spoken]
            for reply in node.replies:
                self._above[reply.position] = node
            if spoken or node.text:
                self._spoken.add(node.position)
                self._ends[node.position] = self._ends[spoken[0].position] if spoken else node
        self._best = self._best_path(self._spoken) if reader.documents == "best" else []

    def _best_path(self, spoken: set[int]) -> list[Node]:
        path = [self._root]
        while (reply := next((r for r in path[-1].replies if r.position in spoken), None)) is not None:
            path.append(reply)
        return path

    def item(self, ordinal: int, position: int, reason: str) -> Record | Skipped | int:
        """The item of a comment, or the position of the one into whose document it goes; `reason` is why it has no text."""
        speakers = self._reader.speakers
        if not self._spoken:
            return Skipped(ordinal, reason or "no text")
        if self._reader.documents == "best":
            if position == self._root.position:
                return document(ordinal, self._root, self._best, speakers) or Skipped(ordinal, reason or "no text")
            on_path = any(node.position == position for node in self._best)
            return self._root.position if on_path else Skipped(ordinal, "not on the best path")
        if reason:
            return Skipped(ordinal, reason)
        end = self._ends[position]
        if end.position != position:
            return end.position
        return document(ordinal, self._root, self._path(end), speakers) or Skipped(ordinal, "no text")

    def _path(self, end: Node) -> list[Node]:
        path = [end]
        while (above := self._above.get(path[-1].position)) is not None:
            path.append(above)
        return path[::-1]


def document(ordinal: int, root: Node, nodes: list[Node], speakers: str) -> Record | None:
    """The document of some comments of a thread, None if they have no text; what is known of its first is known of it."""
    names: dict[str, str] = {}
    texts = []
    for node in nodes:
        if node.text:
            mark = _mark(node, names, speakers)
            texts.append(f"{mark}: {node.text}" if mark else node.text)
    if not texts:
        return None
    metadata = metadata_of(root.facts) | {"comments": len(texts)}
    if root.score is not None:
        metadata["score"] = root.score
    language = next((node.language for node in nodes if node.text and node.language), None)
    return Record(ordinal, "\n\n".join(texts), root.url or None, language, metadata)


def _mark(node: Node, names: dict[str, str], speakers: str) -> str:
    """What stands before a comment; letters are given in the order of their first words."""
    if speakers != "letter" or not node.author:
        return node.author if speakers == "name" else ""
    return names.setdefault(node.author, _letter(len(names)))


def _letter(number: int) -> str:
    """A, B, …, Z, AA, AB, …"""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def _write_damage(writer: CommentWriter, offset: int, length: int, reason: str, data: bytes) -> None:
    writer.other([offset, length, reason, base64.b64encode(data[:QUARANTINE_BYTES]).decode("ascii")])


def _other(ordinal: int, value: Sequence[object]) -> Item:
    offset, length, reason, data = value
    assert isinstance(offset, int) and isinstance(length, int) and isinstance(data, str)
    return Unreadable(ordinal, offset, length, str(reason), base64.b64decode(data))


def _rows(row: dict[str, object]) -> list[dict[str, object]]:
    """The row, or the rows of an object that holds them column by column."""
    return (transposed(row) if "id" in row and isinstance(row["id"], list | dict) else None) or [row]
