"""What the attributes of elements say of their content: class, id, role, itemprop, style.

Words in names are told apart by blanks, `-`, `_` and capitals (`InlineDonationPromo`). What a name has besides its subject is
left out: `has-sidebar`, `overflow-hidden`, and the categories and tags that WordPress writes at each article.
"""

from __future__ import annotations

import re

import numpy as np

from corpus.data.buffers import Array
from pipelines.markup.html.blocks import TAG, Blocks

NAMED, CONTENT, HIDDEN, BOILERPLATE, HEADER = 1, 2, 4, 8, 16
"""Boilerplate, content, not shown; boilerplate by a name that does not lie, the head of a site or text."""

_NEGATIVE = re.compile(
    r"(?:^|[\s_-])(?:nav(?:bar|igation)?|menu|submenu|foot(?:er)?|side(?:bar)?|right-?(?:bar|rail|col(?:umn)?)|widget|comments?"
    r"|commentlist|disqus|discussion|respond|reply|shar(?:e|ing)|sharedaddy|social(?!(?:-media)?-embed)|related"
    r"|recommend(?:ed|ations?)?|recirc|promo(?:tion)?|ads?|advert(?:isement|ising)?|adbox|sponsor(?:ed)?|banner|cookies?|consent"
    r"|gdpr|newsletter|subscri(?:be|ption)|signup|login|breadcrumbs?|pagination|pager|tags?|tagcloud|taglist|meta|byline"
    r"|author-?(?:bio|box|info)?|bio|about|popup|modal|overlay|toolbar|tools|skip|print|most-?(?:read|popular|viewed)|popular"
    r"|trending|more-?(?:stories|news|from|articles|posts|links)|teasers?|outbrain|taboola|rating|votes?|copyright|credits?"
    r"|caption|search|topbar|masthead|hidden|sr-only|screen-reader-text|visually-?hidden|no-?print|jp-relatedposts|yarpp|navbox"
    r"|toc|timestamp|date|read-?more|next|prev(?:ious)?|ticker|carousel|slider|gallery|slideshow|feedback|contact"
    r"|donat(?:e|ion)|paywall|callout|pull-?quote|factbox|dropdown|categories|category|cat-links|entry-(?:meta|footer)|post-meta"
    r"|wp-embedded-content|hashtag|links?|role-(?:navigation|complementary|banner|contentinfo|search|dialog|alert))(?:$|[\s_-])",
    re.IGNORECASE,
)
_SURE = re.compile(
    r"(?:^|[\s_-])(?:comments?|commentlist|disqus|discussion|respond|reply|shar(?:e|ing)|social(?!(?:-media)?-embed)|related"
    r"|recommend(?:ed|ations?)?|promo(?:tion)?|cookies?|consent|newsletter|teasers?|popular|trending|foot(?:er)?"
    r"|nav(?:bar|igation)?|menu|most-?(?:read|popular|viewed)|more-?(?:stories|news|from|articles|posts|links)"
    r"|author-?(?:bio|box|info)?|role-[a-z]+)(?:$|[\s_-])",
    re.IGNORECASE,
)
"""Names that layouts do not borrow: many small elements of them are no content, even if they are most of the page."""
_HEADER = re.compile(r"(?:^|[\s_-])header(?:$|[\s_-])", re.IGNORECASE)
_POSITIVE = re.compile(
    r"article-?_?(?:body|content|text)|(?:^|[\s_-])(?:story-?(?:body|content)|post-?(?:body|content|entry)"
    r"|entry-?content|body-?copy|main-?content|rich-?text|content-?body|page-?content|text-?content|td-post-content"
    r"|blog-?content)(?:$|[\s_-])",
    re.IGNORECASE,
)
_ATTRIBUTE = re.compile(r'\b(class|id|role|itemprop|style|hidden|aria-hidden)(?:="([^"]*)")?', re.IGNORECASE)
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BESIDES = re.compile(
    r"(?<!\S)(?:(?:has|is(?!-hidden)|no(?!-?print)|not|with|without|overflow)[-_]\S*|\S+-with(?:out)?-\S*)"
)
_ARTICLE = re.compile(r"(?<!\S)(?:hentry|type-post|type-page|post-\d+)(?!\S)")
_TAXONOMY = re.compile(r"(?<!\S)(?:category|tag|author|format|status|type)-\S+")
_MOST_CACHED = 100_000
_HEADINGS = frozenset(TAG[f"h{level}"] for level in range(1, 7))

_cache: dict[tuple[bool, bytes], int] = {}


def said(blocks: Blocks) -> tuple[Array[np.uint8], Array[np.int32]]:
    """What the attributes of each element say, as bits; and the first element of its depth with the same attributes."""
    found = np.zeros(len(blocks.tags), np.uint8)
    alike = np.arange(len(blocks.tags), dtype=np.int32)
    first: dict[tuple[int, bytes], int] = {}
    html, depths, tags = blocks.html, blocks.depths(), blocks.tags
    if len(_cache) > _MOST_CACHED:
        _cache.clear()
    for element in np.flatnonzero(blocks.attributes[:, 1] > blocks.attributes[:, 0]).tolist():
        begin, end = blocks.attributes[element]
        attributes = html[begin:end]
        key = int(tags[element]) in _HEADINGS, attributes
        flags = _cache.get(key)
        if flags is None:
            flags = _cache[key] = _flags(attributes.decode("utf-8", "replace"), key[0])
        if flags:
            found[element] = flags
            alike[element] = first.setdefault((int(depths[element]), attributes), element)
    return found, alike


def _flags(attributes: str, heading: bool) -> int:
    """The bits of an element's attributes; the id of a heading is made of its text."""
    names, flags = "", 0
    for match in _ATTRIBUTE.finditer(attributes):
        name, value = match[1].lower(), match[2] or ""
        if name == "class" or (name == "id" and not heading):
            names += " " + value
        elif name == "role":
            names += " role-" + value
        elif name == "itemprop":
            flags |= CONTENT if value == "articleBody" else 0
        elif name == "hidden" or (name == "aria-hidden" and value == "true"):
            flags |= HIDDEN
        elif name == "style":
            style = value.replace(" ", "").lower()
            flags |= HIDDEN if "display:none" in style or "visibility:hidden" in style else 0
    if not names:
        return flags
    if _ARTICLE.search(names):
        names = _TAXONOMY.sub("", names)
    names = _BESIDES.sub("", _CAPITAL.sub("-", names))
    if _POSITIVE.search(names):
        flags |= CONTENT
    if _HEADER.search(names):
        flags |= HEADER
    if _NEGATIVE.search(names):
        flags |= NAMED | (BOILERPLATE if _SURE.search(names) else 0)
    return flags
