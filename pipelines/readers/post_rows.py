"""The rows of StackExchange's tables: one XML element each, its attributes decoded, in bounded memory and past damage."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping

from pipelines.formats.xml import legal_xml

ROW = re.compile(rb"<row\s")
ROW_BYTES = 16 << 20  # no post is longer; a longer "row" is a damaged one
SHAPE = re.compile(rb"<row(?:\s+[\w.:-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*\s*/?>")
AROUND = re.compile(rb"^\xef\xbb\xbf|<\?xml[^>]*\?>|<!DOCTYPE[^>]*>|<!--.*?-->|</?posts\s*/?>|</row\s*>", re.S)
SPECIAL = bytes(range(32)) + b"<"  # what a parser would have to look at
NO_CHARACTERS = ("\ufffe", "\uffff")
ATTRIBUTE = re.compile(r"\s([\w.:-]+)=\"([^\"]*)\"")


def attributes_of(data: bytes) -> Mapping[str, str] | None:
    """The attributes of one row element, or None if it is not well-formed."""
    return _plain(data) or _parsed(data)


def integer(text: str | None) -> int | None:
    """A decimal number; None for anything else."""
    return int(text) if text is not None and re.fullmatch(r"-?[0-9]{1,18}", text) else None


def _plain(data: bytes) -> Mapping[str, str] | None:
    """The attributes as dumps write them: on one line, in double quotes; None where XML's rules have more to say."""
    if not data.endswith(b"/>") or len(data.translate(None, SPECIAL)) != len(data) - 1:
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if not text.isascii() and any(character in text for character in NO_CHARACTERS):
        return None
    pairs = ATTRIBUTE.findall(text)
    # as many bytes as the pairs have, with quotes, equals signs and blanks between them: so nothing was passed over
    if sum(len(name) + len(value) + 4 for name, value in pairs) != len(text[4:-2].rstrip(" ")):
        return None
    found = {}
    for name, value in pairs:
        decoded = _decoded(value) if "&" in value else value
        if decoded is None or name in found:
            return None
        found[name] = decoded
    return found


def _decoded(value: str) -> str | None:
    """A value without its references; None if it has others than those that dumps write."""
    value = value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&#xA;", "\n")
    value = value.replace("&#xD;", "\r").replace("&apos;", "'").replace("&#39;", "'").replace("&#x9;", "\t")
    return None if value.count("&") != value.count("&amp;") else value.replace("&amp;", "&")


def _parsed(data: bytes) -> Mapping[str, str] | None:
    if not data.endswith(b"/>"):
        data += b"</row>"
    try:
        return ElementTree.fromstring(data).attrib
    except (ElementTree.ParseError, ValueError):
        pass
    try:
        return ElementTree.fromstring(legal_xml(data)).attrib  # dumps hold a few characters that XML forbids
    except (ElementTree.ParseError, ValueError):
        return None
