"""The trail of a stage: what it dropped and set aside, where that lies, and how it is read. A stage that failed has one,
too: then part of it is still where its tasks left it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from corpus.data.dataset import Dataset, read_batches, read_rows
from corpus.data.manifest import MANIFEST
from corpus.data.stored import Digests, StoredFile

_SHOWN_KEYS = 8
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Reason:
    """Why records were set aside or documents dropped: how many, and one of them in a few words; empty where none is
    kept."""

    reason: str
    number: int
    example: str


def quarantine_files(output: Path) -> list[StoredFile]:
    """The files of the records that a stage set aside, in the order of its tasks."""
    return _tasks(output, "quarantine") + _placed(output, "_quarantine", ".records")


def sample_files(output: Path) -> list[StoredFile]:
    """The files of the dropped documents whose text is kept; of a stage that failed each task has its own."""
    return _placed(output, "_dropped", "samples") or _tasks(output, "samples")


def dropped_files(output: Path) -> list[StoredFile]:
    """The files of ids, maps and reasons of all dropped documents, in the order of the tasks."""
    return _tasks(output, "dropped") + _placed(output, "_dropped", ".ids")


def _placed(output: Path, folder: str, end: str) -> list[StoredFile]:
    """The files of a dataset in this folder whose names end so; of one without a manifest as they are."""
    if (output / MANIFEST).exists():
        return [file for name, file in Dataset.open(output).files(folder).items() if name.endswith(end)]
    return list(map(_as_found, sorted((output / folder).glob(f"*{end}"))))


def _tasks(output: Path, name: str) -> list[StoredFile]:
    """The files of this name that published tasks of unfinished work have left."""
    return [_as_found(path) for path in sorted(output.glob(f"_work/*/*/[0-9]*/{name}")) if path.is_file()]


def _as_found(path: Path) -> StoredFile:
    """A file of which nothing is known but what it is now."""
    return StoredFile.of(path, Digests.of(path), "run the stage again")


def unreadable_reasons(output: Path, number: int) -> list[Reason]:
    """The `number` most frequent reasons for which records were set aside, each with its first record."""
    files = quarantine_files(output)
    counts: dict[str, int] = {}
    for file in files:
        for batch in read_batches(file, ["reason"]):
            for entry in batch.column("reason").value_counts().to_pylist():
                counts[entry["values"]] = counts.get(entry["values"], 0) + entry["counts"]
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:number]
    wanted = {reason for reason, _ in ranked}
    examples: dict[str, str] = {}
    for row in read_rows(files):
        if row["reason"] in wanted and row["reason"] not in examples:
            examples[row["reason"]] = f"{row['source']} at byte {row['offset']:,}: {beginning(row['data'])}"
            if len(examples) == len(wanted):
                break
    return [Reason(reason, count, examples[reason]) for reason, count in ranked]


def dropped_reasons(output: Path, dropped: dict[str, int], number: int) -> list[Reason]:
    """The most frequent of the reasons `dropped`, each with the first of its documents whose text is kept."""
    ranked = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))[:number]
    examples: dict[str, str] = {}
    for row in read_rows(sample_files(output)) if ranked else ():
        if row["reason"] not in examples:
            examples[row["reason"]] = f"{row['id']}: {beginning(row['text'].encode('utf-8', 'replace'))}"
    return [Reason(reason, count, examples.get(reason, "")) for reason, count in ranked]


def beginning(data: bytes) -> str:
    """The beginning of a record or text in a few characters; of a JSON object its keys, which say more, those of objects
    inside it as `body.content`."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and value:
        keys = list(_paths(value))
        return "it has " + ", ".join(keys[:_SHOWN_KEYS]) + (", …" if len(keys) > _SHOWN_KEYS else "")
    text = data[: 8 * _SHOWN_CHARACTERS].decode("utf-8", "backslashreplace")
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return (text[: _SHOWN_CHARACTERS - 1] + "…" if len(text) > _SHOWN_CHARACTERS else text) or "nothing"


def _paths(value: dict[str, object]) -> Iterator[str]:
    for key, inner in value.items():
        yield from (f"{key}.{name}" for name in inner) if isinstance(inner, dict) and inner else (key,)
