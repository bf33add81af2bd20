"""Which licences a licence file states: by the templates of `licenseclassifier`, and by phrases where none covers the text.

A licence is its SPDX identifier in lower case without -only and -or-later; a choice is one entry, `mit OR unlicense`. All
entries of a set hold at once. What is not recognised is `unknown`; a condition in words that no template covers is
`restricted`: it errs on the side of leaving out.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from functools import lru_cache

from pipelines.markup.licences.phrases import LEGAL, licences_of_words, named_licences, words_of

UNKNOWN, RESTRICTED = "unknown", "restricted"

Match = tuple[str, int, int]
"""An SPDX identifier, and where in a text its licence lies: begin and end in characters."""

_CODE_SUFFIX = re.compile(
    r"\.(py|pyi|pyc|ipynb|js|mjs|ts|tsx|jsx|c|cc|h|hpp|cpp|cs|java|go|rs|rb|php|kt|swift|m|hs|pl|pm|lua|sql|sh|bat|ps1|r"
    r"|scala|jl|vb|css|scss|vue|json|ya?ml|toml|xml|cfg|conf|ini|csv|tsv|lock|po|pot|tmpl|tpl|svg|png|jpe?g|gif|ico|pdf"
    r"|asc|sig|patch|diff|gz|zip)$"
)
_NAME = re.compile(r"^((un)?licen[cs]es?|copying)([-_. ].*)?$|(^|[-_.])licen[cs]es?(\.(txt|md|rst|markdown|html?))?$")
_FOLDER = re.compile(r"^licen[cs]es?$")
_LATER = re.compile(r"(-only|-or-later|\+)$")
_RESTRICTION = re.compile(
    r"\byou may not\b(?! use (this|the|these) files? except in compliance)|\bmay not be used\b(?! to endorse)|\bprohibited\b|\bnot permitted\b"
    r"|\badditional (terms|restrictions|conditions)\b|\bmodified version of (the )?(\w+ ){0,4}licen[cs]e\b|\bwith the following exceptions?\b"
)
_CONDITION = re.compile(
    r"\bmay not\b|\bmust\b|\bshall\b|\bprohibit|\bforbid|\brestrict(ed|ions?)\b|\bnot (be )?(permitted|allowed|granted|used)\b"
    r"|\bprovided that\b|\bexcept (that|for|as)\b|\b(prior|written) (permission|consent)\b|\brequires? (prior |written |that you)|\bonly (for|if|in)\b"
)
_CHOICE = re.compile(
    r"\bchoose (one|any|either|whichever|between)\b|\bwhichever\b|\byour choice\b|\bdual(ly)? licen[cs]ed\b|\beither (under|of)\b"
    r"|\bat your (option|discretion)\b(?! any later)"
)
_HOLDER = re.compile(
    r"^[^\w\n(©]{0,8}(?:copyright[ \t]*(?:\(c\)|©|:)?|\(c\)|©)[ \t]*[12]\d{3}\b"
    r"(?:(?!licen|permi|redistribut|public|terms|rights|gnu|apache|software foundation|\bmit\b|\bbsd\b)[^\n]){0,200}$",
    re.IGNORECASE | re.MULTILINE,
)
"""A line that says nothing but who holds the copyright."""
_MOST_WORDS_OF_A_CHOICE = 120
"""More words outside of licences are lists of parts, of which each has its own."""
_FILE = re.compile(r"\b(?:licen[cs]e|copying)[-._]\w+", re.IGNORECASE)
_REFERENCE = re.compile(
    r"\b(licen[cs]es|terms) (found|contained|listed) in (the )?(files? )?(licen[cs]e|copying)|\bsee (the )?(files? )?(licen[cs]e|copying)"
)
SAID = frozenset((UNKNOWN, RESTRICTED, "commons-clause", "noncommercial", "proprietary"))


def is_licence_file(path: str) -> bool:
    """Whether a '/'-separated path is called like a licence text (LICENSE*, COPYING*, licences/…) and is no code."""
    *folders, name = path.lower().split("/")
    if _CODE_SUFFIX.search(name):
        return False
    return bool(_NAME.search(name)) or (len(folders) > 0 and _FOLDER.match(folders[-1]) is not None)


def licence_scope(path: str) -> str:
    """The folder a licence file holds for: its own, or the one with the `licenses` folder in it."""
    folder = path.rpartition("/")[0]
    parent, _, name = folder.rpartition("/")
    return parent if _FOLDER.match(name.lower()) else folder


def licences_of_text(text: str) -> frozenset[str]:
    """The licences a licence file states: {unknown} if none is recognised, empty if it is no legal text at all."""
    found, rest = covered(text)
    words = words_of(rest)
    whole = bool(found)
    found |= licences_of_words(words)
    choice = offers_choice(words)
    if found and choice:  # its other side may be no more than a name
        found |= named_licences(words_of(text))
    if not found:
        return frozenset((UNKNOWN,)) if LEGAL.search(words) else frozenset()
    if found == {"bsd-3-clause", "bsd-2-clause"} and not whole and named_licences(words) == found:
        return frozenset((UNKNOWN,))
    if not found & SAID and (_RESTRICTION.search(words) or (whole and _CONDITION.search(words))):
        found.add(RESTRICTED)
    elif len(found) > 1 and choice:
        found = {choice_of(found)}
    return frozenset(found)


def refers_elsewhere(text: str) -> bool:
    """Whether a licence file only says in which other files the licences are."""
    words = words_of(_FILE.sub("licence", text))
    return words.count(" ") < 60 and not licences_of_words(words) and _REFERENCE.search(words) is not None


def covered(text: str) -> tuple[set[str], str]:
    """The licences whose texts or notices `text` holds, and what is left of it without them."""
    return _covered(text, matches(text))


def covered_in_header(text: str) -> tuple[set[str], str]:
    """`covered`, for the head of a source file."""
    return _covered(text, matches_of_header(text))


def _covered(text: str, found: Iterable[Match]) -> tuple[set[str], str]:
    names: set[str] = set()
    rest: list[str] = []
    last = 0
    for identifier, start, end in found:
        names.add(canonical(identifier))
        rest.append(text[last:start])
        last = end
    return names, "\n\n".join([*rest, text[last:]])


def matches_of_header(text: str) -> list[Match]:
    """`matches` for the head of a source file: lines that say who holds the copyright are left out of what is compared, so
    that each notice is compared once, whoever wrote the file."""
    pieces: list[str] = []
    cuts: list[tuple[int, int]] = []  # where lines were left out, in what is compared, and how much up to there
    last = left_out = 0
    for holder in _HOLDER.finditer(text):
        pieces.append(text[last : holder.start()])
        left_out += len(holder[0])
        last = holder.end()
        cuts.append((last - left_out, left_out))
    if not cuts:
        return list(matches(text))
    places = [place for place, _ in cuts]
    shifts = [0, *(shift for _, shift in cuts)]
    return [
        (name, start + shifts[bisect_right(places, start)], end + shifts[bisect_left(places, end)])
        for name, start, end in matches("".join([*pieces, text[last:]]))
    ]


@lru_cache(maxsize=4096)
def matches(text: str) -> tuple[Match, ...]:
    """The licences whose texts, notices or links lie in `text`."""
    from licenseclassifier import identify_license  # its tables take a tenth of a second

    return tuple((match.id, match.start, match.end) for match in identify_license(text, 0))


def offers_choice(words: str) -> bool:
    """Whether the words of a notice leave it to the reader which of its licences holds."""
    return _CHOICE.search(words) is not None and words.count(" ") < _MOST_WORDS_OF_A_CHOICE


def restricts(words: str) -> bool:
    """Whether the words of a notice add a condition to a licence or take something from it."""
    return _RESTRICTION.search(words) is not None


def canonical(identifier: str) -> str:
    """An SPDX identifier as this package writes it."""
    return _LATER.sub("", identifier.strip().lower())


def choice_of(licences: Iterable[str]) -> str:
    """The entry of which one licence is enough."""
    return " OR ".join(sorted({part for licence in licences for part in licence.split(" OR ")}))
