"""Links: what a reader sees of `[[target|text]]` and `[http://… text]`."""

import re

from pipelines.markup.wikitext.marks import REMOVED
from pipelines.markup.wikitext.names import Namespaces, is_language_link

_SIMPLE = re.compile(r"\[\[(?:[^\[\]|:\n]{1,300}\|([^\[\]|\n]*[^\[\]|\s])|([^\[\]|:\n#]{1,300}))\]\]")
_MARK = re.compile(r"([\[\]])\1")
_EXTERNAL = re.compile(r"\[(?:[a-z]{3,8}://|//|mailto:|news:)[^\s\[\]]*+[ \t]*+([^\[\]\n]*+)\]", re.I)
_PROPERTY = re.compile(r"[^\W\d_][\w ]*::")
_KIND = re.compile(r" \([^()]*\)$|（[^（）]*）$")


def resolve_links(text: str, namespaces: Namespaces) -> str:
    """Replaces links by what the reader sees; of brackets that close nothing those that could be markup go. Linear."""
    if "[[" in text or "]]" in text:
        if "[[" in text:
            text = "".join(filter(None, _SIMPLE.split(text)))
        text = _nested(text, namespaces)
    if "[" in text:
        text = _EXTERNAL.sub(lambda match: match[1] or REMOVED, text)
    return text


def _nested(text: str, namespaces: Namespaces) -> str:
    """Links with anything in them, from the inside out."""
    levels: list[list[str]] = [[]]  # pieces of the text, then of every link that is open
    last = 0
    for match in _MARK.finditer(text):
        start = match.start()
        levels[-1].append(text[last:start])
        last = match.end()
        if match[0] == "[[":
            levels.append([])
        elif len(levels) > 1:
            inner = "".join(levels.pop())
            levels[-1].append(_shown(inner, namespaces))
        elif _closes_brackets(text, start):
            levels[-1].append("]]")
        else:
            levels[-1].append(REMOVED)
    levels[-1].append(text[last:])
    return "".join(REMOVED * (number > 0) + "".join(level) for number, level in enumerate(levels))


def _closes_brackets(text: str, end: int) -> bool:
    """Whether two single brackets are open on the line before `end`, as in `a[b[0]]`."""
    low = max(end - 500, 0)
    line = text[max(low, text.rfind("\n", low, end) + 1) : end]
    return line.count("[") - line.count("]") >= 2


def _shown(inner: str, namespaces: Namespaces) -> str:
    target, bar, shown = inner.partition("|")
    target = target.strip()
    if target.startswith(":"):
        target = target[1:].lstrip()
    elif namespaces.removes(target) or is_language_link(target):
        return REMOVED
    if "::" in target and (name := _PROPERTY.match(target)):  # of Semantic MediaWiki
        target = target[name.end() :]
    if shown.strip():
        return shown
    if bar:  # the pipe trick: [[Name (kind)|]]
        return _KIND.sub("", target.rpartition(":")[2])
    return target
