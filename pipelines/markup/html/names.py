"""What the attributes of elements say of their content: class, id, role, itemprop, style.

A name is cut into words at blanks, `-`, `_` and capitals (`InlineDonationPromo`); a word counts, or two after each other (`read`,
`more`). What a name has besides its subject is left out: `has-sidebar`, `overflow-hidden`, `main-with-menu`, and the categories and
tags that WordPress writes at each article.
"""

from __future__ import annotations

import numpy as np
from numba import types

from corpus.data.buffers import Array
from corpus.kernel import kernel
from pipelines.markup.html.blocks import TAG, TAGS, Blocks

NAMED, CONTENT, HIDDEN, BOILERPLATE, HEADER = 1, 2, 4, 8, 16
"""Boilerplate, content, not shown; boilerplate by a name that does not lie, the head of a site or text."""
SOCIAL, EMBED, AT_FIRST, INSIDE, POST, TAXONOMY = 32, 64, 128, 256, 512, 1024
"""Of words: boilerplate unless something is embedded; a name that begins with it, or has it at all, is another's; WordPress's mark of
an article, and its files for articles."""

_BORROWED = (
    "submenu side sidebar rightbar rightrail rightcol rightcolumn widget sharedaddy recirc ad ads advert advertisement advertising"
    " adbox sponsor sponsored banner gdpr subscribe subscription signup login breadcrumb breadcrumbs pagination pager tag tags tagcloud"
    " taglist meta byline bio about popup modal overlay toolbar tools skip print outbrain taboola rating vote votes copyright credit"
    " credits caption search topbar masthead hidden sronly screenreader visuallyhidden noprint relatedposts yarpp navbox toc timestamp"
    " date readmore next prev previous ticker carousel slider gallery slideshow feedback contact donate donation paywall callout"
    " pullquote factbox dropdown categories category catlinks wpembedded hashtag link links"
)
"""Names of boilerplate that layouts and articles use for other things too."""
_SURE = (
    "comment comments commentlist disqus discussion respond reply share sharing related recommend recommended recommendation"
    " recommendations promo promotion cookie cookies consent newsletter teaser teasers popular trending foot footer nav navbar"
    " navigation menu mostread mostpopular mostviewed morestories morenews morefrom morearticles moreposts morelinks author authorbio"
    " authorbox authorinfo"
)
"""Names that layouts do not borrow: many small elements of them are no content, even if they are most of the page."""
_TEXT = (
    "articlebody articlecontent articletext storybody storycontent postbody postcontent postentry entrycontent bodycopy maincontent"
    " richtext contentbody pagecontent textcontent blogcontent"
)
_ROLES = "navigation complementary banner contentinfo search dialog alert"
_HEADINGS = np.zeros(len(TAGS), np.uint8)
_HEADINGS[[TAG[f"h{level}"] for level in range(1, 7)]] = 1

_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_U64 = types.Array(types.uint64, 1, "C", readonly=True)
_I16 = types.Array(types.int16, 1, "C", readonly=True)
_I32_2D = types.Array(types.int32, 2, "C", readonly=True)
_I32 = types.Array(types.int32, 1, "C", readonly=True)
_OUT_U64 = types.Array(types.uint64, 1, "C")
_OUT_U8 = types.Array(types.uint8, 1, "C")
_SEED, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


def _hash(word: str) -> int:
    """FNV-1a of 64 bits, as the kernels have it."""
    value = int(_SEED)
    for byte in word.encode():
        value = (value ^ byte) * int(_PRIME) & (1 << 64) - 1
    return value


MEANINGS: dict[str, int] = dict.fromkeys(_BORROWED.split(), NAMED)
MEANINGS |= dict.fromkeys(_SURE.split(), NAMED | BOILERPLATE)
MEANINGS |= dict.fromkeys(_TEXT.split(), CONTENT)
MEANINGS |= {
    "header": HEADER,
    "social": SOCIAL,
    "embed": EMBED,
    "hentry": POST,
    "typepost": POST,
    "typepage": POST,
}
MEANINGS |= dict.fromkeys("has is no not overflow".split(), AT_FIRST)
MEANINGS |= dict.fromkeys(("with", "without"), AT_FIRST | INSIDE)
for _word in "category tag author format status type".split():
    MEANINGS[_word] = MEANINGS.get(_word, 0) | TAXONOMY
_KEYS = np.array(sorted(map(_hash, MEANINGS)), np.uint64)
_BITS = np.array([bits for _, bits in sorted((_hash(word), bits) for word, bits in MEANINGS.items())], np.int16)
_ROLE_KEYS = np.array(sorted(map(_hash, _ROLES.split())), np.uint64)
_CLASS, _ID, _ROLE, _ITEMPROP, _STYLE, _UNSEEN, _ARIA, _TRUE, _BODY, _POST_WORD = (
    np.uint64(_hash(word))
    for word in ("class", "id", "role", "itemprop", "style", "hidden", "aria-hidden", "true", "articlebody", "post")
)
_NO, _IS, _PRINT = (np.uint64(_hash(word)) for word in ("no", "is", "print"))
_NONE = np.frombuffer(b"display:none", np.uint8)
_INVISIBLE = np.frombuffer(b"visibility:hidden", np.uint8)


@kernel(types.int64(_U64, _I16, types.uint64))
def _meaning(keys: Array[np.uint64], bits: Array[np.int16], word: np.uint64) -> int:
    """The bits of a word, 0 if it means nothing."""
    place = np.searchsorted(keys, word)
    return int(bits[place]) if place < len(keys) and keys[place] == word else 0


@kernel(types.uint64(_U8, types.int64, types.int64))
def _whole(html: Array[np.uint8], at: int, end: int) -> np.uint64:
    """The hash of all bytes, capitals as small letters."""
    value = _SEED
    while at < end:
        c = html[at]
        value = (value ^ np.uint64(c + 32 if 0x41 <= c <= 0x5A else c)) * _PRIME
        at += 1
    return value


@kernel(types.boolean(_U8, types.int64, types.int64, _U8))
def _styled(html: Array[np.uint8], at: int, end: int, rule: Array[np.uint8]) -> bool:
    """Whether a style has a rule, blanks left out."""
    while at < end:
        there, found = at, 0
        while there < end and found < len(rule):
            c = html[there]
            if c != 0x20:
                if (c + 32 if 0x41 <= c <= 0x5A else c) != rule[found]:
                    break
                found += 1
            there += 1
        if found == len(rule):
            return True
        at += 1
    return False


@kernel(types.int64(_U8, types.int64, types.int64, _U64, _I16))
def _token(html: Array[np.uint8], at: int, end: int, keys: Array[np.uint64], bits: Array[np.int16]) -> int:
    """The bits of one name without blanks."""
    found, words, first = 0, 0, np.uint64(0)
    word, pair, last = _SEED, _SEED, np.uint64(0)
    begun, digits = False, False
    i = at
    while i <= end:
        c = np.uint8(0x2D) if i == end else html[i]
        capital = 0x41 <= c <= 0x5A
        parted = c == 0x2D or c == 0x5F
        if begun and (parted or (capital and 0x61 <= html[i - 1] <= 0x7A)):
            meaning = _meaning(keys, bits, word)
            if words == 0:
                first = word
                if meaning & AT_FIRST and i < end:
                    after = _whole(html, i + parted, end)
                    if not (first == _IS and after == _UNSEEN) and not (first == _NO and after == _PRINT):
                        return 0
                found |= meaning & TAXONOMY if i < end else 0
            elif meaning & INSIDE:
                return 0
            found |= meaning & ~(AT_FIRST | INSIDE | TAXONOMY)
            if words:
                found |= _meaning(keys, bits, pair) & ~(AT_FIRST | INSIDE | TAXONOMY)
                if words == 1 and last == _POST_WORD and digits and i == end:
                    found |= POST
            words += 1
            last, pair, word = word, word, _SEED
            begun, digits = False, True
        if not parted:
            small = np.uint64(c + 32 if capital else c)
            word = (word ^ small) * _PRIME
            pair = (pair ^ small) * _PRIME
            digits = bool(digits and 0x30 <= c <= 0x39)
            begun = True
        i += 1
    if found & SOCIAL and not found & EMBED:
        found |= NAMED | BOILERPLATE
    return found & ~(SOCIAL | EMBED)


@kernel(types.int64(_U8, types.int64, types.int64, _U64, _I16))
def _named(html: Array[np.uint8], at: int, end: int, keys: Array[np.uint64], bits: Array[np.int16]) -> int:
    """The bits of a class or id."""
    found, filed, post = 0, 0, 0
    while at < end:
        while at < end and (html[at] == 0x20 or html[at] == 0x0A or html[at] == 0x09 or html[at] == 0x0D):
            at += 1
        begin = at
        while at < end and not (html[at] == 0x20 or html[at] == 0x0A or html[at] == 0x09 or html[at] == 0x0D):
            at += 1
        token = _token(html, begin, at, keys, bits) if at > begin else 0
        post |= token & POST
        if token & TAXONOMY:
            filed |= token
        else:
            found |= token
    return (found if post else found | filed) & 31


@kernel(types.int64(_U8, types.int64, types.int64, types.boolean, _U64, _I16, _U64))
def _element(
    html: Array[np.uint8],
    at: int,
    end: int,
    heading: bool,
    keys: Array[np.uint64],
    bits: Array[np.int16],
    roles: Array[np.uint64],
) -> int:
    """The bits of the attributes of an element; the id of a heading is made of its text."""
    found = 0
    while at < end:
        begin = at
        while at < end and html[at] != 0x3D and html[at] != 0x20 and html[at] != 0x0A:
            at += 1
        name = _whole(html, begin, at)
        if at + 1 < end and html[at] == 0x3D and html[at + 1] == 0x22:
            at += 2
            value = at
            while at < end and html[at] != 0x22:
                at += 1
            if name == _CLASS or (name == _ID and not heading):
                found |= _named(html, value, at, keys, bits)
            elif name == _ROLE:
                place = np.searchsorted(roles, _whole(html, value, at))
                if place < len(roles) and roles[place] == _whole(html, value, at):
                    found |= NAMED | BOILERPLATE
            elif name == _ITEMPROP:
                found |= CONTENT if _whole(html, value, at) == _BODY else 0
            elif name == _STYLE:
                hidden = _styled(html, value, at, _NONE) or _styled(html, value, at, _INVISIBLE)
                found |= HIDDEN if hidden else 0
            elif name == _ARIA:
                found |= HIDDEN if _whole(html, value, at) == _TRUE else 0
        if name == _UNSEEN:
            found |= HIDDEN
        at += 1
    return found


@kernel(types.int64(_U8, _I16, _I32_2D, _I32, _U8, _U64, _I16, _U64, _OUT_U8, _OUT_U64))
def _all(
    html: Array[np.uint8],
    tags: Array[np.int16],
    attributes: Array[np.int32],
    depths: Array[np.int32],
    headings: Array[np.uint8],
    keys: Array[np.uint64],
    bits: Array[np.int16],
    roles: Array[np.uint64],
    found: Array[np.uint8],
    marks: Array[np.uint64],
) -> int:
    """Set the bits of all elements, and the `marks` of those that have any: hashes of attributes and depth; the number of
    these elements."""
    some = 0
    for element in range(len(tags)):
        begin, end = attributes[element, 0], attributes[element, 1]
        if end > begin:
            found[element] = _element(html, begin, end, headings[tags[element]] > 0, keys, bits, roles)
            if found[element]:
                marks[element] = (_whole(html, begin, end) ^ np.uint64(depths[element])) * _PRIME
                some += 1
    return some


def said(blocks: Blocks) -> tuple[Array[np.uint8], Array[np.int32]]:
    """What the attributes of each element say, as bits; and the first element of its depth with the same attributes (capitals
    are small letters) of those that say something."""
    found, marks = np.zeros(len(blocks.tags), np.uint8), np.zeros(len(blocks.tags), np.uint64)
    html = np.frombuffer(blocks.html, np.uint8)
    _all(html, blocks.tags, blocks.attributes, blocks.depths(), _HEADINGS, _KEYS, _BITS, _ROLE_KEYS, found, marks)
    alike = np.arange(len(blocks.tags), dtype=np.int32)
    marked = np.flatnonzero(found)
    _, first, same = np.unique(marks[marked], return_index=True, return_inverse=True)
    alike[marked] = marked[first[same]]
    return found, alike
