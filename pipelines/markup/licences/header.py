"""Licence and copyright comments at the head of source files, which say the same in a million files.

Only comments before the first line of code are looked at, and of those only the paragraphs that speak of licence or
copyright go. Shebang, coding, preprocessor and heading lines and all other comments stay.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Style:
    """How a language writes comments: prefixes of whole lines, and pairs around blocks."""

    lines: tuple[str, ...] = ()
    blocks: tuple[tuple[str, str], ...] = ()


_C = _Style(("//",), (("/*", "*/"),))
_HASH = _Style(("#",))
# fmt: off
_C_LIKE = (
    ".c", ".h", ".cs", ".cpp", ".hpp", ".c++", ".h++", ".cc", ".hh", ".css", ".go", ".java", ".js", ".ts", ".tsx",
    ".rs", ".scala", ".php", ".php3", ".php4", ".php5", ".phps",
)
_SCRIPTS = (
    ".py", ".rb", ".sh", ".bash", ".zsh", ".command", ".pl", ".pm", ".perl", ".jl", ".cmake", ".dockerfile",
    "dockerfile", "makefile",
)
# fmt: on
_STYLES: dict[str, _Style] = {
    **dict.fromkeys(_C_LIKE, _C),
    **dict.fromkeys(_SCRIPTS, _HASH),
    **dict.fromkeys((".ps1", ".psd1", ".psm1"), _Style(("#",), (("<#", "#>"),))),
    ".phpt": _C,
    ".smali": _HASH,
    ".sql": _Style(("--",), (("/*", "*/"),)),
    ".hs": _Style(("--",), (("{-", "-}"),)),
    ".lua": _Style(("--",), (("--[[", "]]"),)),
    ".asm": _Style((";",)),
    ".tex": _Style(("%",)),
    ".m": _Style(("%", "//"), (("/*", "*/"),)),
    ".vb": _Style(("'",)),
    **dict.fromkeys((".f90", ".f03", ".f08", ".f95"), _Style(("!",))),
    **dict.fromkeys((".bat", ".cmd"), _Style(("::", "rem ", "REM ", "Rem "))),
    **dict.fromkeys((".html", ".xml", ".md", ".markdown"), _Style((), (("<!--", "-->"),))),
}

_KEPT = re.compile(
    r"\s*(#!|<\?|<!doctype|@echo|['\"]use strict|\#.*coding[:=]|(\#|//|/\*|;|%)\s*-\*-|(\#|//|%)\s*(vim?|ex):|%\s*!tex"
    r"|//\s*\+build|//go:|\#\s*(syntax|escape)=|\#\s*frozen_string_literal)",
    re.IGNORECASE,
)
_GRANT = re.compile(
    r"(begin|end|start) licen[cs]e|licen[cs]ed (to|under)|under the (terms|\w+ licen[cs]e)|all rights reserved|permission is hereby granted|redistribution and use"
    r"|without warrant|\bwarrant(y|ies)\b|general public licen|apache licen|\b(mit|bsd)([- ]style)? licen|\bbsd\b.*\blicen"
    r"|free software foundation|free software|licen[cs]e file|\bcopying file|licensor|@licen[cs]e|provided .as is|see (the )?(accompanying )?"
    r"(file )?(licen[cs]e|copying)|public domain|distribut(ed|ion)\b.*licen|licen[cs]e[:.]?$|governed by",
    re.IGNORECASE,
)
_COPYRIGHT = re.compile(
    r"copyright|\(c\) ?\d{4}|©|spdx-(licen[cs]e|file)|@preserve\b|^[-\s*]*licen[cs]e: ", re.IGNORECASE
)
_ORNAMENT = " \t*/#-=+_~!;:%<>{}[]|.'\r\n"


def strip_licence_header(text: str, extension: str) -> str:
    """The text without its leading licence and copyright comments; `extension` ('.py', 'makefile') tells the language."""
    style = _STYLES.get(extension.lower())
    if style is None:
        return text
    lines = text.splitlines(keepends=True) if "\r" in text and "\n" not in text else _lines(text)
    kept: list[str] = []
    position = 0
    changed = False
    while position < len(lines):
        line = lines[position]
        if not line.strip() or _KEPT.match(line.lstrip("\ufeff")):
            kept.append(line)
            position += 1
            continue
        end = _comment_end(lines, position, style)
        if end == position:
            break
        block = lines[position:end]
        left = _without_licence(block, style)
        position = end
        if left != block:
            changed = True
            while not left and position < len(lines) and not lines[position].strip():
                position += 1
        kept += left
    return "".join(kept + lines[position:]) if changed else text


def _lines(text: str) -> list[str]:
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _comment_end(lines: list[str], start: int, style: _Style) -> int:
    """The line after the comment that begins at `start`, which is `start` if none does or code follows on its last line."""
    first = lines[start].lstrip("\ufeff \t")
    for opener, closer in style.blocks:
        if first.startswith(opener):
            for number in range(start, len(lines)):
                line = lines[number] if number > start else first[len(opener) :]
                if closer in line:
                    return number + 1 if not line.partition(closer)[2].strip() else start
            return start
    end = start
    while end < len(lines) and _is_line_comment(lines[end], style):
        end += 1
    return end


def _is_line_comment(line: str, style: _Style) -> bool:
    line = line.lstrip()
    return line.startswith(style.lines) and not _KEPT.match(line) if style.lines else False


def _without_licence(block: list[str], style: _Style) -> list[str]:
    """The lines of a comment without those from the first to the last that speak of its licence, and what belongs to them."""
    plain = [line.strip(_ORNAMENT) for line in block]
    marked = [number for number, line in enumerate(plain) if _GRANT.search(line) or _COPYRIGHT.search(line)]
    if not marked:
        return block
    first, last = marked[0], marked[-1]
    if _GRANT.search(plain[last]):  # its sentence goes on to the end of the paragraph
        while last + 1 < len(block) and plain[last + 1]:
            last += 1
    rest = plain[:first] + plain[last + 1 :]
    if not any(rest):
        return []
    left = block[:first] + block[last + 1 :]
    for opener, closer in style.blocks:
        if block[0].lstrip("\ufeff \t").startswith(opener):
            if first == 0:
                indent = block[0][: len(block[0]) - len(block[0].lstrip())]
                left.insert(0, f"{indent}{opener}\n")
            if last == len(block) - 1:
                left.append(f" {closer}\n" if opener == "/*" else f"{closer}\n")
            return left
    while left and not left[0].strip(_ORNAMENT):
        del left[0]
    return left
