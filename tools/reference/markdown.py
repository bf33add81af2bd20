"""Pieces of Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence


def plain(text: str) -> str:
    """Text as one line in which only spans of code are Markdown."""
    parts = " ".join(text.split()).split("`")
    outside = [part.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_") for part in parts[::2]]
    parts[::2] = outside
    return "`".join(parts)


def cell(text: str) -> str:
    """Text for a cell of a table."""
    return plain(text).replace("|", "\\|")


def code(text: str) -> str:
    """A span of code for a cell of a table; empty for an empty text."""
    return f"`{' '.join(text.split())}`".replace("|", "\\|") if text else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table, with an empty one before and after; none where there are no rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return ["", f"| {' | '.join(head)} |", "|" + "---|" * len(head), *lines, ""] if lines else []


def paragraphs(text: str) -> list[str]:
    """A docstring or help text as paragraphs without their indentation; lines that click is told to keep are code."""
    lines: list[str] = []
    for part in text.split("\n\n"):
        if part.strip().startswith("\b"):
            first, *rest = part.strip().removeprefix("\b").strip("\n").splitlines()
            lines += ["", plain(first), "", "```sh", *textwrap.dedent("\n".join(rest)).splitlines(), "```"]
        elif part.strip():
            lines += ["", plain(part)]
    return lines
