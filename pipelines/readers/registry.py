"""The readers by name. A reader's module is imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

from corpus.errors import UsageError
from corpus.option import nearest

READERS: dict[str, str] = {
    "commoncrawl": "pipelines.readers.commoncrawl:CommonCrawlReader",
    "c4": "pipelines.readers.c4:C4Reader",
    "github": "pipelines.readers.github:GithubReader",
    "wikipedia": "pipelines.readers.wikipedia:WikipediaReader",
    "books": "pipelines.readers.books:BooksReader",
    "arxiv": "pipelines.readers.arxiv:ArxivReader",
    "stackexchange": "pipelines.readers.stackexchange:StackExchangeReader",
    "jsonl": "pipelines.readers.jsonl:JsonlReader",
    "parquet": "pipelines.readers.parquet:ParquetReader",
    "hub": "pipelines.readers.hub:HubReader",
}


def reader_class(name: str) -> Any:
    """The reader class called `name`; unknown names are a UsageError with the nearest one."""
    if name not in READERS:
        raise UsageError(f"there is no reader '{name}': {nearest(name, READERS)}")
    module, _, attribute = READERS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
