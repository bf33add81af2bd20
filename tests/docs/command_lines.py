"""The command lines that README and the pages of docs/ show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = tuple(path for path in sorted((ROOT / "docs").rglob("*.md")) if path.name != "log.md")
"""All pages but the log, which says what commands were called when it was written."""

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,})(?P<kind>\w*)[^\n]*\n(?P<body>.*?)^ *(?P=fence)$", re.M | re.S)
_SPAN = re.compile(r"(?<!`)(`{1,2})(?!`)(.+?)(?<!`)\1(?!`)", re.S)
_SHELL = frozenset(("", "sh", "bash", "console", "text"))
_PROGRAM = re.compile(
    r"(?:(?:\S*/)?(corpus|trainer)|python3? -m (corpus|trainer)|torchrun .*?-m (corpus|trainer))(?: |$)"
)
_ELLIPSES = frozenset(("…", "...", "[…]"))


@dataclass(frozen=True)
class CommandLine:
    """A command of one of the two programs: `partial` where the text leaves arguments out (`…`, or words of a sentence)."""

    page: Path
    line: int
    program: str
    words: tuple[str, ...]
    partial: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.program} {shlex.join(self.words)}"


def command_lines(page: Path) -> Iterator[CommandLine]:
    """The commands of a page: those of its blocks of shell, and those in the text that begin with a program's name."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        if match["kind"] in _SHELL:
            first = text.count("\n", 0, match.start("body")) + 1
            for number, line in shell_lines(match["body"]):
                yield from _parse(page, first + number, line, in_text=False)
    prose = _FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
    for match in _SPAN.finditer(prose):
        line = " ".join(match[2].split())
        yield from _parse(page, prose.count("\n", 0, match.start()) + 1, line, in_text=True)


def fences(page: Path, kinds: Container[str]) -> list[str]:
    """The blocks of a page in some languages."""
    matches = _FENCE.finditer(page.read_text(encoding="utf-8"))
    return [match["body"] for match in matches if match["kind"] in kinds]


def shell_lines(block: str) -> Iterator[tuple[int, str]]:
    """The logical lines of a block of shell (a backslash joins two), each with the number of its first one, from 0."""
    held, start = "", 0
    for number, line in enumerate(block.splitlines()):
        start = number if not held else start
        held += line.strip().removeprefix("$ ")
        if held.endswith("\\"):
            held = held[:-1]
            continue
        if held:
            yield start, held
        held = ""


def _parse(page: Path, number: int, line: str, in_text: bool) -> Iterator[CommandLine]:
    program = _PROGRAM.match(line)
    if program is None:
        return
    try:
        words = shlex.split(line[program.end() :].split(" # ")[0].split("  #")[0])
    except ValueError as error:
        raise ValueError(f"{page}:{number}: {line}: {error}") from error
    words = words[: words.index("|")] if "|" in words else words
    words = words[: words.index(">")] if ">" in words else words
    shown = tuple(word for word in words if word not in _ELLIPSES)
    partial = in_text or len(shown) < len(words)
    yield CommandLine(page, number, next(filter(None, program.groups())), shown, partial)
