"""Over which documents equal lines count as repeated: all, each document alone, or groups of consecutive shards."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from corpus.data.dataset import Dataset
from corpus.engine.inputs import ShardRef, all_shards, grouped
from corpus.errors import UsageError

_SHARDS = re.compile(r"shards:([1-9][0-9]*)")
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")


@dataclass(frozen=True)
class ScopedTask:
    """The shards of one task; its scope, and its place among the tasks of that scope."""

    scope: int
    place: int
    shards: tuple[ShardRef, ...]


def check_scope(scope: str) -> None:
    """A UsageError unless it is `all`, `document`, `shards:N` or `P%` with 0 < P <= 100."""
    percent = _PERCENT.fullmatch(scope)
    if scope in ("all", "document") or _SHARDS.fullmatch(scope) or (percent and 0 < float(percent[1]) <= 100):
        return
    raise UsageError(f"--scope is '{scope}': give all, document, shards:N (such as shards:50) or P% (such as 3%).")


def scoped_tasks(datasets: Sequence[Dataset], scope: str, shard_bytes: int) -> list[ScopedTask]:
    """The tasks of a pass over `datasets`: shards grouped within each scope, in order.

    `shards:N` are N consecutive input shards; `P%` are consecutive shards until they have P % of all bytes or more, as
    CCNet's block of 50 of 1600 shards is 3 % of a dump.
    """
    return [
        ScopedTask(number, place, tuple(shards))
        for number, members in enumerate(_scopes(all_shards(datasets), scope))
        for place, shards in enumerate(grouped(members, shard_bytes))
    ]


def scope_bounds(tasks: Sequence[ScopedTask]) -> list[int]:
    """The tasks of scope s are those from bounds[s] to bounds[s + 1] - 1."""
    return [*(number for number, task in enumerate(tasks) if task.place == 0), len(tasks)]


def _scopes(shards: list[ShardRef], scope: str) -> list[list[ShardRef]]:
    count = _SHARDS.fullmatch(scope)
    percent = _PERCENT.fullmatch(scope)
    if count:
        size = int(count[1])
        return [shards[start : start + size] for start in range(0, len(shards), size)]
    if not percent:
        return [shards] if shards else []
    wanted = float(percent[1]) / 100 * sum(shard.bytes for shard in shards)
    scopes: list[list[ShardRef]] = []
    held = wanted
    for shard in shards:
        if held >= wanted:
            scopes.append([])
            held = 0
        scopes[-1].append(shard)
        held += shard.bytes
    return scopes
