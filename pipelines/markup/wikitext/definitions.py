"""What templates are in their own wiki: definitions from the dump, expanded where they are plain text around arguments."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol

from pipelines.markup.wikitext.functions import call_function
from pipelines.markup.wikitext.known import known
from pipelines.markup.wikitext.names import TEMPLATE_SPACES
from pipelines.markup.wikitext.parts import Call, Parameter, Text, parse

MAX_NESTED = 40  # calls and parameters within each other
CALL_COST = 20  # of a page's budget, in characters
MAX_LITERAL = 100  # characters of its own that a template may add: one that says more is a notice
MAX_DEFINITION = 20_000  # characters
_TAG = re.compile(r"<[^<>]*>")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.S)
_NOINCLUDE = re.compile(r"<noinclude\s*>.*?(?:</noinclude\s*>|\Z)|<noinclude\s*/>", re.S | re.I)
_ONLYINCLUDE = re.compile(r"<onlyinclude\s*>(.*?)(?:</onlyinclude\s*>|\Z)", re.S | re.I)
_INCLUDE_TAGS = re.compile(r"</?(?:includeonly|noinclude|onlyinclude)\s*/?>", re.I)
_BOX = re.compile(
    r"\{\||<(?:div|table|references|gallery|center|h[1-6])\b|^[:*=]|__\w+__|#tag:|"
    r"class\s*=\s*[\"'][^\"'>]*\b(?:noprint|metadata|hatnote|navbox|error|dablink)\b",
    re.I | re.M,
)
_SHOWN = re.compile(r"\w")


class NotPlain(Exception):
    """A template cannot be expanded: its definition is a program, a box, too large, or not in the dump."""


class Definitions(Protocol):
    """The definitions of one wiki."""

    def get(self, key: str) -> str | None:
        """The body of a template by its key, redirects followed; None if it is not there."""
        ...


class Frame(Protocol):
    """What the expansion asks of its page."""

    title: str
    definitions: Definitions | None

    def spend(self, amount: int) -> None:
        """Raises NotPlain when the page has had too much."""
        ...


def template_key(name: str) -> str:
    """The key of a template by its name as written: blanks for underscores, a capital first, no namespace."""
    name = " ".join(name.replace("_", " ").split())
    prefix, colon, rest = name.partition(":")
    if colon and prefix.strip().lower() in TEMPLATE_SPACES:
        name = rest.strip()
    return name[:1].upper() + name[1:]


def definition(source: str) -> str | None:
    """The body that a template page gives to its callers; None where it is no phrase but a box, or too large."""
    if len(source) > 20 * MAX_DEFINITION:
        return None
    body = _COMMENT.sub("", source)
    parts = _ONLYINCLUDE.findall(body)
    body = "".join(parts) if parts else _INCLUDE_TAGS.sub("", _NOINCLUDE.sub("", body))
    body = body.strip("\n")
    if not body or len(body) > MAX_DEFINITION or _BOX.search(body):
        return None
    if "{{{" not in body and len(_SHOWN.findall(_TAG.sub("", body))) > MAX_LITERAL:
        return None
    return body


@lru_cache(4096)
def _parsed(body: str) -> Text:
    return parse(body)


def evaluate(call: Call, frame: Frame, arguments: Mapping[str, str], depth: int) -> str:
    """The text of a call within a template that was given `arguments`; NotPlain if it cannot be told.

    `depth` counts what the call is nested in; the calls of a page itself have 0.
    """
    if depth > MAX_NESTED:
        raise NotPlain
    frame.spend(CALL_COST)
    inside = _Inside(frame, arguments, depth + 1)
    name = inside.text(call.parts[0])
    shown = call_function(name, [partial(inside.text, nodes) for nodes in call.parts[1:]], frame.title)
    if shown is None:
        shown = _template(template_key(name), call.parts[1:], inside)
    frame.spend(len(shown))
    return shown


def _template(key: str, parts: tuple[Text, ...], inside: "_Inside") -> str:
    frame = inside.frame
    body = frame.definitions.get(key) if frame.definitions else None
    if body is None:
        shower = known(key.lower()) if inside.depth > 1 else None
        if shower is None:
            raise NotPlain
        return shower([inside.text(nodes) for nodes in parts])
    given: dict[str, str] = {}
    place = 0
    for nodes in parts:
        at = next((index for index, node in enumerate(nodes) if isinstance(node, str) and "=" in node), None)
        if at is None:
            place += 1
            given[str(place)] = inside.text(nodes)
        else:  # named by a `=` of its own, not by one that its calls show
            before, _, after = str(nodes[at]).partition("=")
            label = inside.text((*nodes[:at], before)).strip()
            given[label] = inside.text((after, *nodes[at + 1 :])).strip()
    tree = _parsed(body)
    if sum(len(_TAG.sub("", node)) for node in tree if isinstance(node, str)) > MAX_LITERAL:
        raise NotPlain
    return _Inside(frame, given, inside.depth).text(tree)


@dataclass(frozen=True, slots=True)
class _Inside:
    """Where a text is expanded: within a call of this depth whose template was given these arguments."""

    frame: Frame
    arguments: Mapping[str, str]
    depth: int

    def text(self, nodes: Text) -> str:
        pieces: list[str] = []
        for node in nodes:
            if isinstance(node, str):
                pieces.append(node)
            elif isinstance(node, Call):
                pieces.append(evaluate(node, self.frame, self.arguments, self.depth))
            else:
                pieces.append(self.parameter(node))
        return "".join(pieces)

    def parameter(self, node: Parameter) -> str:
        if self.depth > MAX_NESTED:
            raise NotPlain
        within = _Inside(self.frame, self.arguments, self.depth + 1)
        value = self.arguments.get(within.text(node.name).strip())
        if value is None:
            return within.text(node.default)
        self.frame.spend(len(value))
        return value
