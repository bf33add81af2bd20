"""The rows of StackExchange's tables: one XML element each, its attributes decoded, in bounded memory and past damage."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import types

from corpus.kernel import kernel
from pipelines.formats.xml import legal_xml

ROW = re.compile(rb"<row\s")
ROW_BYTES = 16 << 20  # no post is longer; a longer "row" is a damaged one
SHAPE = re.compile(rb"<row(?:\s+[\w.:-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*\s*/?>")
AROUND = re.compile(rb"^\xef\xbb\xbf|<\?xml[^>]*\?>|<!DOCTYPE[^>]*>|<!--.*?-->|</?posts\s*/?>|</row\s*>", re.S)
SPECIAL = bytes(range(32)) + b"<"  # what a parser would have to look at
NO_CHARACTERS = ("\ufffe".encode(), "\uffff".encode())
_NAMES = """Id PostTypeId ParentId AcceptedAnswerId CreationDate DeletionDate Score ViewCount Body OwnerUserId OwnerDisplayName
LastEditorUserId LastEditorDisplayName LastEditDate LastActivityDate Title Tags AnswerCount CommentCount FavoriteCount ClosedDate
CommunityOwnedDate ContentLicense PostId Text UserDisplayName UserId RelatedPostId LinkTypeId TagName Count ExcerptPostId WikiPostId
IsModeratorOnly IsRequired Reputation DisplayName LastAccessDate WebsiteUrl Location AboutMe Views UpVotes DownVotes
ProfileImageUrl AccountId"""
NAMES = {f" {name}=".encode(): name for name in _NAMES.split()}
"""The attributes of all tables of the dump, as they stand before their values."""
_MEANT = {"lt": "<", "gt": ">", "quot": '"', "amp": "&", "#xA": "\n", "#xD": "\r", "apos": "'", "#39": "'", "#x9": "\t"}
REFERENCES = np.array([[len(name) + 1, *f"{name};".encode().ljust(5)] for name in _MEANT], dtype=np.uint8)
"""uint8[references, 6]: the size of what follows the ampersand, and its bytes."""
MEANT = np.array([ord(character) for character in _MEANT.values()], dtype=np.uint8)
_IN = types.Array(types.uint8, 1, "C", readonly=True)
_TABLE = types.Array(types.uint8, 2, "C", readonly=True)


def attributes_of(data: bytes) -> Mapping[str, str] | None:
    """The attributes of one row element, or None if it is not well-formed."""
    return _plain(data) or _parsed(data)


def integer(text: str | None) -> int | None:
    """A decimal number; None for anything else."""
    if text is None or not text.isascii():
        return None
    digits = text.removeprefix("-")
    return int(text) if digits.isdigit() and len(digits) <= 18 else None


def _plain(data: bytes) -> Mapping[str, str] | None:
    """The attributes as dumps write them: on one line, a blank before each, in double quotes, of known names; None where
    XML's rules have more to say."""
    if not data.endswith(b"/>") or len(data.translate(None, SPECIAL)) != len(data) - 1:
        return None
    if not data.isascii() and any(character in data for character in NO_CHARACTERS):
        return None
    parts = data[4:-2].split(b'"')
    if parts.pop().strip(b" "):
        return None
    try:
        values = [_decoded(value) if b"&" in value else value.decode("utf-8") for value in parts[1::2]]
        found = dict(zip(map(NAMES.__getitem__, parts[::2]), values, strict=True))
    except (KeyError, ValueError):  # another name, or a value that is left to the parser
        return None
    return found if 2 * len(found) == len(parts) else None


def _decoded(value: bytes) -> str:
    """A value without its references. Raises ValueError if it has others than those that dumps write, or is no UTF-8."""
    out = np.empty(len(value), dtype=np.uint8)
    size = _dereference(np.frombuffer(value, dtype=np.uint8), out, REFERENCES, MEANT)
    if size < 0:
        raise ValueError("a reference that dumps do not write")
    return out[:size].tobytes().decode("utf-8")


@kernel(types.int64(_IN, types.uint8[::1], _TABLE, _IN))
def _dereference(value: Any, out: Any, references: Any, meant: Any) -> Any:
    """Write a value with its references as the characters that they mean; how many bytes they are, or -1 where one is
    unknown."""
    at = written = 0
    while at < value.size:
        byte = value[at]
        at += 1
        if byte == 38:
            row = 0
            while row < references.shape[0]:
                size = references[row, 0]
                same = at + size <= value.size
                for place in range(size if same else 0):
                    same = same and value[at + place] == references[row, place + 1]
                if same:
                    break
                row += 1
            if row == references.shape[0]:
                return -1
            byte = meant[row]
            at += size
        out[written] = byte
        written += 1
    return written


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
