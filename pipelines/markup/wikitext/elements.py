"""HTML elements in wikitext: lines and blocks become line ends, superscripts and subscripts keep their place, the others
leave their text."""

import re

from pipelines.markup.wikitext.marks import REMOVED

_LINES = frozenset("br div p center blockquote table tr li ul ol dl dt dd h1 h2 h3 h4 h5 h6 hr poem caption".split())
_TAG = re.compile(
    r"<(/?)(br|ref|small|big|div|span|p|center|font|sup|sub|b|i|u|s|tt|em|strong|blockquote|table|t[rdh]|li|ul|ol|dl|"
    r"d[td]|code|noinclude|onlyinclude|includeonly|poem|nowiki|abbr|cite|del|ins|strike|hr|h[1-6]|var|kbd|samp|bdi|bdo|"
    r"ruby|r[tpb]|rtc|q|dfn|references|gallery|math|time|mark|wbr|translate|tvar|section|caption|data|pre|"
    r"tbody|thead|tfoot|col|colgroup|languages|templatestyles|source|syntaxhighlight|chem|ce|score|timeline|hiero|graph|"
    r"mapframe|maplink|indicator|inputbox|imagemap|charinsert|categorytree|link|meta|img)\b(?:\s[^<>]{0,2000}|/[^<>]{0,99})?>",
    re.I,
)
_HIDDEN = re.compile(r"<(span|div|p|small|td|th|sup|sub)\b[^<>]*\bdisplay\s*:\s*none\b[^<>]*>", re.I)
_DIGITS = {
    "sup": str.maketrans("0123456789+-−=()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾"),
    "sub": str.maketrans("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎"),
}
_SCRIPT = re.compile(r"<(sup|sub)\b[^<>]*>([^<>\n]{0,40})</\1\s*>", re.I)
_NUMBER = re.compile(r"[0-9+\-−=()]{1,12}")
_WORD = re.compile(r"[^\W\d_]{2,}")
_ENDINGS = frozenset("e a o r d s è º ª re er es nd rd st th".split())  # of ordinals and shortened words
_SIMPLE = re.compile(r"\w+|[+\-−*∗†‡′°]")


def resolve_elements(text: str) -> str:
    """Plain text of the tags that MediaWiki knows; others stay as they are shown."""
    if "<" not in text:
        return text
    if "none" in text and _HIDDEN.search(text):
        text = _without_hidden(text)
    if "<su" in text or "<SU" in text:
        text = _SCRIPT.sub(_script, text)
    return _TAG.sub(lambda match: "\n" if match[2].lower() in _LINES else "", text)


def _without_hidden(text: str) -> str:
    """Takes out elements of style `display: none`, up to the first end tag of their name."""
    pieces: list[str] = []
    last = 0
    unclosed: set[str] = set()
    while match := _HIDDEN.search(text, last):
        pieces.append(text[last : match.start()])
        last = match.end()
        name = match[1].lower()
        closer = None if name in unclosed else re.compile(rf"</{name}\s*>", re.I).search(text, last)
        if closer is None:
            unclosed.add(name)
        else:
            pieces.append(REMOVED)
            last = closer.end()
    return "".join([*pieces, text[last:]])


def _script(match: re.Match[str]) -> str:
    start = match.start()
    return script_text(match[1].lower(), match[2], match.string[max(0, start - 2) : start])


def script_text(name: str, text: str, before: str) -> str:
    """Small numbers as they are printed, others as `x^n`, `a_i`, `x^(n+1)`; endings of words as they are.

    `name` is sup or sub; `before` are the one or two characters before it.
    """
    shown = text.strip(f" {REMOVED}")
    if not shown:
        return REMOVED
    if _NUMBER.fullmatch(shown):
        return shown.translate(_DIGITS[name])
    if not any(map(str.isalnum, shown)) and name == "sub":
        return text
    base = before[-1:] or " "
    if base.isspace() or base in f"([{REMOVED}>" or " " in shown or shown[0] in "[^_":
        return text
    if name == "sup" and (_WORD.fullmatch(shown) or not shown[0].isalnum()) and shown[0] not in "-+−":
        return text  # 1st, Mme, TM
    if name == "sup" and shown in _ENDINGS and not _is_variable(before):
        return text
    sign = "^" if name == "sup" else "_"
    return f"{sign}{shown}" if _SIMPLE.fullmatch(shown) else f"{sign}({shown})"


def _is_variable(before: str) -> bool:
    """Whether a single small letter or a closing bracket stands before: the base of a power."""
    base = before[-1]
    if base in ")]|":
        return True
    alone = len(before) < 2 or not before[-2].isalnum()
    return alone and base.isalpha() and base.islower() and base != "n"
