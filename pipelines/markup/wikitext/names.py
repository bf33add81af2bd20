"""The names that MediaWiki has in its languages for namespaces, behaviour switches and magic words (`mediawiki.json`).

The table is made by `tools/mediawiki_names.py`; its first lines name release and licence.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

_TABLE = json.loads(files(__package__).joinpath("mediawiki.json").read_text(encoding="utf-8"))
MAX_TITLE = 300  # MediaWiki's limit is 255 bytes
SHORTEST = 3  # ASCII letters: the two-letter names of categories are prefixes of articles, too
PICTURE = re.compile(r"[^\n|]+:[^\n|]+\.(?:jpe?g|png|svg|gif|tiff?|webp|og[gav]|webm|djvu|pdf|mp[34]|wav|mid)\s*", re.I)
SWITCH = re.compile(r"(?:__|＿＿)[^\W_](?:[^_＿\n]|_(?!_))*(?:__|＿＿)")


def _key(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).lower()


_REMOVED = frozenset(
    _key(name)
    for kind in ("file", "media", "category")
    for name in _TABLE[kind]
    if not name.isascii() or len(name) >= SHORTEST
)
TEMPLATE_SPACES = frozenset(map(_key, _TABLE["template"]))
"""The template namespace in all languages, lower-case."""
LANGUAGES = frozenset(_TABLE["languages"])
"""Language codes, the prefixes of links to other wikis."""
WORDS: dict[str, str] = {}
"""Magic words and parser functions, lower-case and without `#` and `:` -> MediaWiki's name of them."""
for _word, _names in _TABLE["words"].items():
    for _name in _names:
        WORDS.setdefault(_name.lstrip("#").lower(), _word)
WORDS |= {name.lower(): name for name in _TABLE["words"]}
_SWITCHES = frozenset(name.casefold() for name in _TABLE["switches"])
_EXACT_SWITCHES = frozenset(_TABLE["switches in this case only"])
_REDIRECTS = frozenset(name.lower() for name in _TABLE["words"]["redirect"])
_REDIRECT = re.compile(r"\s*([#＃][^\s\[:：]+)[ \t]*[:：]?[ \t]*\[\[([^\[\]|\n]*)")


@dataclass(frozen=True)
class Namespaces:
    """The namespaces of a wiki whose links show no text: pictures, media, categories."""

    removed: frozenset[str]  # their names, lower-case

    @classmethod
    def of(cls, names: Iterable[str]) -> "Namespaces":
        """From the local names in the dump; those of all languages always count, since heads can be wrong or missing."""
        return cls(_REMOVED | {_key(name) for name in names if name.strip()})

    def removes(self, target: str) -> bool:
        """Whether a link to `target` shows no text of the article."""
        name, colon, _ = target.partition(":")
        if not colon:
            return False
        if _key(name) in self.removed:
            return True
        return len(target) <= MAX_TITLE and bool(PICTURE.fullmatch(target))


def redirect_target(source: str) -> str | None:
    """Where a page redirects to, if it begins as a redirect does in any language; else None."""
    match = _REDIRECT.match(source)
    return match[2].strip() if match is not None and match[1].lower() in _REDIRECTS else None


def is_language_link(target: str) -> bool:
    """Whether a link target is the same page in another language: `de:Seite`."""
    name, colon, rest = target.partition(":")
    return bool(colon and rest.strip()) and name.strip().lower() in LANGUAGES


def remove_switches(text: str, mark: str) -> str:
    """Replaces behaviour switches (`__NOTOC__`) by `mark`; other words between underscores stay."""
    if "__" not in text and "＿＿" not in text:
        return text
    return SWITCH.sub(lambda match: mark if _is_switch(match[0]) else match[0], text)


def _is_switch(word: str) -> bool:
    return word in _EXACT_SWITCHES or word.casefold() in _SWITCHES
