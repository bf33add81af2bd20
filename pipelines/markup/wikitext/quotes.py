"""Quote marks of bold and italics, and language variants."""

import re

_VARIANT = re.compile(r"-\{([^{}]*)\}-")
_QUOTES = re.compile("''+")
_WHOLE = frozenset((2, 3, 5))  # lengths of runs that are marks and nothing else


def expand_variants(text: str) -> str:
    """Language variants `-{zh-hans:A; zh-hant:B}-`: the first one; flags that show nothing leave nothing."""
    return _VARIANT.sub(_variant, text) if "-{" in text else text


def _variant(match: re.Match[str]) -> str:
    flags, bar, rules = match[1].rpartition("|")
    if bar and set(flags.strip().upper()) & set("HT-"):
        return ""
    first = rules.split(";")[0]
    name, colon, value = first.partition(":")
    return value.strip() if colon and re.fullmatch(r"\s*[a-z]{2,4}(?:-[a-z]+)*\s*", name) else first


def apostrophes(text: str) -> str:
    """Removes the quote marks of bold and italics, line by line, and leaves the apostrophes (MediaWiki's rules)."""
    pieces: list[str] = []
    last = 0
    while (found := text.find("''", last)) >= 0:
        start = text.rfind("\n", last, found) + 1 or last
        end = text.find("\n", found)
        end = len(text) if end < 0 else end
        pieces += [text[last:start], _quotes(text[start:end])]
        last = end
    return "".join([*pieces, text[last:]]) if pieces else text


def _quotes(line: str) -> str:
    sizes = [len(run) for run in _QUOTES.findall(line)]
    odd_italics, odd_bolds = (len(sizes) - sizes.count(3)) % 2, (len(sizes) - sizes.count(2)) % 2
    if _WHOLE.issuperset(sizes) and not (odd_italics and odd_bolds):
        return "".join(_QUOTES.split(line))  # no apostrophe is among the marks
    runs = [[match.start(), match.end() - match.start()] for match in _QUOTES.finditer(line)]
    marks = [2 if size == 2 else 3 if size in (3, 4) else 5 for _, size in runs]
    if sum(mark != 3 for mark in marks) % 2 and sum(mark != 2 for mark in marks) % 2:
        # Unbalanced: one bold mark is an apostrophe and an italic mark; which one, its surroundings say.
        best, chosen = 4, -1
        for index, (start, size) in enumerate(runs):
            if marks[index] != 3:
                continue
            before = start + size - 3
            nearest, second = line[max(before - 1, 0) : before], line[max(before - 2, 0) : max(before - 1, 0)]
            rank = 3 if nearest == " " else 1 if second == " " else 2
            if rank < best:
                best, chosen = rank, index
        if chosen >= 0:
            marks[chosen] = 2
    pieces, last = [], 0
    for (start, size), mark in zip(runs, marks, strict=True):
        pieces += [line[last:start], "'" * (size - mark)]
        last = start + size
    return "".join([*pieces, line[last:]])
