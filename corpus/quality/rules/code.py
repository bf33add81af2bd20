"""RedPajama v1's thresholds for source code (after LLaMA, arXiv 2302.13971, section 2.1: line length and the share of
alphanumeric characters). Its fifth rule, alphabetic characters per token, needs a tokenizer and is not part of this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from corpus.option import option
from corpus.quality.rules.rule import Rule, TextView

_ASCII_ALPHANUMERIC = bytes(code for code in range(128) if chr(code).isalnum())


def alphanumeric(text: str) -> int:
    """The number of alphanumeric characters (`str.isalnum`)."""
    if text.isascii():
        data = text.encode("ascii")
        return len(data) - len(data.translate(None, _ASCII_ALPHANUMERIC))
    return sum(map(str.isalnum, text))


@dataclass(frozen=True)
class Code(Rule):
    """Drops files with a long line, with long lines on average, or with few alphanumeric characters; and empty ones."""

    name: ClassVar[str] = "code"

    max_line: int = option(1000, "Characters that the longest line has at most (RedPajama v1: 1000).", least=0)
    max_mean_line: float = option(100, "Characters per line that a file has at most (RedPajama v1: 100).", least=0)
    min_alphanumeric: float = option(
        0.25, "Share of characters that are alphanumeric, at least (RedPajama v1: 0.25).", least=0
    )

    def check(self, view: TextView) -> str | None:
        text = view.text
        if not text:
            return "empty"
        if max(map(len, text.split("\n"))) > self.max_line:
            return "long line"
        lines = text.count("\n") + (not text.endswith("\n"))
        if len(text) > self.max_mean_line * lines:
            return "long lines on average"
        return "few alphanumeric characters" if alphanumeric(text) < self.min_alphanumeric * len(text) else None
