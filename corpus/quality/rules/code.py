"""RedPajama v1's thresholds for source code (after LLaMA, arXiv 2302.13971, section 2.1: line length and the share of
alphanumeric characters). Its fifth rule, alphabetic characters per token, needs a tokenizer and is not part of this."""

from __future__ import annotations

from corpus.quality.rules.rule import Rule, TextView

MOST_LINE = 1000
MOST_MEAN_LINE = 100
LEAST_ALPHANUMERIC = 0.25
_ASCII_ALPHANUMERIC = bytes(code for code in range(128) if chr(code).isalnum())


def alphanumeric(text: str) -> int:
    """The number of alphanumeric characters (`str.isalnum`)."""
    if text.isascii():
        data = text.encode("ascii")
        return len(data) - len(data.translate(None, _ASCII_ALPHANUMERIC))
    return sum(map(str.isalnum, text))


def check_code(view: TextView) -> str | None:
    """Drops files with a line over 1000 characters, lines over 100 on average (characters / lines), or less than a
    quarter of alphanumeric characters; and empty ones."""
    text = view.text
    if not text:
        return "empty"
    if max(map(len, text.split("\n"))) > MOST_LINE:
        return "long line"
    lines = text.count("\n") + (not text.endswith("\n"))
    if len(text) > MOST_MEAN_LINE * lines:
        return "long lines on average"
    return "few alphanumeric characters" if alphanumeric(text) < LEAST_ALPHANUMERIC * len(text) else None


def code() -> Rule:
    """The rule `code`."""
    return Rule("code", check_code)
