"""C4's rule on bad words (Raffel et al. 2020, arXiv 1910.10683, section 2.2): a page with a word of a list goes.

C4's expression wants a character on both sides of a word, so that one at the start or end of a line escapes; here the
start and the end of the text are borders, as in datatrove.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.engine.document_map import DocumentBatch
from corpus.errors import DataError, UsageError
from corpus.option import option
from corpus.quality.phrases import Phrases
from corpus.quality.rules.measured import Measure, MeasuredRule


@lru_cache(maxsize=8)
def _phrases(path: Path) -> Phrases:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8: give a text file with one word a line.") from None
    words = {line.strip().lower() for line in lines} - {""}
    if not words:
        raise DataError(f"{path} has no words: give a text file with one word a line.")
    return Phrases.of(sorted(words))


@dataclass(frozen=True)
class BadWords(MeasuredRule):
    """Drops texts with a word or phrase of a list; case does not count. In languages without blanks between words a phrase
    counts anywhere, else only where no letter, number or `_` is next to it."""

    name: ClassVar[str] = "badwords"

    list: str = option("", "A text file with one word or phrase a line, UTF-8.", metavar="FILE")
    max_found: int = option(0, "Occurrences that a text has at most (C4: 0).", least=0)
    anywhere: tuple[str, ...] = option(
        ("ja", "th", "zh"), "Languages in which a phrase counts inside words, too (C4: ja, th, zh).", metavar="LANGUAGE"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.list:
            raise UsageError("filter rule badwords has no list: write badwords:FILE, one word a line.")
        if not Path(self.list).is_file():
            raise UsageError(
                f"filter rule badwords: {self.list} does not exist: give a text file with one word a line."
            )

    def files(self) -> Mapping[str, Path]:
        return {"list": Path(self.list)}

    def prepare(self) -> None:
        _phrases(Path(self.list))

    def measures(self, batch: DocumentBatch) -> Sequence[Measure]:
        lower = pa.array([text.lower() for text in batch.texts()], pa.large_string())
        inside: Any = pc.is_in(batch.column("language"), pa.array(self.anywhere, pa.string()))
        whole = ~np.asarray(inside.to_numpy(zero_copy_only=False), dtype=np.bool_)
        found = _phrases(Path(self.list)).in_texts(lower, whole)
        return (Measure("found", found, None, self.max_found, "bad words"),)
