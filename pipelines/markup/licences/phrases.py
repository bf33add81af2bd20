"""Licences told by phrases, for what no template of a licence covers: names, statements, shortened texts.

Words are a-z and 0-9 with single spaces; licences are SPDX identifiers in lower case, as far as there are any.
"""

from __future__ import annotations

import re

# Phrases of the texts, in words of a-z and 0-9 with single spaces.
_MIT_GRANT = "permission is hereby granted free of charge to any person obtaining a copy of this software"
_MIT_NOTICE = "copyright notice and this permission notice"
_BSD_GRANT = "redistribution and use in source and binary forms with or without modification are permitted"
_ISC_GRANT = re.compile(
    r"permission to use copy modify and (or )?distribute this software (and its documentation )?for any purpose"
    r"( and)? with(out)? (or without )?fee is hereby granted"
)
_GNU = re.compile(
    r"gnu (?P<affero>affero )?(?P<lesser>(lesser|library) )?general public licen[cs]e"
    r"|\b(?P<short>[al]?gpl) ?(version|v)? ?(?P<major>[1-3])?(?: (?P<minor>\d))?\b(?! compatible)"
)
_VERBATIM = "everyone is permitted to copy and distribute verbatim copies"  # the full text of a GNU licence
_VERSION = re.compile(r"\b(?:version |v)(?P<major>\d)(?: (?P<minor>\d))?\b")
_PHRASES: tuple[tuple[str, str], ...] = (
    ("mpl-2.0", r"mozilla public licen[cs]e|\bmpl( v)?( ?2)?( 0)?\b"),
    ("psf-2.0", r"python software foundation licen[cs]e|\bpsf licen[cs]e|\bpsf 2 0\b"),
    ("unlicense", r"this is free and unencumbered software released into the public domain|\bthe unlicense\b"),
    ("0bsd", r"\bzero clause bsd\b|\b0bsd\b"),
    ("cc0-1.0", r"\bcc0\b|creative commons zero"),
    ("cc-by-sa", r"creative commons attribution share ?alike|\bcc by sa\b"),
    ("cc-by", r"creative commons attribution(?! (share|non|no derivatives))|\bcc by\b(?! (sa|nc|nd))"),
    ("cc-by-nd", r"creative commons attribution no ?derivatives|\bcc by nd\b"),
    ("zlib", r"altered source versions must be plainly marked as such|\bzlib licen[cs]e"),
    ("bsl-1.0", r"boost software licen[cs]e"),
    ("epl", r"eclipse public licen[cs]e|\bepl (1|2) 0\b"),
    ("cddl", r"common development and distribution licen[cs]e|\bcddl\b"),
    ("eupl", r"european union public licen[cs]e|\beupl\b"),
    ("artistic", r"\bartistic licen[cs]e"),
    ("ofl-1.1", r"sil open font licen[cs]e"),
    ("wtfpl", r"do what the fuck you want to"),
    ("zpl", r"zope public licen[cs]e|\bzpl\b"),
    ("ms-pl", r"microsoft (public|reciprocal) licen[cs]e"),
    ("sspl-1.0", r"server side public licen[cs]e"),
    ("busl-1.1", r"business source licen[cs]e"),
    ("elastic", r"\belastic licen[cs]e"),
    ("commons-clause", r"\bcommons clause\b"),
    ("odbl", r"open database licen[cs]e"),
    ("json", r"shall be used for good not evil"),
    (
        "noncommercial",
        r"(?<!commercial or )(?<!commercial and )\bnon ?commercial|\bcc by nc\b|\bresearch (use|purposes) only\b|\bacademic use only\b",
    ),
    (
        "public-domain",
        r"(placed|released|dedicated|dedicate[sd]?) (in|into|to) the public domain|\bpublic domain dedication\b",
    ),
    (
        "proprietary",
        r"\bproprietary (software|and confidential|licen[cs]e)\b|\bconfidential and proprietary\b|\bunauthori[sz]ed copying\b",
    ),
    ("apache-1.1", r"apache software licen[cs]e version 1 1|apache licen[cs]e version 1 1"),
)
_NAMES: tuple[tuple[str, str], ...] = (
    ("mit", r"\bmit( x11)? licen[cs]e|\blicen[cs]ed? under( the)? mit\b|^mit$|\bexpat licen[cs]e"),
    ("bsd-4-clause", r"\bbsd 4 clause\b|\b4 clause bsd\b|\boriginal bsd\b"),
    ("bsd-3-clause", r"\bbsd 3 clause\b|\b3 clause bsd\b|\b(new|modified) bsd\b"),
    ("bsd-2-clause", r"\bbsd 2 clause\b|\b2 clause bsd\b|\bsimplified bsd\b"),
    ("apache-2.0", r"\bapache (software )?(licen[cs]e )?(version )?v?2( 0)?\b|\bapache software licen[cs]e$"),
    ("isc", r"\bisc licen[cs]e|^isc( licen[cs]e)?$"),
)
_COMPILED = tuple((name, re.compile(pattern)) for name, pattern in _PHRASES)
_COMPILED_NAMES = tuple((name, re.compile(pattern)) for name, pattern in _NAMES)
LEGAL = re.compile(
    r"\b(copyrights?|licen[cs]ed?|licensor|permission|warrant(y|ies)|rights reserved|redistribut\w+|permitted|prohibited)\b"
)


def words_of(text: str) -> str:
    """The words of a text, in lower case, with single spaces."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def licences_of_words(words: str) -> set[str]:
    """All licences that the words grant or name: those that need more than to be named go before those that do not."""
    found = _permissive(words) | gnu_licences(words)
    if _VERBATIM not in words:
        found |= {name for name, pattern in _COMPILED if pattern.search(words)}
    if "unlicense" in found:
        found.discard("public-domain")  # its own words
    return found or named_licences(words)


def named_licences(words: str) -> set[str]:
    """Permissive licences by their names."""
    return {name for name, pattern in _COMPILED_NAMES if pattern.search(words)}


def licences_of_phrase(words: str) -> set[str]:
    """The licences of one entry of a list or expression."""
    found = {name for name, pattern in _COMPILED if pattern.search(words)} | gnu_licences(words)
    return found | named_licences(words)


def _permissive(words: str) -> set[str]:
    """MIT, BSD, Apache and ISC by the sentences that grant the rights."""
    found = set()
    if _MIT_GRANT in words:
        if "except as contained in this notice the name" in words:
            found.add("x11")
        else:
            found.add("mit" if _MIT_NOTICE in words else "mit-0")
    if _BSD_GRANT in words:
        if "advertising materials mentioning" in words:
            found.add("bsd-4-clause")
        elif "no express or implied licenses to any party s patent rights" in words:
            found.add("bsd-3-clause-clear")
        else:
            found.add("bsd-3-clause" if "endorse or promote products" in words else "bsd-2-clause")
    if re.search(r"\bapache licen[cs]e version 2( 0)?\b", words):
        found.add("apache-2.0")
    if _ISC_GRANT.search(words):
        found.add("isc" if "copyright notice and this permission notice appear" in words else "0bsd")
    return found


def gnu_licences(words: str) -> set[str]:
    """The GNU licence of a text: of a full text its own, though it names others; else all that are named."""
    mentions = list(_GNU.finditer(words))
    if _VERBATIM in words:
        mentions = mentions[:1]
    found = set()
    for mention in mentions:
        version: re.Match[str] | None = mention
        if mention["short"]:
            name = mention["short"]
        else:
            name = "agpl" if mention["affero"] else "lgpl" if mention["lesser"] else "gpl"
            version = _VERSION.search(words, mention.end(), mention.end() + 40)
        found.add(f"{name}-{version['major']}.{version['minor'] or 0}" if version and version["major"] else name)
    return found
