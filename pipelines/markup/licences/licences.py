"""Which licences a repository is under: from its licence files by phrases of their texts, else from its package metadata.

It errs on the side of leaving out. A file under several licences needs all of them permitted, also where the text says
"or", and what is not recognised is `unknown`. Names are SPDX identifiers in lower case, as far as there are any.
"""

from __future__ import annotations

import re
import tomllib

UNKNOWN = "unknown"

_CODE_SUFFIX = re.compile(
    r"\.(py|pyi|pyc|ipynb|js|mjs|ts|tsx|jsx|c|cc|h|hpp|cpp|cs|java|go|rs|rb|php|kt|swift|m|hs|pl|pm|lua|sql|sh|bat|ps1|r"
    r"|scala|jl|vb|css|scss|vue|json|ya?ml|toml|xml|cfg|conf|ini|csv|tsv|lock|po|pot|tmpl|tpl|svg|png|jpe?g|gif|ico|pdf"
    r"|asc|sig|patch|diff|gz|zip)$"
)
_NAME = re.compile(r"^((un)?licen[cs]es?|copying)([-_. ].*)?$|(^|[-_.])licen[cs]es?(\.(txt|md|rst|markdown|html?))?$")
_FOLDER = re.compile(r"^licen[cs]es?$")

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
    r"|\b(?P<short>[al]?gpl) ?v? ?(?P<major>[1-3])?(?: (?P<minor>\d))?\b(?! compatible)"
)
_VERBATIM = "everyone is permitted to copy and distribute verbatim copies"  # the full text of a GNU licence
_VERSION = re.compile(r"\b(?:version |v)(?P<major>\d)(?: (?P<minor>\d))?\b")
_RESTRICTION = re.compile(
    r"\byou may not\b|\bmay not be used for\b|\bprohibited\b|\badditional (terms|restrictions|conditions)\b|\bnot permitted\b"
)
_PHRASES: tuple[tuple[str, str], ...] = (
    ("mpl-2.0", r"mozilla public licen[cs]e|\bmpl( v)?( ?2)?( 0)?\b"),
    ("psf-2.0", r"python software foundation licen[cs]e|\bpsf licen[cs]e|\bpsf 2 0\b"),
    ("unlicense", r"this is free and unencumbered software released into the public domain|\bthe unlicense\b"),
    ("0bsd", r"\bzero clause bsd\b|\b0bsd\b"),
    ("cc0-1.0", r"\bcc0\b|creative commons zero"),
    ("cc-by", r"creative commons attribution|\bcc by\b"),
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
    ("noncommercial", r"\bnon ?commercial|\bresearch (use|purposes) only\b|\bacademic use only\b"),
    (
        "public-domain",
        r"(placed|released|dedicated|dedicate[sd]?) (in|into|to) the public domain|\bpublic domain dedication\b",
    ),
    ("proprietary", r"\bproprietary (software|and confidential|licen[cs]e)\b"),
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
_LEGAL = re.compile(r"\b(copyright|copyrights|licen[cs]e|licen[cs]ed|licensor|permission|warranty|warranties)\b")


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
    words = " ".join(re.findall(r"[a-z0-9]+", text.lower()))
    found = _permissive(words) | _gnu(words)
    if _VERBATIM not in words:
        found |= {name for name, pattern in _COMPILED if pattern.search(words)}
    if not found:
        found = {name for name, pattern in _COMPILED_NAMES if pattern.search(words)}
        if found == {"bsd-3-clause", "bsd-2-clause"}:
            found = {UNKNOWN}
    if found and found <= {"mit", "bsd-2-clause", "bsd-3-clause"} and _RESTRICTION.search(words):
        found.add("restricted")
    if not found and _LEGAL.search(words):
        found = {UNKNOWN}
    return frozenset(found)


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


def _gnu(words: str) -> set[str]:
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


def licences_of_metadata(path: str, text: str) -> frozenset[str]:
    """The licences a package states in PKG-INFO, METADATA, pyproject.toml, setup.cfg, Cargo.toml or package.json."""
    name = path.rpartition("/")[2].lower()
    stated: list[str] = []
    if name in ("pkg-info", "metadata"):
        header = text.replace("\r\n", "\n").partition("\n\n")[0]
        stated += re.findall(r"^Licen[cs]e(?:-Expression)?:[ \t]*(\S.*)$", header, re.MULTILINE)
        stated += re.findall(r"^Classifier: License :: (?:OSI Approved :: )?(\S.*)$", header, re.MULTILINE)
    elif name in ("pyproject.toml", "cargo.toml"):
        stated += _toml(text)
    elif name == "setup.cfg":
        stated += re.findall(r"^license[ \t]*=[ \t]*(\S.*)$", text, re.MULTILINE)
        stated += re.findall(r"^[ \t]*License :: (?:OSI Approved :: )?(\S.*)$", text, re.MULTILINE)
    elif name == "package.json":
        stated += re.findall(r'"license"\s*:\s*"([^"\n]+)"', text)
    found = {licence for expression in stated for licence in _expression(expression)}
    if len([licence for licence in found if licence.startswith("bsd")]) > 1:
        found.discard("bsd")  # the classifier, which knows no clauses
    return frozenset(found)


METADATA_FILES = frozenset(("pkg-info", "metadata", "pyproject.toml", "cargo.toml", "setup.cfg", "package.json"))


def _toml(text: str) -> list[str]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return []
    stated: list[str] = []
    for table in (document.get("project"), document.get("package")):
        if not isinstance(table, dict):
            continue
        licence = table.get("license")
        if isinstance(licence, dict):
            licence = licence.get("text")
        if isinstance(licence, str):
            stated.append(licence)
        classifiers = table.get("classifiers")
        if isinstance(classifiers, list):
            stated += [str(entry).rpartition("::")[2] for entry in classifiers if str(entry).startswith("License ::")]
    return stated


def _expression(expression: str) -> set[str]:
    """The licences of an SPDX expression, a trove classifier or a free phrase; every one counts, "or" or not."""
    found: set[str] = set()
    expression = re.sub(r" or (any )?(later|newer)( version)?", "", expression.strip().lower())
    for part in re.split(r"\s+(?:or|and|with)\s+|[/,;()|&]", expression):
        words = " ".join(re.findall(r"[a-z0-9]+", part))
        if not words or words == "osi approved":
            continue
        denied = {name for name, pattern in _COMPILED if pattern.search(words)} | _gnu(words)
        named = {name for name, pattern in _COMPILED_NAMES if pattern.search(words)}
        found |= denied | named or {"bsd" if words.startswith("bsd") else UNKNOWN}
    return found
