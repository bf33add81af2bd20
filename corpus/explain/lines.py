"""Which lines of a document line dedup removed, and why: from its text before, and the numbers of the lines it kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from corpus.dedup.lines.normalize import BLANK, REPEATED
from corpus.dedup.lines.rewrite import line_keys
from corpus.dedup.lines.stage import REASONS


@dataclass(frozen=True)
class RemovedLine:
    """A line that is gone: its number in the text before, and the reason."""

    number: int
    line: str
    reason: str


def removed_lines(text: str, kept: set[int], config: Mapping[str, Any]) -> list[RemovedLine]:
    """The lines of `text` that are not among those `kept`, each with its reason, by the settings of the line dedup."""
    words = int(config["key_bits"]) // 64
    keys = line_keys(pa.array([text], pa.large_string()), config["normalize"], config["blank_lines"] == "key", words)
    names = {int(BLANK): REASONS[2], int(REPEATED): REASONS[3]}
    found = []
    for number, (line, key) in enumerate(zip(text.split("\n"), keys[:, 0].tolist(), strict=True)):
        if number not in kept:
            found.append(RemovedLine(number, line, names.get(key, REASONS[1])))
    return found


def kept_lines(text: str, row: Mapping[str, Any] | None) -> set[int] | None:
    """The numbers of the lines of `text`, a document before line dedup, that `row`, the one after, kept; none where it was
    dropped. None where the row does not say so of this text: it was deduplicated before."""
    if row is None:
        return set()
    metadata = json.loads(row["metadata"])
    numbers, lines = metadata.get("line_ids"), metadata.get("original_nlines")
    if not isinstance(numbers, list) or lines != text.count("\n") + 1:
        return None
    return set(numbers)
