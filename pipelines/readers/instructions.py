"""Instruction sets (Alpaca and its relatives) as conversations for fine-tuning.

A row's shape is sniffed (`dialogues.py`, `message_trees.py`), its messages are rendered by a template
(`corpus/data/templates.py`), and `metadata.turns` says what is trained on (`corpus/data/turns.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from corpus.data.columns import Column
from corpus.data.message import Message, Template
from corpus.data.templates import NAMED, find_template
from corpus.data.turns import TEMPLATE, TURNS, Part, Rendered, join_parts, turns_json
from corpus.errors import DataError
from corpus.ingest.compression import QUARANTINE_BYTES, Damage
from corpus.ingest.reader import Item, RawFile, Record, Skipped, Unreadable
from corpus.option import option
from pipelines.formats.json import transposed
from pipelines.readers import message_trees
from pipelines.readers.dialogues import WANTED, Dialogue, EmptyAnswer, dialogues_of
from pipelines.readers.fields import NoDocument
from pipelines.readers.jsonl import JsonlReader, Object, read_objects
from pipelines.readers.message_trees import MessageTrees, is_message

_RENDERED = "rendered"
"""The template of rows that come rendered."""


@dataclass(frozen=True)
class InstructionsReader:
    """`corpus ingest instructions`."""

    domain: ClassVar[str] = "instructions"
    patterns: ClassVar[tuple[str, ...]] = tuple(name for name in JsonlReader.patterns if name.startswith("*."))
    doc: ClassVar[str] = "Instruction sets: Alpaca, Dolly, self-instruct, ShareGPT, OpenAI messages, OpenAssistant."
    columns: ClassVar[tuple[Column, ...]] = (TEMPLATE,)

    template: str = option(
        "alpaca",
        f"How turns become text: {', '.join(NAMED)}, or the folder of a tokenizer that has a chat template.",
    )
    train: str = option(
        "responses",
        "What is trained on: all answers, the last one, or every turn.",
        choices=("responses", "last", "all"),
    )
    paths: str = option("best", "Of a tree of messages: its best path, or every path.", choices=("best", "all"))

    def __post_init__(self) -> None:
        assert self._template is not None  # a template that is unknown is said at once

    @cached_property
    def _template(self) -> Template:
        return find_template(self.template)

    def files(self) -> Mapping[str, tuple[Path, ...]]:
        """The file of a tokenizer's template."""
        path = getattr(self._template, "path", None)
        return {} if path is None else {"template": (path,)}

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """The items of a file. Flat messages of trees are held until its end."""
        trees, ordinal = MessageTrees(self.paths == "all"), 0
        for found in read_objects(file.path, WANTED):
            if isinstance(found, Damage):
                yield Unreadable(ordinal, found.offset, found.length, found.reason, found.data)
                ordinal += 1
                continue
            for row in _rows(found.row):
                count, items = self._items(ordinal, row, found, trees)
                ordinal += count
                yield from items
        for item in trees.rest():
            yield self._of_tree(item)

    def _items(
        self, ordinal: int, row: Mapping[str, object], found: Object, trees: MessageTrees
    ) -> tuple[int, list[Item]]:
        """How many records a row is, and the items that are known by now."""
        try:
            if is_message(row):
                count, known = trees.add(ordinal, row)
                return count, [self._of_tree(item) for item in known]
            dialogues = list(dialogues_of(row))
            return len(dialogues), [self._item(number, each) for number, each in enumerate(dialogues, ordinal)]
        except (NoDocument, DataError) as error:
            reason, data = str(error), found.data[:QUARANTINE_BYTES]
            return 1, [Unreadable(ordinal, found.offset, len(found.data), reason, data)]

    def _of_tree(self, item: message_trees.Path | Item) -> Item:
        if not isinstance(item, message_trees.Path):
            return item
        record = self._item(item.ordinal, Dialogue(item.messages, item.metadata))
        return replace(record, language=item.language) if isinstance(record, Record) else record

    def _item(self, ordinal: int, dialogue: Dialogue | EmptyAnswer) -> Record | Skipped:
        if isinstance(dialogue, EmptyAnswer):
            return Skipped(ordinal, str(dialogue))
        messages = dialogue.messages
        if self.train == "last":
            messages = (*(replace(message, trained=False) for message in messages[:-1]), messages[-1])
        rendered = _as_it_is(messages) if dialogue.rendered else self._template.render(messages)
        turns = rendered.turns
        if self.train == "all":
            turns = tuple(replace(turn, trained=True) for turn in turns)
        name = _RENDERED if dialogue.rendered else self._template.name
        metadata = {**dialogue.metadata, TURNS: turns_json(turns), TEMPLATE.name: name}
        return Record(ordinal, rendered.text, metadata=metadata)


def _as_it_is(messages: tuple[Message, ...]) -> Rendered:
    """Messages that are rendered already."""
    return join_parts(
        Part(message.role, message.text, message.trained, begins=True, eod=message.role == "assistant")
        for message in messages
    )


def _rows(row: dict[str, object]) -> list[dict[str, object]]:
    """The row, or the rows of an object that holds them column by column."""
    columns = [key for key in ("instruction", "prompt", "question") if isinstance(row.get(key), list | dict)]
    if columns and not is_message(row):
        return transposed(row) or [row]
    return [row]
