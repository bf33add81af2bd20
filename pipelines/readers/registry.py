"""The readers by name. A reader's module is imported when it is asked for."""

from __future__ import annotations

from corpus.registry import Registry

READERS = Registry(
    "reader",
    "corpusmill.readers",
    {
        "commoncrawl": "pipelines.readers.commoncrawl:CommonCrawlReader",
        "c4": "pipelines.readers.c4:C4Reader",
        "github": "pipelines.readers.github:GithubReader",
        "wikipedia": "pipelines.readers.wikipedia:WikipediaReader",
        "books": "pipelines.readers.books:BooksReader",
        "arxiv": "pipelines.readers.arxiv:ArxivReader",
        "stackexchange": "pipelines.readers.stackexchange:StackExchangeReader",
        "news": "pipelines.readers.news:NewsReader",
        "conversations": "pipelines.readers.conversations:ConversationsReader",
        "instructions": "pipelines.readers.instructions:InstructionsReader",
        "jsonl": "pipelines.readers.jsonl:JsonlReader",
        "parquet": "pipelines.readers.parquet:ParquetReader",
        "hub": "pipelines.readers.hub:HubReader",
    },
)
