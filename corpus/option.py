"""Documented fields of frozen configuration dataclasses. The line of doc of a field is also its `--help` text."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable
from typing import Any


def option(default: Any, doc: str, *, choices: tuple[str, ...] = (), metavar: str = "") -> Any:
    """A field with a default and its one line of documentation; `choices` limits the values of a string."""
    metadata = {"doc": doc, "choices": choices, "metavar": metavar}
    return dataclasses.field(default=default, metadata=metadata)


def option_required(doc: str, *, choices: tuple[str, ...] = (), metavar: str = "") -> Any:
    """A field that must be given."""
    return dataclasses.field(metadata={"doc": doc, "choices": choices, "metavar": metavar})


SHARDS_ARE_INHERITED = {
    "shard_bytes": "shards are cut once, by ingest (--shard-bytes of corpus ingest, shard_bytes of a recipe)"
}
"""What configurations of stages that pass shards on say in `removed`: settings that are gone, and what came instead."""


def nearest(key: str, known: Iterable[str]) -> str:
    """What to add to an error about an unknown `key`: the nearest of `known`, else all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known are {', '.join(names)}"
