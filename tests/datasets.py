"""Small datasets for tests, written with the project's own writer."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus.data.card import write_card
from corpus.data.columns import Column, document_schema
from corpus.data.concat import concat_parquet
from corpus.data.manifest import Counts, Manifest
from corpus.data.stored import Digests, StoredFile
from corpus.data.writer import ShardWriter, shard_entry


def stored(path: Path) -> StoredFile:
    """A file as it is now."""
    return StoredFile.of(path, Digests.of(path), "make it again")


def write_documents(
    directory: Path,
    texts: Sequence[str],
    domain: str = "c4",
    shard_rows: int | None = None,
    piece_rows: int | None = None,
    open_columns: Sequence[Column] = (),
    **columns: Sequence[Any],
) -> Path:
    """A documents dataset of `texts`, cut into shards of `shard_rows` rows and these into pieces of `piece_rows`;
    `columns` replaces other columns' values and gives those of the `open_columns`."""
    directory.mkdir(parents=True)
    rows = [
        {
            "id": f"{domain}/made.jsonl#{number}",
            "text": text,
            "domain": domain,
            "language": None,
            "language_score": None,
            "url": None,
            "source": {"file": "made.jsonl", "record": number},
            "metadata": "{}",
        }
        | {name: values[number] for name, values in columns.items()}
        for number, text in enumerate(texts)
    ]
    schema = document_schema(open_columns)
    entries = []
    step = shard_rows or max(1, len(rows))
    for number, start in enumerate(range(0, len(rows), step)):
        shard = rows[start : start + step]
        length = piece_rows or max(1, len(shard))
        made = []
        for at in range(0, len(shard), length):
            part = directory / f"part-{at}"
            part.mkdir()
            writer = ShardWriter(part, schema, shard_bytes=1 << 62)
            writer.write(pa.Table.from_pylist(shard[at : at + length], schema=schema))
            (entry,) = writer.close()
            made.append((stored(part / entry.name), entry.pieces[0]))
        target = directory / f"{number:05d}.parquet"
        concat_parquet([file for file, _ in made], target)
        for file, _ in made:
            shutil.rmtree(file.path.parent)
        entries.append(dataclasses.replace(shard_entry(target, [piece for _, piece in made]), task=str(number)))
    size = sum(len(text.encode()) for text in texts)
    lines = sum(text.count("\n") + 1 for text in texts)
    manifest = Manifest(
        kind="documents",
        stage="ingest",
        config={},
        inputs=(),
        counts={"records": Counts(seen=len(texts), kept=len(texts))},
        totals={"documents": len(texts), "lines": lines, "bytes": size},
        shards=tuple(entries),
        columns=tuple(open_columns),
        extra={"domains": [domain]},
    )
    manifest.save(directory)
    write_card(directory, "documents", "ingest", len(texts), manifest.digest)
    return directory
