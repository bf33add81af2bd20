"""Small datasets for tests, written with the project's own writer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus.data.card import write_card
from corpus.data.manifest import Counts, Manifest
from corpus.data.schema import DOCUMENT_SCHEMA
from corpus.data.writer import ShardWriter, shard_entry


def write_documents(
    directory: Path, texts: Sequence[str], domain: str = "c4", shard_rows: int | None = None, **columns: Sequence[Any]
) -> Path:
    """A documents dataset of `texts`, cut into shards of `shard_rows` rows; `columns` replaces other columns' values."""
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
    entries = []
    step = shard_rows or max(1, len(rows))
    for number, start in enumerate(range(0, len(rows), step)):
        part = directory / "part"
        part.mkdir()
        writer = ShardWriter(part, DOCUMENT_SCHEMA, shard_bytes=1 << 62)
        writer.write(pa.Table.from_pylist(rows[start : start + step], schema=DOCUMENT_SCHEMA))
        (entry,) = writer.close()
        (part / entry.name).rename(directory / f"{number:05d}.parquet")
        part.rmdir()
        entries.append(shard_entry(directory / f"{number:05d}.parquet", entry.rows))
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
        extra={"domains": [domain]},
    )
    manifest.save(directory)
    write_card(directory, "documents", "ingest", len(texts), manifest.digest)
    return directory
