"""Documents that are being read, column by column: a batch of them costs no Python object for each value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from corpus.data.buffers import text_column
from corpus.data.columns import Column, document_schema


class DocumentRows:
    """Documents of one raw file, which all have `domain`; `bytes` are those of their texts."""

    def __init__(self, domain: str, file: str, columns: Sequence[Column]) -> None:
        self.bytes = 0
        self._domain, self._file = domain, file
        self._schema = document_schema(columns)
        self._open = [column.name for column in columns]
        self._begin()

    def _begin(self) -> None:
        self.bytes = 0
        self._ids: list[str] = []
        self._texts: list[bytes] = []
        self._languages: list[str | None] = []
        self._urls: list[str | None] = []
        self._ordinals: list[int] = []
        self._metadata: list[str] = []
        self._values: dict[str, list[Any]] = {name: [] for name in self._open}

    def __len__(self) -> int:
        return len(self._ids)

    def add(
        self,
        ordinal: int,
        id: str,
        text: bytes,
        language: str | None,
        url: str | None,
        metadata: str,
        columns: Mapping[str, Any],
    ) -> None:
        """Add a document: its text as UTF-8, its metadata as JSON, and the values of its open columns."""
        self._ids.append(id)
        self._texts.append(text)
        self._languages.append(language)
        self._urls.append(url)
        self._ordinals.append(ordinal)
        self._metadata.append(metadata)
        for name, values in self._values.items():
            values.append(columns.get(name))
        self.bytes += len(text)

    def take(self) -> pa.RecordBatch:
        """All documents that were added, which are then forgotten."""
        number = len(self)
        bounds = np.zeros(number + 1, dtype=np.int64)
        np.cumsum([len(text) for text in self._texts], out=bounds[1:])
        source = [pa.repeat(self._file, number), pa.array(self._ordinals, pa.int64())]
        known: dict[str, pa.Array] = {
            "id": pa.array(self._ids, pa.string()),
            "text": text_column(np.frombuffer(b"".join(self._texts), dtype=np.uint8), bounds),
            "domain": pa.repeat(self._domain, number),
            "language": pa.array(self._languages, pa.string()),
            "language_score": pa.nulls(number, self._schema.field("language_score").type),
            "url": pa.array(self._urls, pa.string()),
            "source": pa.StructArray.from_arrays(source, fields=list(self._schema.field("source").type)),
            "metadata": pa.array(self._metadata, pa.string()),
        }
        for name, values in self._values.items():
            known[name] = pa.array(values, self._schema.field(name).type)
        batch = pa.RecordBatch.from_arrays([known[name] for name in self._schema.names], schema=self._schema)
        self._begin()
        return batch
