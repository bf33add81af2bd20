"""C4 as published: JSON lines of text, url and timestamp (Raffel et al. 2020; layout of the allenai/c4 release).

LLaMA takes the published set as it is, so nothing is cleaned here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from corpus.data.columns import DATE, Column
from corpus.ingest.reader import Item, RawFile
from pipelines.readers.fields import Fields
from pipelines.readers.jsonl import read_json


@dataclass(frozen=True)
class C4Reader:
    """`corpus ingest c4`."""

    domain: ClassVar[str] = "c4"
    streams: ClassVar[bool] = True
    patterns: ClassVar[tuple[str, ...]] = (
        "c4-*.json.gz",
        "*.json.gz",
        "*.json.zst",
        "*.json",
        "*.jsonl",
        "*.jsonl.gz",
        "*.jsonl.zst",
    )
    doc: ClassVar[str] = "C4 as published: json.gz files of text, url and timestamp."
    columns: ClassVar[tuple[Column, ...]] = (DATE,)

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        return read_json(file.path, Fields(date="timestamp"))
