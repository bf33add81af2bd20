"""Comments and extension tags of MediaWiki, which come before all other markup: notes go, code and formulas are shielded."""

import html
import re

from pipelines.markup.wikitext.marks import REMOVED
from pipelines.markup.wikitext.shield import Shield

DROPPED = (
    "ref|references|gallery|timeline|score|hiero|graph|chart|imagemap|mapframe|maplink|templatedata|inputbox|"
    "categorytree|includeonly|templatestyles|indicator|charinsert|rss|dynamicpagelist|phonos|languages|quiz"
)
VERBATIM = "nowiki|pre|source|syntaxhighlight|math|chem|ce"
_EXTENSION = re.compile(rf"<!--|<({VERBATIM}|{DROPPED})\b([^<>]*)>", re.I)
_CLOSERS = {name: re.compile(rf"</{name}\s*>", re.I) for name in f"{VERBATIM}|{DROPPED}".split("|")}
_SHOWN = frozenset(VERBATIM.split("|"))
_FORMULAS = frozenset(("math", "chem", "ce"))
_INLINE = re.compile(r"\binline\b", re.I)
_TOUCHED = frozenset(" \t\u3000\n([（，、،,;:–—-*#|=}{>'\"“«„")  # before a removed tag: something may have to be mended


def remove_extensions(text: str, shield: Shield) -> str:
    """Removes comments and extension tags, of <nowiki>, formulas and code shows the text, shielded. Linear."""
    pieces: list[str] = []
    last = 0
    unclosed: set[str] = set()  # tags with no closing one from here on: looked for once, so that a page cannot hang
    while match := _EXTENSION.search(text, last):
        start = match.start()
        pieces.append(text[last:start])
        last = match.end()
        if match[1] is None:
            end = text.find("-->", last)
            last = end + 3 if end >= 0 else len(text)
            if text[last : last + 1] == "\n" and text[start - 1 : start] in ("", "\n"):
                last += 1  # the comment had its line to itself
            continue
        name = match[1].lower()
        if match[2].endswith("/"):
            if name not in _SHOWN and (start == 0 or text[start - 1] in _TOUCHED):
                pieces.append(REMOVED)
            continue
        closer = None if name in unclosed else _CLOSERS[name].search(text, last)
        if closer is None:
            unclosed.add(name)
            continue
        if name in _SHOWN:
            shown = _shown(name, match[2], text[last : closer.start()], shield)
            at_start, at_end = (
                text[start - 1 : start] in ("", "\n"),
                text[closer.end() : closer.end() + 1] in ("", "\n"),
            )
            pieces.append(shown[at_start : len(shown) - at_end] if shown[0] == "\n" else shown)
        elif start == 0 or text[start - 1] in _TOUCHED:
            pieces.append(REMOVED)
        last = closer.end()
    return "".join([*pieces, text[last:]])


def _shown(name: str, attributes: str, inner: str, shield: Shield) -> str:
    if name in _FORMULAS:
        formula = " ".join(html.unescape(inner).split())
        if not formula:
            return REMOVED
        return shield.put(f"$\\ce{{{formula}}}$" if name != "math" else f"${formula}$", formula=True)
    if name == "nowiki":
        return shield.put(html.unescape(inner))
    if name == "pre":
        inner = html.unescape(inner)
    if name != "pre" and _INLINE.search(attributes):
        return shield.put(" ".join(inner.split()))
    lines = [line.rstrip() for line in inner.split("\n")]
    while lines and not lines[0]:
        del lines[0]
    while lines and not lines[-1]:
        del lines[-1]
    return f"\n{shield.put(chr(10).join(lines))}\n" if lines else REMOVED
