"""FineWeb's own rules on lines (Penedo et al. 2024, arXiv 2406.17557, section 3.6, and datatrove's `FineWebQualityFilter`).

Words are separated by white space; datatrove takes spaCy's tokens, of which there are more, so that its share of line
feeds is lower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow.compute as pc

from corpus.engine.document_map import DocumentBatch
from corpus.option import option
from corpus.quality.cut import cut_documents
from corpus.quality.repetition import repeated_lines
from corpus.quality.rules.measured import Measure, MeasuredRule
from corpus.quality.words import last_characters, short_lines

_TERMINALS = (
    "21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736 17D4-17D6"
    " 17D9-17DA 1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E 1C3B-1C3C 1C7E-1C7F 203C-203D 2047-2049"
    " 2E2E 2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB"
    " FE52 FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 10F55-10F59 10F86-10F89 11047-11048 110BE-110C1 11141-11143"
    " 111C5-111C6 111CD 111DE-111DF 11238-11239 1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642"
    " 1173C-1173E 11944 11946 11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5"
    " 16B37-16B38 16B44 16E98 1BC9F 1DA88"
)
"""Unicode's property Sentence_Terminal, in hexadecimal."""
TERMINALS = frozenset(
    chr(code)
    for part in _TERMINALS.split()
    for code in range(int(part.split("-")[0], 16), int(part.split("-")[-1], 16) + 1)
)


@dataclass(frozen=True)
class FineWeb(MeasuredRule):
    """Lines that end as sentences do, short lines, characters in repeated lines, line feeds per word. Blank lines do not
    count."""

    name: ClassVar[str] = "fineweb"

    min_ended_lines: float = option(
        0.12, "Share of lines that end with a mark that ends a sentence, at least (FineWeb: 0.12).", least=0
    )
    max_short_lines: float = option(0.67, "Share of short lines, at most (FineWeb: 0.67).", least=0)
    short_line: int = option(30, "Characters that a short line has at most (FineWeb: 30).", least=0)
    max_duplicate_characters: float = option(
        0.01, "Share of characters in repeated lines, at most (FineWeb: 0.01).", least=0
    )
    max_line_feeds: float = option(0.3, "Line feeds per word, at most (FineWeb: 0.3).", least=0)

    def measures(self, batch: DocumentBatch) -> Sequence[Measure]:
        cut = batch.measured(cut_documents)
        lines, short = cut.lines, short_lines(cut, self.short_line)
        ended = last_characters(cut, TERMINALS)
        counted: Any = pc.count_substring(batch.column("text"), "\n").to_numpy(zero_copy_only=False)
        feeds = counted.astype(np.int64)
        repeats, size = repeated_lines(cut)[1], cut.characters - feeds
        few, many = "few lines that end a sentence", "many line feeds"
        return (
            Measure("lines", lines, least=1, too_low="empty"),
            Measure("ended_lines", ended, lines, least=self.min_ended_lines, too_low=few),
            Measure("short_lines", short, lines, self.max_short_lines, "short lines"),
            Measure("duplicate_characters", repeats, size, self.max_duplicate_characters, "duplicate lines"),
            Measure("line_feeds", feeds, cut.words, self.max_line_feeds, many),
        )
