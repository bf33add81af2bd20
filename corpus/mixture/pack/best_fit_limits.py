"""What best-fit packing can take, known before its kernels load."""

from __future__ import annotations

from corpus.errors import UsageError

WINDOW_DOCUMENTS = 1 << 16
MOST_TOKENS = (1 << 24) - 1
"""Longest sequence: those of a window are looked up by their room, in 12 bytes per token of a sequence."""


def check_width(width: int) -> None:
    """Raise `UsageError` for sequences that are too long."""
    if width > MOST_TOKENS:
        raise UsageError(
            f"--packing best-fit makes sequences of at most {MOST_TOKENS:,} tokens, not {width:,}: give a smaller "
            "--sequence-length, or --packing concatenate."
        )


def most_rows(tokens: int, epochs: int, documents: int, width: int) -> int:
    """An upper bound on the sequences that `tokens` of `documents` take in `epochs`, to plan tasks before lengths are
    known."""
    return 2 * (tokens // width + 1) + epochs * -(-documents // WINDOW_DOCUMENTS)
