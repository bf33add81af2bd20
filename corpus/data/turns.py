"""Conversations: documents whose `metadata.turns` says which bytes of the text are whose turn, and which are trained on.

Such documents have the open column `template`, so that a manifest tells them. The turns follow one another and fill the
text. Text is cut into tokens turn by turn, so that ids do not depend on what is trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from corpus.data.columns import Column
from corpus.errors import DataError

TEMPLATE = Column("template", "string", "Template that rendered the turns of metadata.turns.")
TURNS = "turns"
ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Turn:
    """Bytes [start, end) of a text in UTF-8. With `eod` an end-of-document id follows them, as after the last turn of every
    text; it is trained on where the turn is. `special` are ranges of bytes that the template wrote and that mean a special
    token where the tokenizer has one of that text."""

    role: str
    start: int
    end: int
    trained: bool = False
    eod: bool = False
    special: tuple[tuple[int, int], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """An entry of `metadata.turns`."""
        value: dict[str, Any] = {"role": self.role, "start": self.start, "end": self.end, "trained": self.trained}
        if self.eod:
            value["eod"] = True
        if self.special:
            value["special"] = [list(span) for span in self.special]
        return value


def read_turns(key: str, metadata: str, size: int) -> tuple[Turn, ...]:
    """The turns of the document `key` with a text of `size` bytes; one without turns is a single one that is trained on.

    A DataError where they do not fill the text: a step in between has changed it.
    """
    try:
        entries = orjson.loads(metadata).get(TURNS)
        if entries is None:
            return (Turn("", 0, size, True),)
        turns = tuple(
            Turn(
                str(entry["role"]),
                int(entry["start"]),
                int(entry["end"]),
                bool(entry["trained"]),
                bool(entry.get("eod", False)),
                tuple((int(begin), int(end)) for begin, end in entry.get("special", ())),
            )
            for entry in entries
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"the turns of document {key} cannot be read ({type(error).__name__}: {error}): ingest it again."
        ) from None
    at = 0
    for turn in turns:
        inside = [turn.start, *(bound for span in turn.special for bound in span), turn.end]
        if turn.start != at or inside != sorted(inside):
            at = -1
            break
        at = turn.end
    if at != size:
        raise DataError(
            f"the turns of document {key} do not fill its text of {size} bytes: a step after its reader has changed the text; "
            "leave that step out for conversations."
        )
    return turns


Run = tuple[bytes | int, bool]
"""Text or the id of a special token, and whether it is trained on."""


def runs_of(text: bytes, turns: Sequence[Turn], special: Mapping[str, int], eod: int) -> Iterator[Run]:
    """What of a document is encoded by itself, in order, with `special` tokens where the template wrote one and the id `eod`
    after turns that ask for it. Runs of text are never empty."""
    for turn in turns:
        at = turn.start
        for begin, end in turn.special:
            identity = special.get(text[begin:end].decode("utf-8", "replace"))
            if identity is not None:
                if begin > at:
                    yield text[at:begin], turn.trained
                yield identity, turn.trained
                at = end
        if turn.end > at:
            yield text[at : turn.end], turn.trained
        if turn.eod:
            yield eod, turn.trained


@dataclass(frozen=True, slots=True)
class Part:
    """A run of text as a template gives it. `begins` a turn, or goes on with the one before; `special` as for `Turn`."""

    role: str
    text: str
    trained: bool = False
    begins: bool = False
    special: bool = False
    eod: bool = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text and its turns."""

    text: str
    turns: tuple[Turn, ...]


def join_parts(parts: Iterable[Part]) -> Rendered:
    """Parts in a row as a text with its turns; parts without text are left out."""
    groups: list[list[Part]] = []
    for part in parts:
        if not part.text:
            continue
        last = groups[-1][-1] if groups else None
        if last is None or part.begins or last.eod or part.trained != last.trained:
            groups.append([])
        groups[-1].append(part)
    turns, at = [], 0
    for group in groups:
        start, special = at, []
        for part in group:
            size = len(part.text.encode())
            if part.special:
                special.append((at, at + size))
            at += size
        turns.append(Turn(group[0].role, start, at, group[0].trained, group[-1].eod, tuple(special)))
    return Rendered("".join(part.text for group in groups for part in group), tuple(turns))


def turns_json(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """`metadata.turns`."""
    return [turn.to_json() for turn in turns]
