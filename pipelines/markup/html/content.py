"""The main content of a page: which of its blocks a reader came for.

Blocks are worth their words, less what they link; short and linked ones cost. The content is the element whose blocks are
worth most together, without what its tag, role or class names as navigation, comments, advertisements and the like, unless
that holds a large part of the page's text: names of classes lie. What was looked at while these rules were chosen is one
half of the pages of docs/benchmarks.md.
"""

from __future__ import annotations

import re

import numpy as np
from numba import types

from corpus.data.buffers import Array
from corpus.kernel import kernel
from pipelines.markup.html.blocks import TAG, TAGS, Blocks

_NEGATIVE = re.compile(
    r"(?:^|[\s_-])(?:nav(?:bar|igation)?|menu|submenu|foot(?:er)?|side(?:bar)?|widget|comments?|commentlist|disqus|discussion"
    r"|respond|reply|shar(?:e|ing)|sharedaddy|social|related|recommend(?:ed|ations?)?|recirc|promo(?:tion)?|ads?"
    r"|advert(?:isement|ising)?|adbox|sponsor(?:ed)?|banner|cookies?|consent|gdpr|newsletter|subscri(?:be|ption)|signup|login"
    r"|breadcrumbs?|pagination|pager|tags?|tagcloud|taglist|meta|byline|author-?(?:bio|box|info)?|bio|about|popup|modal|overlay"
    r"|toolbar|tools|skip|print|most-?(?:read|popular|viewed)|popular|trending|more-?(?:stories|news|from)?|teasers?|outbrain"
    r"|taboola|rating|votes?|copyright|credits?|caption|search|topbar|masthead|hidden|sr-only|screen-reader-text"
    r"|visually-?hidden|no-?print|jp-relatedposts|yarpp|infobox|toc|timestamp|date|read-?more|next|prev(?:ious)?|ticker"
    r"|carousel|slider|gallery|slideshow|feedback|contact|donat(?:e|ion)|paywall|callout|pull-?quote|factbox|dropdown"
    r"|categories|category|cat-links|entry-(?:meta|footer)|post-meta|hashtag|links?"
    r"|role-(?:navigation|complementary|banner|contentinfo|search|dialog|alert))(?:$|[\s_-])",
    re.IGNORECASE,
)
_SURE = re.compile(
    r"(?:^|[\s_-])(?:comments?|commentlist|disqus|discussion|respond|reply|shar(?:e|ing)|social|related|recommend(?:ed|ations?)?"
    r"|promo(?:tion)?|cookies?|consent|newsletter|teasers?|popular|trending|foot(?:er)?|nav(?:bar|igation)?|menu"
    r"|most-?(?:read|popular|viewed)|more-?(?:stories|news|from)?|author-?(?:bio|box|info)?|role-[a-z]+)(?:$|[\s_-])",
    re.IGNORECASE,
)
"""Names that layouts do not borrow: many small elements of them are no content, even if they are most of the page."""
_POSITIVE = re.compile(
    r"article-?_?(?:body|content|text)|(?:^|[\s_-])(?:story-?(?:body|content)|post-?(?:body|content|entry)"
    r"|entry-?content|body-?copy|main-?content|rich-?text|content-?body|page-?content|text-?content|td-post-content"
    r"|blog-?content)(?:$|[\s_-])",
    re.IGNORECASE,
)
_ATTRIBUTE = re.compile(r'\b(class|id|role|itemprop|style|hidden|aria-hidden)(?:="([^"]*)")?', re.IGNORECASE)
_NAMED, _CONTENT, _HIDDEN, _BOILERPLATE = 1, 2, 4, 8
"""What attributes say of an element: boilerplate, content, not shown; boilerplate by a name that does not lie."""
_NEVER = [TAG[name] for name in "nav footer dialog menu".split()]
_RARELY = [TAG[name] for name in "aside form fieldset figure".split()]
_MOST_CACHED = 100_000

_I16 = types.Array(types.int16, 1, "C", readonly=True)
_I32 = types.Array(types.int32, 1, "C", readonly=True)
_I32_2D = types.Array(types.int32, 2, "C", readonly=True)
_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_OUT_U8 = types.Array(types.uint8, 1, "C")
_ROLES = np.zeros(len(TAGS), np.uint8)
for _tags, _role in (
    (_NEVER, 1), (_RARELY, 2), ([TAG[f"h{level}"] for level in range(1, 7)], 3), ([TAG["p"]], 4),
    ([TAG[name] for name in "li td th dt".split()], 5), ([TAG["article"]], 6), ([TAG["header"]], 9), ([TAG["body"], TAG["main"]], 7),
    ([TAG[name] for name in "blockquote ul".split()], 8),
):  # fmt: skip
    _ROLES[_tags] = _role


@kernel(types.float64(types.int64, types.int64, types.int64))
def _worth(words: int, linked: int, role: int) -> float:
    """What a block is worth."""
    free = words - linked
    if words == 0:
        return 0.0
    if role == 3:
        return 0.0 if linked * 2 < words else -2.0
    if linked * 2 > words:
        return -4.0 - linked
    if free < 4:
        return -2.0
    return min(free, 150) - 4.0 - linked


@kernel(types.int64(_I16, _I32, _U8, _I32, _I32_2D, _I32_2D, _U8, _OUT_U8))
def _choose(
    tags: Array[np.int16],
    parents: Array[np.int32],
    said: Array[np.uint8],
    alike: Array[np.int32],
    spans: Array[np.int32],
    counts: Array[np.int32],
    roles: Array[np.uint8],
    chosen: Array[np.uint8],
) -> int:
    """Set `chosen` of the blocks of the content; the number of their words."""
    elements, blocks = len(tags), len(spans)
    worth = np.zeros(blocks)
    value, good = np.zeros(elements), np.zeros(elements)
    for block in range(blocks):
        element = spans[block, 2]
        worth[block] = _worth(counts[block, 0], counts[block, 1], roles[tags[element]])
        good[element] += max(0.0, worth[block])
    for element in range(elements - 1, 0, -1):
        good[parents[element]] += good[element]
    limit = 0.4 * good[0]
    together = np.zeros(elements)  # with those of its depth that have the same attributes
    for element in range(elements):
        together[alike[element]] += good[element]
    negative, positive = np.zeros(elements, np.uint8), np.zeros(elements, np.uint8)
    for element in range(elements):
        role, flags = roles[tags[element]], said[element]
        if flags & 8:
            large = good[element] > 0.6 * good[0]
        else:
            large = together[alike[element]] > limit
        positive[element] = role == 6 or flags & 2
        unseen = flags & 4 and good[element] <= 0.8 * good[0]  # more than that is a page that scripts show
        if (
            role == 1
            or unseen
            or (not large and (role == 2 or (role == 9 and good[element] < 12.0)))
            or (flags & 1 and not flags & 2 and not large and role != 6 and role != 7)
        ):
            negative[element] = 1
    for block in range(blocks):
        value[spans[block, 2]] += worth[block]
    for element in range(elements - 1, 0, -1):
        if not negative[element]:
            value[element] = max(value[element], -30.0)
            value[parents[element]] += value[element]
    best, most = 0, -1e18
    reached = np.zeros(elements, np.uint8)
    for element in range(elements):
        reached[element] = not negative[element] and (element == 0 or reached[parents[element]])
        if not reached[element]:
            continue
        role, score = roles[tags[element]], value[element]
        if positive[element]:
            score = score * 1.2 + 10.0
        if role == 3 or role == 4 or role == 5 or role == 8:
            score *= 0.8
        if score >= most:
            best, most = element, score
    kept = np.zeros(elements, np.uint8)
    kept[best] = 1
    for element in range(best + 1, elements):
        kept[element] = (
            kept[parents[element]] and not negative[element] and (value[element] >= -6.0 or roles[tags[element]] == 4)
        )
    total = 0
    last = -1
    for block in range(blocks):
        element = spans[block, 2]
        role = roles[tags[element]]
        words, linked = counts[block, 0], counts[block, 1]
        linking = linked > 0.6 * words and (words < 10 or role != 4) and role != 3
        chosen[block] = kept[element] and not linking
        if chosen[block]:
            total += words
            if role != 3:
                last = block
    for block in range(last + 1, blocks):  # headings of nothing
        if chosen[block]:
            chosen[block] = 0
            total -= counts[block, 0]
    # all that is not boilerplate, if that is much more
    rest = 0
    for block in range(blocks):
        if reached[spans[block, 2]] and worth[block] >= -2.0:
            rest += counts[block, 0]
    if rest > (2 if total < 150 else 4) * total:
        for block in range(blocks):
            chosen[block] = reached[spans[block, 2]] and worth[block] >= -2.0
        return rest
    return total


def content_blocks(blocks: Blocks) -> Array[np.int64]:
    """The numbers of the blocks of the main content, ascending."""
    said, alike = _said(blocks)
    chosen = np.zeros(len(blocks.spans), np.uint8)
    _choose(blocks.tags, blocks.parents, said, alike, blocks.spans, blocks.counts, _ROLES, chosen)
    return np.flatnonzero(chosen)


_cache: dict[bytes, int] = {}


def _said(blocks: Blocks) -> tuple[Array[np.uint8], Array[np.int32]]:
    """What the attributes of each element say, as bits; and the first element of its depth with the same attributes."""
    said = np.zeros(len(blocks.tags), np.uint8)
    alike = np.arange(len(blocks.tags), dtype=np.int32)
    first: dict[tuple[int, bytes], int] = {}
    html, depths = blocks.html, blocks.depths()
    if len(_cache) > _MOST_CACHED:
        _cache.clear()
    for element in np.flatnonzero(blocks.attributes[:, 1] > blocks.attributes[:, 0]).tolist():
        begin, end = blocks.attributes[element]
        attributes = html[begin:end]
        flags = _cache.get(attributes)
        if flags is None:
            flags = _cache[attributes] = _flags(attributes.decode("utf-8", "replace"))
        if flags:
            said[element] = flags
            alike[element] = first.setdefault((int(depths[element]), attributes), element)
    return said, alike


def _flags(attributes: str) -> int:
    names, flags = "", 0
    for match in _ATTRIBUTE.finditer(attributes):
        name, value = match[1].lower(), match[2] or ""
        if name in ("class", "id"):
            names += " " + value
        elif name == "role":
            names += " role-" + value
        elif name == "itemprop":
            flags |= _CONTENT if value == "articleBody" else 0
        elif name == "hidden" or (name == "aria-hidden" and value == "true"):
            flags |= _HIDDEN
        elif name == "style":
            style = value.replace(" ", "").lower()
            flags |= _HIDDEN if "display:none" in style or "visibility:hidden" in style else 0
    if names and _POSITIVE.search(names):
        flags |= _CONTENT
    if names and _NEGATIVE.search(names):
        flags |= _NAMED | (_BOILERPLATE if _SURE.search(names) else 0)
    return flags
