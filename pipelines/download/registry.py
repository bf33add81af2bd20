"""The sources by name. A source's module is imported when it is asked for."""

from __future__ import annotations

from corpus.registry import Registry

SOURCES = Registry(
    "source",
    "corpusmill.sources",
    {
        "commoncrawl": "pipelines.download.commoncrawl:CommonCrawlSource",
        "c4": "pipelines.download.c4:C4Source",
        "the-stack": "pipelines.download.the_stack:TheStackSource",
        "wikipedia": "pipelines.download.wikipedia:WikipediaSource",
        "enterprise": "pipelines.download.enterprise:EnterpriseSource",
        "gutenberg": "pipelines.download.gutenberg:GutenbergSource",
        "arxiv": "pipelines.download.arxiv:ArxivSource",
        "stackexchange": "pipelines.download.stackexchange:StackExchangeSource",
        "urls": "pipelines.download.urls:UrlsSource",
    },
)
