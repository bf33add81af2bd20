"""`corpus export`: a packed or token set as the files of another trainer, and what they were made from."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from corpus.data.dataset import Dataset
from corpus.errors import UsageError
from corpus.export.folder import Folder, published
from corpus.export.registry import FORMATS
from corpus.export.sequences import Sequences, open_sequences
from corpus.option import nearest

DESCRIPTION = "export.json"
"""Says what an export was made from."""


def export(path: Path, kind: str, output: Path, report: Callable[[str], None]) -> None:
    """Write the set at `path` to `output`, which must not hold anything yet, in the format `kind` of the registry: the same
    sequences in the same order. An error leaves nothing there."""
    if kind not in FORMATS:
        raise UsageError(f"there is no format '{kind}': {nearest(kind, FORMATS)}")
    sequences = open_sequences(path)
    source = path.resolve()
    if source == output.resolve() or source in output.resolve().parents:
        raise UsageError(f"{output} is or lies in the set {path}: give another --output.")
    write: Callable[[Sequences, Folder], str] = import_module(f"corpus.export.{kind}").write
    with published(output) as folder:
        note = write(sequences, folder)
        tokenizer = _copy_tokenizer(sequences.dataset, folder)
        description = _describe(sequences, kind, folder)
        with folder.create(DESCRIPTION) as file:
            file.write((json.dumps(description, indent=1, ensure_ascii=False) + "\n").encode())
    unit = "rows" if sequences.width is not None else "documents"
    report(f"exported    {sequences.count:,} {unit} of {path} to {output}")
    report(f"read        {note}")
    if tokenizer:
        report(f"tokenizer   {output / 'tokenizer'}")
    if sequences.padded:
        report(f"padding     rows may end with ids {sequences.vocabulary.eod} (EOD) on which nothing is to be trained")


def _copy_tokenizer(dataset: Dataset, folder: Folder) -> bool:
    """Copy the tokenizer that the set carries; whether it carries one."""
    files = dataset.files("_tokenizer")
    for name, stored in files.items():
        with folder.create(f"tokenizer/{name}") as file:
            file.write(stored.read())
    return bool(files)


def _describe(sequences: Sequences, kind: str, folder: Folder) -> dict[str, Any]:
    manifest, vocabulary = sequences.dataset.manifest, sequences.vocabulary
    return {
        "format": kind,
        "source": {"kind": manifest.kind, "stage": manifest.stage, "digest": manifest.digest},
        "split": manifest.extra.get("split"),
        "sequences": sequences.count,
        "sequence_length": sequences.width - 1 if sequences.width is not None else None,
        "padded": sequences.padded,
        "tokenizer": {"digest": vocabulary.tokenizer, "vocab_size": vocabulary.size, "eod_id": vocabulary.eod},
        "files": {name: {"bytes": found.size, "xxh3_128": found.checksum} for name, found in folder.digests.items()},
    }
