"""Over which documents equal lines count as repeated: all, each document alone, or groups of consecutive shards."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corpus.data.dataset import Dataset
from corpus.engine.inputs import Piece
from corpus.errors import UsageError

_SHARDS = re.compile(r"shards:([1-9][0-9]*)")
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")


@dataclass(frozen=True)
class ScopedTask:
    """The piece that one task reads; its scope, and its position among the tasks of that scope."""

    scope: int
    place: int
    piece: Piece


def check_scope(scope: str) -> None:
    """A UsageError unless it is `all`, `document`, `shards:N` or `P%` with 0 < P <= 100."""
    percent = _PERCENT.fullmatch(scope)
    if scope in ("all", "document") or _SHARDS.fullmatch(scope) or (percent and 0 < float(percent[1]) <= 100):
        return
    raise UsageError(f"--scope is '{scope}': give all, document, shards:N (such as shards:50) or P% (such as 3%).")


def scoped_tasks(pieces: Sequence[Piece], datasets: Sequence[Dataset], scope: str) -> list[ScopedTask]:
    """The tasks of a pass over the pieces of `datasets`, in order.

    `shards:N` are N consecutive input shards; `P%` are consecutive shards until they have P % of all bytes or more, as
    CCNet's block of 50 of 1600 shards is 3 % of a dump.
    """
    sizes = {
        (number, index): entry.bytes
        for number, dataset in enumerate(datasets)
        for index, entry in enumerate(dataset.manifest.shards)
    }
    scopes = _scopes(sizes, scope)
    tasks: list[ScopedTask] = []
    for piece in pieces:
        number = scopes[piece.dataset, piece.shard]
        place = tasks[-1].place + 1 if tasks and tasks[-1].scope == number else 0
        tasks.append(ScopedTask(number, place, piece))
    return tasks


def scope_bounds(tasks: Sequence[ScopedTask]) -> list[int]:
    """The tasks of scope s are those from bounds[s] to bounds[s + 1] - 1."""
    return [*(number for number, task in enumerate(tasks) if task.place == 0), len(tasks)]


def _scopes(sizes: Mapping[tuple[int, int], int], scope: str) -> dict[tuple[int, int], int]:
    """The scope of each shard, from the bytes of all, in order."""
    count = _SHARDS.fullmatch(scope)
    percent = _PERCENT.fullmatch(scope)
    if count:
        return {shard: number // int(count[1]) for number, shard in enumerate(sizes)}
    if not percent:
        return dict.fromkeys(sizes, 0)
    wanted = float(percent[1]) / 100 * sum(sizes.values())
    scopes: dict[tuple[int, int], int] = {}
    number, held = -1, wanted
    for shard, size in sizes.items():
        if held >= wanted:
            number, held = number + 1, 0
        scopes[shard] = number
        held += size
    return scopes
