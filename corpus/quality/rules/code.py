"""RedPajama v1's thresholds for source code (after LLaMA, arXiv 2302.13971, section 2.1: line length and the share of
alphanumeric characters). Its fifth rule, alphabetic characters per token, needs a tokenizer and is not part of this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from corpus.engine.document_map import DocumentBatch
from corpus.option import option
from corpus.quality.lines import line_figures
from corpus.quality.rules.measured import Measure, MeasuredRule


@dataclass(frozen=True)
class Code(MeasuredRule):
    """Drops files with a long line, with long lines on average, or with few alphanumeric characters; and empty ones."""

    name: ClassVar[str] = "code"

    max_line: int = option(1000, "Characters that the longest line has at most (RedPajama v1: 1000).", least=0)
    max_mean_line: float = option(100, "Characters per line that a file has at most (RedPajama v1: 100).", least=0)
    min_alphanumeric: float = option(
        0.25, "Share of characters that are alphanumeric, at least (RedPajama v1: 0.25).", least=0
    )

    def measures(self, batch: DocumentBatch) -> Sequence[Measure]:
        found = batch.measured(line_figures)
        size, least = found.characters, self.min_alphanumeric
        return (
            Measure("characters", size, least=1, too_low="empty"),
            Measure("longest_line", found.longest, None, self.max_line, "long line"),
            Measure("mean_line", size, found.lines, self.max_mean_line, "long lines on average"),
            Measure("alphanumeric", found.alphanumeric, size, least=least, too_low="few alphanumeric characters"),
        )
