"""SPDX expressions, classifiers of packages and the free phrases that stand in their places.

`A OR B`, `A/B` and `A or B` are a choice; `AND`, `,`, `;` and `&` ask for both; an exception (`WITH`) only adds rights.
"""

from __future__ import annotations

import re

from pipelines.markup.licences.licences import UNKNOWN, canonical, choice_of
from pipelines.markup.licences.phrases import licences_of_phrase, words_of

_LATER = re.compile(r"\s+or (any )?(later|newer)( versions?)?|,(?=\s*v(ersion)?\.?\s*\d)", re.IGNORECASE)
_TOKEN = re.compile(r"\s*(\(|\)|[/|,;&]+|\b(?:or|and|with)\b(?![-.]))\s*", re.IGNORECASE)
_MOST_ENTRIES = 16
_PLAIN = frozenset(
    "0bsd afl-3.0 artistic-2.0 blueoak-1.0.0 bsd bsl-1.0 cc0-1.0 cc-by-3.0 cc-by-4.0 cc-by-sa-4.0 cddl-1.0 ecl-2.0 epl-1.0 epl-2.0 isc"
    " mit-0 mulanpsl-2.0 ncsa ofl-1.1 postgresql psf-2.0 python-2.0 unicode-3.0 unlicense unlicensed upl-1.0 w3c wtfpl x11 zlib zpl-2.1".split()
)
"""Identifiers that no phrase tells, or not as exactly."""


def licences_of_expression(expression: str) -> set[str]:
    """The entries of which all hold; empty for an expression without any name."""
    tokens = [token.strip() for token in _TOKEN.split(_LATER.sub("", expression.strip()))]
    tokens = [token for token in tokens if token]
    if len(tokens) > 2 * _MOST_ENTRIES:
        return {UNKNOWN}
    found, _ = _any(tokens, 0)
    return found


def _any(tokens: list[str], start: int) -> tuple[set[str], int]:
    """A choice between conjunctions, as entries that all hold: (A AND B) OR C is (A OR C) AND (B OR C)."""
    found, place = _all(tokens, start)
    while place < len(tokens) and tokens[place] != ")":
        if not _is_choice(tokens[place]):  # a name after ")", which has no operator
            place += 1
            continue
        other, place = _all(tokens, place + 1)
        found = {choice_of((one, two)) for one in found for two in other} if found and other else found | other
        if len(found) > _MOST_ENTRIES:
            return {UNKNOWN}, len(tokens)
    return found, place


def _all(tokens: list[str], start: int) -> tuple[set[str], int]:
    found: set[str] = set()
    place = start
    while place < len(tokens) and tokens[place] != ")" and not _is_choice(tokens[place]):
        token = tokens[place].lower()
        place += 1
        if token == "(":
            inner, place = _any(tokens, place)
            found |= inner
            place += 1
        elif token == "with":
            place += 1  # the exception
        elif token != "and" and token.strip(",;&"):
            found |= _named(token)
    return found, place


def _is_choice(token: str) -> bool:
    return token.lower() == "or" or not token.strip("/|")


def _named(token: str) -> set[str]:
    plain = canonical(token)
    if plain in _PLAIN:
        return {plain}
    words = words_of(token).removeprefix("osi approved ")
    if not words or words in ("osi approved", "licensed under", "the", "license", "licence"):
        return set()
    return licences_of_phrase(words) or {
        "public-domain" if words == "public domain" else "bsd" if words.startswith("bsd") else UNKNOWN
    }
