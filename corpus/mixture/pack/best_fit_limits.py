"""What best-fit packing can take, known before its kernels load."""

from __future__ import annotations

from corpus.errors import UsageError

WINDOW_DOCUMENTS = 1 << 16
MOST_TOKENS = (1 << 24) - 1
"""Longest row: the rows of a window are looked up by their room, in 12 bytes per token of a row."""


def check_width(width: int) -> None:
    """Raise `UsageError` for rows that are too long."""
    if width > MOST_TOKENS:
        raise UsageError(
            f"--packing best-fit makes rows of at most {MOST_TOKENS:,} tokens, not {width:,}: give a smaller "
            "--sequence-length, or --packing concatenate."
        )


def most_rows(tokens: int, passes: int, documents: int, width: int) -> int:
    """More rows than `tokens` in passes over `documents` ever take, to plan tasks before the lengths are known."""
    return 2 * (tokens // width + 1) + passes * -(-documents // WINDOW_DOCUMENTS)
