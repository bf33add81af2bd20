"""C4 as Allen AI publishes it on the hub."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from corpus.option import option
from pipelines.download.hub_files import hub_files
from pipelines.download.source import SourceFile
from pipelines.download.web import Web


@dataclass(frozen=True)
class C4Source:
    """`corpus download c4`."""

    domain: ClassVar[str] = "c4"
    base: ClassVar[str] = "hf://datasets/allenai/c4"
    doc: ClassVar[str] = "C4 from the Hugging Face hub (allenai/c4)"
    terms: ClassVar[str] = "305 GB for en, compressed, in 1,024 files. ODC-BY, and Common Crawl's terms of use."
    rate: ClassVar[float] = 4.0
    robots: ClassVar[bool] = False

    variant: str = option("en", "Which of its variants: en, en.noblocklist, realnewslike, multilingual, …")
    split: str = option("train", "Which split.", choices=("train", "validation"))

    def files(self, web: Web, base: str) -> Iterator[SourceFile]:
        """The files of a split, by number."""
        return hub_files(web, base, self.variant, (f"c4-*{self.split}*.json.gz", f"c4-{self.split}*.json.gz"))
