"""Licence and copyright comments at the head of source files, which say the same in a million files.

Only comments before the first line of code are looked at, and of those only lines of licences go: copyright notices, texts
that a licence's template covers, sentences that grant. Shebang, coding, preprocessor and heading lines and all prose stay.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate

from pipelines.markup.licences.licences import matches_of_header


@dataclass(frozen=True, slots=True)
class _Style:
    """How a language writes comments: prefixes of whole lines, and pairs around blocks."""

    lines: tuple[str, ...] = ()
    blocks: tuple[tuple[str, str], ...] = ()


_C = _Style(("//",), (("/*", "*/"),))
_HASH = _Style(("#",))
_PERCENT = _Style(("%",))
_LISP = _Style((";",))
_MARKUP = _Style((), (("<!--", "-->"),))
# fmt: off
_STYLES: dict[str, _Style] = {
    **dict.fromkeys((
        "C", "C++", "C#", "CSS", "Cuda", "D", "Dart", "F#", "GLSL", "Go", "Groovy", "Gradle", "HLSL", "Java", "JavaScript", "Kotlin",
        "Less", "Objective-C", "Objective-C++", "PHP", "Protocol Buffer", "Rust", "SCSS", "Scala", "Solidity", "Stylus", "Swift",
        "SystemVerilog", "TSX", "TypeScript", "Verilog", "Vala", "Zig", "V", "OpenCL", "Metal", "Apex", "QML", "Haxe", "Pawn", "WGSL",
    ), _C),
    **dict.fromkeys((
        "Python", "Ruby", "Shell", "Perl", "Julia", "CMake", "Dockerfile", "Makefile", "fish", "Nushell", "Elixir", "R", "Tcl", "Crystal",
        "Nim", "Raku", "Awk", "Starlark", "Cython", "CoffeeScript", "Smali", "Nix", "GDScript", "Just", "Meson", "sed", "M4Sugar", "Gnuplot",
        "BitBake", "Puppet", "Mojo", "Snakemake",
    ), _HASH),
    "PowerShell": _Style(("#",), (("<#", "#>"),)),
    **dict.fromkeys(("SQL", "PLpgSQL", "PLSQL", "TSQL"), _Style(("--",), (("/*", "*/"),))),
    **dict.fromkeys(("Haskell", "Elm", "PureScript", "Agda", "Idris", "Lean"), _Style(("--",), (("{-", "-}"),))),
    **dict.fromkeys(("Lua", "MoonScript", "Luau"), _Style(("--",), (("--[[", "]]"),))),
    **dict.fromkeys(("Ada", "VHDL"), _Style(("--",))),
    **dict.fromkeys(("Assembly", "Clojure", "Common Lisp", "Emacs Lisp", "Scheme", "Racket", "NewLisp", "LLVM", "NSIS", "AutoHotkey"), _LISP),
    "Unix Assembly": _Style(("#", "//", "@", ";"), (("/*", "*/"),)),
    **dict.fromkeys(("TeX", "Erlang", "Prolog", "PostScript"), _PERCENT),
    "MATLAB": _Style(("%", "//"), (("/*", "*/"),)),
    **dict.fromkeys(("Visual Basic .NET", "VBA", "Visual Basic 6.0", "VBScript"), _Style(("'",))),
    **dict.fromkeys(("Fortran", "Fortran Free Form"), _Style(("!",))),
    **dict.fromkeys(("OCaml", "Standard ML", "Rocq Prover", "Coq", "Pascal"), _Style(("//",), (("(*", "*)"), ("{", "}")))),
    "Batchfile": _Style(("::", "rem ", "REM ", "Rem ")),
    **dict.fromkeys(("HTML", "XML", "Markdown", "SVG", "Vue", "Svelte", "XSLT"), _MARKUP),
    "reStructuredText": _Style(),
}
# fmt: on
"""By the languages' names on GitHub."""

_KEPT = re.compile(
    r"\s*(#!|<\?|<!doctype|@echo|['\"]use strict|\#.*coding[:=]|(\#|//|/\*|;|%)\s*-\*-|(\#|//|%)\s*(vim?|ex):|%\s*!tex"
    r"|//\s*\+build|//go:|\#\s*(syntax|escape)=|\#\s*frozen_string_literal)",
    re.IGNORECASE,
)
GRANT = re.compile(
    r"\b(licen[cs]ed (to|under)|under the (terms|same terms|\w+ licen[cs]e)|(released|distributed|available|provided) under|governed by|subject to the terms"
    r"|permission is hereby granted|permission to use|redistribution and use|(under|in|into|to) the public domain|you can redistribute|unauthori[sz]ed copying"
    r"|see (the )?(accompanying )?(file )?(licen[cs]e|copying)|(begin|end|start) licen[cs]e|proprietary and confidential|confidential and proprietary"
    r"|(for|is) non-?commercial (use|purposes)|[al]?gpl[ -]?v?\d(\.\d)? or (any )?later)",
    re.IGNORECASE,
)
_SPEAKS = re.compile(
    r"\bwarrant(y|ies)\b|general public licen|apache licen|\b(mit|bsd)([- ]style)? licen|\bbsd\b.{0,80}\blicen|free software|licensor|provided .as is"
    r"|licen[cs]e file|\bcopying file|distribut(ed|ion)\b.{0,80}licen|licen[cs]e[:.]?$|all rights reserved|www\.gnu\.org/licenses|apache\.org/licenses",
    re.IGNORECASE,
)
"""What is of a licence only in a comment that grants or claims something."""
COPYRIGHT = re.compile(
    r"^(?i:portions )?(?i:copyright|copr\.?)\s*($|(?i:\(c\)|©|&copy;|[:,]|\d{4}|by\b)|(the )?[A-Z])|(?i:copyright (\(c\)|©|&copy;|\d{4}))"
    r"|(?i:\(c\) ?\d{4}|^(\(c\)|©)|spdx-\w+(-\w+)*:|@preserve\b|@(licen[cs]e|copyright)\b|^licen[cs]e: |^all rights reserved)"
)
_WORDS = (
    *(
        "licens",
        "licenc",
        "copyright",
        "copying",
        "permi",
        "redistribut",
        "warrant",
        "public domain",
        "spdx",
        "@preserve",
    ),
    *("copr", "(c)", "©"),
)
"""Of these every licence has one: nothing else is compared with templates, which takes a millisecond."""
_SENTENCE_END = re.compile(r"[.!?:][\"')\]]*$")
_HEAD = 16_384
_FEW = 1_024
_TEMPLATE_CHARS = 65_536
"""The longest licence has half of it; a comment can have megabytes, and a template takes 3 µs a character."""
_ORNAMENT = " \t*/#-=+_~!;:%<>{}[]|.'\r\n"


def has_word(text: str, words: tuple[str, ...]) -> bool:
    """Whether one of some lower-case words is in the text, whatever its case; a search for alternatives is ten times as slow."""
    lower = text.lower()
    return any(word in lower for word in words)


def strip_licence_header(text: str, language: str) -> tuple[str, str]:
    """The text without the licence lines of its leading comments, and these lines; `language` as GitHub calls it."""
    style = _STYLES.get(language)
    if style is None:
        return text, ""
    lines, comments, rest = _head(text, style)
    if not any(has_word("".join(lines[begin:end]), _WORDS) for begin, end in comments):
        return text, ""
    kept: list[str] = []
    removed: list[str] = []
    position = 0
    for begin, end in comments:
        kept += lines[position:begin]
        block = lines[begin:end]
        left = _without_licence(block, style, removed)
        position = end
        if left != block:
            while not left and position < len(lines) and not lines[position].strip():
                position += 1
        kept += left
    return ("".join([*kept, *lines[position:], rest]), "\n".join(removed)) if removed else (text, "")


def _head(text: str, style: _Style) -> tuple[list[str], list[tuple[int, int]], str]:
    """The first lines of a text, the comments among them before the first line of code, and the text after these lines; the
    lines are all, where comments go on past the first few thousand characters."""
    if few := _few_lines(text, style):
        return few
    if len(text) > _HEAD:
        end = text.rfind("\n", 0, _HEAD) + 1
        lines = _lines(text[:end])
        comments, reached = _leading(lines, style)
        if reached < len(lines):
            return lines, comments, text[end:]
    lines = _lines(text)
    return lines, _leading(lines, style)[0], ""


def _few_lines(text: str, style: _Style) -> tuple[list[str], list[tuple[int, int]], str] | None:
    """As `_head`, where a line of code stands among the very first lines, as in most files; None where that is not sure."""
    end = text.rfind("\n", 0, _FEW) + 1
    lines = _lines(text[:end])
    comments, reached = _leading(lines, style)
    if reached == len(lines):
        return None
    first = lines[reached].lstrip("\ufeff \t")
    # a block of comments may end behind these lines
    return None if any(first.startswith(opener) for opener, _ in style.blocks) else (lines, comments, text[end:])


def leading_comments(text: str, language: str) -> str:
    """The comments before the first line of code, without their marks; the first 64 lines where the language is not known."""
    style = _STYLES.get(language)
    if style is None:
        return "".join(_lines(text[:_HEAD])[:64])
    few = _few_lines(text, style)
    lines = few[0] if few else _lines(text[:_HEAD])
    comments = few[1] if few else _leading(lines, style)[0]
    return "\n\n".join("\n".join(line.strip(_ORNAMENT) for line in lines[begin:end]) for begin, end in comments)


def _leading(lines: list[str], style: _Style) -> tuple[list[tuple[int, int]], int]:
    """Begin and end of each comment before the first line of code, of which no two overlap, and that line."""
    comments: list[tuple[int, int]] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        if not line.strip() or _KEPT.match(line.lstrip("\ufeff")):
            position += 1
            continue
        end = _comment_end(lines, position, style)
        if end == position:
            break
        comments.append((position, end))
        position = end
    return comments, position


def _lines(text: str) -> list[str]:
    if "\r" in text and "\n" not in text:
        return text.splitlines(keepends=True)
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


def _without_licence(block: list[str], style: _Style, removed: list[str]) -> list[str]:
    """The lines of a comment without those of its licence, which are added to `removed` without the comment's marks."""
    plain = [line.strip(_ORNAMENT) for line in block]
    marked = _marked(plain, [bool(_SENTENCE_END.search(line.rstrip(" \t*/#-=>]}\r\n"))) for line in block])
    if not any(marked):
        return block
    removed += [line for line, mark in zip(plain, marked, strict=True) if mark and line]
    if not any(line for line, mark in zip(plain, marked, strict=True) if not mark):
        return []
    left = [line for line, mark in zip(block, marked, strict=True) if not mark]
    for opener, closer in style.blocks:
        if block[0].lstrip("\ufeff \t").startswith(opener):
            if marked[0]:
                indent = block[0][: len(block[0]) - len(block[0].lstrip())]
                left.insert(0, f"{indent}{opener}\n")
            if marked[-1]:
                left.append(f" {closer}\n" if opener == "/*" else f"{closer}\n")
            return left
    while left and not left[0].strip(_ORNAMENT):
        del left[0]
    return left


def _marked(plain: list[str], ended: list[bool]) -> list[bool]:
    """Which lines of a comment are of a licence; `ended` are those with which a sentence ends."""
    covered = _in_templates(plain)
    claims = any(covered) or any(GRANT.search(line) or COPYRIGHT.search(line) for line in plain)
    grants = [
        claims and not mark and bool(GRANT.search(line) or _SPEAKS.search(line))
        for line, mark in zip(plain, covered, strict=True)
    ]
    marked = [
        mark or grant or bool(COPYRIGHT.search(line)) for mark, grant, line in zip(covered, grants, plain, strict=True)
    ]
    for number in (index for index, grant in enumerate(grants) if grant):
        before = number
        while (
            before
            and plain[before][:1].islower()
            and plain[before - 1]
            and not (marked[before - 1] or ended[before - 1])
        ):
            before -= 1  # its sentence began above
            marked[before] = True
        after = number + 1
        while after < len(plain) and plain[after] and not (grants[after] or ended[after - 1]):
            marked[after] = True  # and goes on below
            after += 1
    before_licence = [True] * (len(plain) + 1)  # what comes next is of the licence, or nothing is left
    for number in reversed(range(len(plain))):
        before_licence[number] = marked[number] if plain[number] else before_licence[number + 1]
    prose = False
    for number, line in enumerate(plain):  # a blank line after a licence goes with it, but between two pieces of prose
        if not line and number and marked[number - 1]:
            marked[number] = not prose or before_licence[number]
        prose |= bool(line) and not marked[number]
    return marked


def _in_templates(plain: list[str]) -> list[bool]:
    """Which lines the text of a licence covers."""
    text = "\n".join(plain)[:_TEMPLATE_CHARS]
    inside = [False] * len(plain)
    if not has_word(text, _WORDS):
        return inside
    starts = list(accumulate((len(line) + 1 for line in plain), initial=0))
    for _, begin, end in matches_of_header(text):
        for number in range(bisect_right(starts, begin) - 1, bisect_left(starts, end)):
            inside[number] = bool(plain[number])
    return inside
