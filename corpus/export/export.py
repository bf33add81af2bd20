"""`corpus export`: a set as the files of another trainer or of tools for tables, and what they were made from."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from corpus.data.dataset import Dataset
from corpus.errors import DataError, UsageError
from corpus.export.folder import Folder, published
from corpus.export.registry import FORMATS, TABLES
from corpus.export.sequences import Sequences, open_sequences
from corpus.option import nearest

DESCRIPTION = "export.json"
"""Says what an export was made from."""


def export(path: Path, kind: str, output: Path, report: Callable[[str], None]) -> None:
    """Write the set at `path` to `output`, which must not hold anything yet, in the format `kind` of the registry: the same
    sequences, or rows of tables, in the same order. An error leaves nothing there."""
    if kind not in FORMATS | TABLES:
        raise UsageError(f"there is no format '{kind}': {nearest(kind, FORMATS | TABLES)}")
    sequences = None if kind in TABLES else open_sequences(path)
    dataset = sequences.dataset if sequences is not None else open_table(path)
    source = path.resolve()
    if source == output.resolve() or source in output.resolve().parents:
        raise UsageError(f"{output} is or lies in the set {path}: give another --output.")
    write: Callable[[Any, Folder], str] = import_module(f"corpus.export.{kind}").write
    with published(output) as folder:
        note = write(dataset if sequences is None else sequences, folder)
        tokenizer = _copy_tokenizer(dataset, folder)
        details = {} if sequences is None else _describe(sequences)
        description = {"format": kind, **_source(dataset), **details, "files": _files(folder)}
        with folder.create(DESCRIPTION) as file:
            file.write((json.dumps(description, indent=1, ensure_ascii=False) + "\n").encode())
    rows = dataset.manifest.rows if sequences is None else sequences.count
    unit = "documents" if dataset.manifest.kind in ("documents", "tokens") else "rows"
    report(f"exported    {rows:,} {unit} of {path} to {output}")
    report(f"read        {note}")
    if tokenizer:
        report(f"tokenizer   {output / 'tokenizer'}")
    if sequences is not None and sequences.padded:
        report(f"padding     rows may end with ids {sequences.vocabulary.eod} (EOD) on which nothing is to be trained")


def open_table(path: Path) -> Dataset:
    """The set at `path`, whose rows are a table; a UsageError where it has none, a DataError where it is empty."""
    dataset = Dataset.open(path)
    if dataset.manifest.kind not in ("documents", "tokens", "packed"):
        raise UsageError(f"{path} holds {dataset.manifest.kind}: give a set of documents, tokens or packed rows.")
    if not dataset.manifest.rows:
        raise DataError(f"{path} holds no rows: there is nothing to export.")
    return dataset


def _copy_tokenizer(dataset: Dataset, folder: Folder) -> bool:
    """Copy the tokenizer that the set carries; whether it carries one."""
    files = dataset.files("_tokenizer")
    for name, stored in files.items():
        with folder.create(f"tokenizer/{name}") as file:
            file.write(stored.read())
    return bool(files)


def _source(dataset: Dataset) -> dict[str, Any]:
    manifest = dataset.manifest
    return {
        "source": {"kind": manifest.kind, "stage": manifest.stage, "digest": manifest.digest},
        "split": manifest.extra.get("split"),
    }


def _describe(sequences: Sequences) -> dict[str, Any]:
    vocabulary = sequences.vocabulary
    return {
        "sequences": sequences.count,
        "sequence_length": sequences.width - 1 if sequences.width is not None else None,
        "padded": sequences.padded,
        "tokenizer": {"digest": vocabulary.tokenizer, "vocab_size": vocabulary.size, "eod_id": vocabulary.eod},
    }


def _files(folder: Folder) -> dict[str, dict[str, Any]]:
    return {name: {"bytes": found.size, "xxh3_128": found.checksum} for name, found in folder.digests.items()}
