"""The Stack: source code with licences, on the hub behind an agreement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from corpus.option import option
from pipelines.download.hub_files import hub_files
from pipelines.download.source import SourceFile
from pipelines.download.web import Web


@dataclass(frozen=True)
class TheStackSource:
    """`corpus download the-stack`."""

    domain: ClassVar[str] = "github"
    base: ClassVar[str] = "hf://datasets/bigcode/the-stack-dedup"
    doc: ClassVar[str] = "The Stack from the Hugging Face hub (bigcode/the-stack-dedup)"
    terms: ClassVar[str] = (
        "About 1.5 TB for all languages, Parquet. Accept its terms on the hub and set HF_TOKEN; the licence of each file holds, and"
        " what authors take back has to go."
    )
    rate: ClassVar[float] = 4.0
    robots: ClassVar[bool] = False

    languages: tuple[str, ...] = option(
        (), "A language, as the data set calls it: python, c++. Default: all.", flag="--language", metavar="LANGUAGE"
    )

    def files(self, web: Web, base: str) -> Iterator[SourceFile]:
        """The tables of the languages."""
        for language in self.languages or ("",):
            yield from hub_files(web, base, f"data/{language}".rstrip("/"), ("*.parquet",))
