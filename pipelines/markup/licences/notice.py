"""What a source file says of its own licence: SPDX tags anywhere in its comments, and the notice in its first comments."""

from __future__ import annotations

import re

from pipelines.markup.licences.expression import licences_of_expression
from pipelines.markup.licences.header import GRANT, has_word, leading_comments
from pipelines.markup.licences.licences import (
    RESTRICTED,
    SAID,
    UNKNOWN,
    canonical,
    choice_of,
    covered_in_header,
    matches_of_header,
    offers_choice,
    restricts,
)
from pipelines.markup.licences.phrases import licences_of_phrase, licences_of_words, named_licences, words_of

_TAG = re.compile(
    r"^[^\w\n`'\"]{0,16}(?:dnl |rem )?[\"']{0,3}SPDX-License-Identifier:[ \t]*([^\n\r]{1,400})",
    re.MULTILINE | re.IGNORECASE,
)
_TAG_END = re.compile(r"\s*(\*+/|--+>|--\]\]|-\}|#>|\"{3}|'{3}|\*\)|<|\"|').*$")
_WORDS = (
    "licens",
    "licenc",
    "public domain",
    "permission",
    "redistribut",
    "gpl",
    "proprietary",
    "unauthoris",
    "unauthoriz",
    "commercial",
)
_LIKELY = re.compile(
    r"general public|licen[cs]ed? (under|to|is)|redistribut|permission is hereby|permission to use|mozilla public|apache licen",
    re.IGNORECASE,
)
_LIKELY_WORDS = ("general public", "licens", "licenc", "redistribut", "permission", "mozilla public")
"""Of which `_LIKELY` needs one."""
_LINK = re.compile(r"\W*https?://\S+\W*$")
_WITH_DOCSTRINGS = frozenset(("Python", "Cython", "Starlark"))
_DOCSTRING = re.compile(r"""(?:[ \t]*(?:\#[^\n]*)?\n)*[rRuU]?(\"{3}|'{3})(.*?)\1""", re.DOTALL)
_HEAD = 8_192
_LABEL = re.compile(r"^\W*@?licen[cs]e(?::|(?<=@licen[cs]e)[ \t])[ \t:]*([^\n]{1,400})", re.MULTILINE | re.IGNORECASE)
_ASSIGNED = re.compile(r"^__licen[cs]e__[ \t]*=[ \t]*[\"']([^\"'\n]{1,400})", re.MULTILINE | re.IGNORECASE)
_OWN = re.compile(r"\W*(proprietary|commercial|confidential|all rights reserved)\b", re.IGNORECASE)
_PARAGRAPH = re.compile(r"\n\s*\n")


def licences_of_notice(text: str, language: str) -> frozenset[str]:
    """The licences that a file states for itself; empty where it leaves that to its repository; `language` as
    GitHub calls it. The tag decides where there is one, and several of them hold at once."""
    if "SPDX" in text or "spdx" in text:
        tags = [_TAG_END.sub("", match[1]) for match in _TAG.finditer(text)]
        if tagged := {licence for tag in tags for licence in licences_of_expression(tag)}:
            return frozenset(tagged)
    comments = leading_comments(text, language)
    if language in _WITH_DOCSTRINGS and (docstring := _DOCSTRING.match(text[:_HEAD])):
        comments += "\n\n" + docstring[2]
    labelled = _labelled(text, comments, language)
    if not has_word(comments, _WORDS):
        return labelled or _whole_notices(text[:_HEAD])
    found, rest = covered_in_header(comments)
    found |= labelled
    granting = [words_of(part) for part in _PARAGRAPH.split(rest) if GRANT.search(" ".join(part.split()))]
    for words in granting:
        found = _with(found, words)
    if found and any(restricts(words) for words in granting):
        found.add(RESTRICTED)
    return frozenset(found) or _whole_notices(text[:_HEAD])


def _with(found: set[str], words: str) -> set[str]:
    """`found` and what a paragraph grants; where that is a choice, texts and links of its sides ask for no more."""
    granted = licences_of_words(words)
    if not offers_choice(words):
        return found | granted
    granted |= named_licences(words)
    if len(granted) < 2 or granted & SAID:
        return found | granted
    apart = {name for name in found if not any(name == side or name.startswith(f"{side}-") for side in granted)}
    return apart | {choice_of(granted)}


def _labelled(text: str, comments: str, language: str) -> frozenset[str]:
    """The licences that stand after `License:` or `@license` in comments, or that a module of Python assigns."""
    values = [match[1] for match in _LABEL.finditer(comments)]
    if language in _WITH_DOCSTRINGS and has_word(text, ("__licen",)):
        values += [match[1] for match in _ASSIGNED.finditer(text)]
    return frozenset(licence for value in values for licence in _licences_of_value(value))


def _licences_of_value(value: str) -> set[str]:
    """By the grammar of expressions, else by phrases: what is neither, as `see LICENSE`, says nothing."""
    if _OWN.match(value):
        return {"proprietary"}
    found = licences_of_expression(value.strip(" \t\r.*/"))
    known = not any(UNKNOWN in entry.split(" OR ") for entry in found)
    return found if known else licences_of_phrase(words_of(value))


def _whole_notices(text: str) -> frozenset[str]:
    """The licences whose whole notices or texts stand in `text`, after lines of code, too; a link alone is none."""
    if not (has_word(text, _LIKELY_WORDS) and _LIKELY.search(text)):
        return frozenset()
    return frozenset(
        canonical(name) for name, start, end in matches_of_header(text) if not _LINK.match(text, start, end)
    )
