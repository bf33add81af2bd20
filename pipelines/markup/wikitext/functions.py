"""Parser functions and variables of MediaWiki that need nothing but the page's title and their arguments."""

import re
from collections.abc import Callable, Sequence

from pipelines.markup.wikitext.names import WORDS

_NUMBER = re.compile(r"\s*[-+]?\d+(?:\.\d+)?\s*")
_PAGE_NAMES: dict[str, Callable[[str], str]] = {
    **dict.fromkeys(("pagename", "pagenamee", "fullpagename", "fullpagenamee"), lambda title: title),
    **dict.fromkeys(("basepagename", "basepagenamee"), lambda title: title.rpartition("/")[0] or title),
    **dict.fromkeys(("rootpagename", "rootpagenamee"), lambda title: title.partition("/")[0]),
    **dict.fromkeys(("subpagename", "subpagenamee"), lambda title: title.rpartition("/")[2]),
}
_CASES: dict[str, Callable[[str], str]] = {
    "lc": str.lower,
    "uc": str.upper,
    "lcfirst": lambda text: text[:1].lower() + text[1:],
    "ucfirst": lambda text: text[:1].upper() + text[1:],
    "formatnum": lambda text: text,
    "plaintext": lambda text: text,
}
_CHARACTERS = {"!": "|", "=": "=", "(": "{", ")": "}", "((": "{{", "))": "}}", "(!": "{|", "!)": "|}", "!!": "||"}
_SILENT = frozenset(
    "defaultsort displaytitle namespace namespacee namespacenumber pagesincategory protectionlevel directionmark "
    "noexternallanglinks".split()
)
_BRANCHING = frozenset(("if", "ifeq", "switch", "iferror"))
_BARE = frozenset((*_PAGE_NAMES, *_SILENT))

Part = Callable[[], str]
"""Gives the text of an argument when it is asked for, so that only what is shown is expanded."""


def is_function(name: str) -> bool:
    """Whether `{{name…}}` is one of these and no template."""
    return name in _CHARACTERS or _parse(name) is not None


def _parse(name: str) -> tuple[str, str] | None:
    """(function, first argument) of a name, or None."""
    head, colon, first = name.partition(":")
    if not colon and "：" in name:
        head, colon, first = name.partition("：")
    key = head.strip()
    word = WORDS.get(key.lstrip("#").replace(" ", "_").lower()) or WORDS.get(key.lstrip("#").lower())
    if word is None:
        return None
    if key.startswith("#"):
        return (word, first) if colon and word in _BRANCHING else None
    if word in _CASES:
        return (word, first) if colon else None
    if word in _BARE and (colon or key.upper() == key):
        return word, first
    return None


def call_function(name: str, arguments: Sequence[Part], title: str) -> str | None:
    """What `{{name|…}}` shows if it is one of these functions, else None. `name` has been expanded."""
    name = name.strip()
    if name in _CHARACTERS and not arguments:
        return _CHARACTERS[name]
    found = _parse(name)
    if found is None:
        return None
    word, first = found[0], found[1].strip()
    if word in _PAGE_NAMES:
        return _PAGE_NAMES[word](first or title)
    if word in _CASES:
        return _CASES[word](first)
    if word in _SILENT:
        return ""
    if word == "switch":
        return _switch(first, arguments)
    if word == "iferror":
        return first
    if word == "if":
        return _part(arguments, 0 if first else 1)
    return _part(arguments, 1 if _equal(first, _part(arguments, 0)) else 2)


def _part(arguments: Sequence[Part], index: int) -> str:
    return arguments[index]().strip() if index < len(arguments) else ""


def _equal(left: str, right: str) -> bool:
    if _NUMBER.fullmatch(left) and _NUMBER.fullmatch(right):
        return float(left) == float(right)
    return left == right


def _switch(value: str, arguments: Sequence[Part]) -> str:
    """The branch of the value: cases without a text fall through to the next one that has it."""
    default = ""
    found = False
    for index, argument in enumerate(arguments):
        case, equals, text = argument().partition("=")
        case = case.strip()
        if not equals:
            if index == len(arguments) - 1:
                return case  # the last one without a text is the default
            found = found or _equal(value, case)
        elif found or _equal(value, case):
            return text.strip()
        elif case == "#default":
            default = text.strip()
    return default
