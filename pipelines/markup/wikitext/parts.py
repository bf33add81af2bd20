"""Wikitext with parameters and calls as a tree: the definition of a template, taken apart once."""

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"\{{2,}|\}{2,}|\[\[|\]\]|\|")
_SEPARATOR = re.compile(r"\[\[|\]\]|\|")


@dataclass(frozen=True, slots=True)
class Parameter:
    """`{{{name|default}}}`; without a default it shows nothing."""

    name: "Text"
    default: "Text"


@dataclass(frozen=True, slots=True)
class Call:
    """`{{name|argument|…}}`: a template or a parser function."""

    parts: tuple["Text", ...]


Text = tuple[str | Parameter | Call, ...]


def split_arguments(source: str) -> list[str]:
    """The arguments of a template, not cut at a `|` within a link."""
    if "[[" not in source:
        return source.split("|")
    pieces: list[str] = []
    start = depth = 0
    for match in _SEPARATOR.finditer(source):
        if match[0] != "|":
            depth = max(0, depth + (1 if match[0] == "[[" else -1))
        elif depth == 0:
            pieces.append(source[start : match.start()])
            start = match.end()
    return [*pieces, source[start:]]


@dataclass(slots=True)
class _Open:
    """An open run of braces: how many are left, its finished parts, the one in work, links open in it."""

    braces: int
    parts: list[Text]
    current: list[str | Parameter | Call]
    links: int = 0


def parse(source: str) -> Text:
    """The tree of a text; braces that pair with nothing are text."""
    stack = [_Open(0, [], [])]
    last = 0
    for match in _TOKEN.finditer(source):
        begin, end = match.span()
        top = stack[-1]
        if begin > last:
            top.current.append(source[last:begin])
        last = end
        token = match[0]
        if token[0] == "{":
            stack.append(_Open(end - begin, [], []))
        elif token[0] == "}":
            _close(stack, end - begin)
        elif token == "|" and len(stack) > 1 and not top.links:
            top.parts.append(tuple(top.current))
            top.current = []
        else:
            top.links = max(0, top.links + {"[[": 1, "]]": -1, "|": 0}[token])
            top.current.append(token)
    stack[-1].current.append(source[last:])
    while len(stack) > 1:
        _give_up(stack)
    return tuple(stack[0].current)


def _close(stack: list[_Open], count: int) -> None:
    while len(stack) > 1 and count >= 2:
        top = stack.pop()
        used = 3 if top.braces >= 3 and count >= 3 else 2
        count -= used
        parts = (*top.parts, tuple(top.current))
        node: Parameter | Call
        if used == 3:
            node = Parameter(parts[0], parts[1] if len(parts) > 1 else ())
        else:
            node = Call(parts)
        left = top.braces - used
        if left >= 2:
            stack.append(_Open(left, [], [node]))
        else:
            stack[-1].current += ["{" * left, node] if left else [node]
    if count:
        stack[-1].current.append("}" * count)


def _give_up(stack: list[_Open]) -> None:
    """Puts an unclosed run back as text."""
    top = stack.pop()
    around = stack[-1].current
    around.append("{" * top.braces)
    for part in top.parts:
        around += [*part, "|"]
    around += top.current
